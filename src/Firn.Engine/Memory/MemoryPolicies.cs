using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Memory;

/// <summary>From which nodes memory comes: the policy of each mapping (mbind(2)), and of each thread (set_mempolicy(2)).</summary>
/// <remarks>
/// Only a thread itself can tell. First all are asked for modes alone: nearly all have none, and need not be asked for nodes. A node that
/// is not there any more gives a warning. Kernel: mm/mempolicy.c.
/// </remarks>
internal static class MemoryPolicies
{
    private const int MPOL_F_ADDR = 2;
    private const int MaskBytes = 128;

    // The kernel takes one from what it is told.
    private const int MaxNode = (MaskBytes * 8) + 1;

    // ---- dump

    /// <summary>Queues the question which mappings have a policy of their own; the batch runs whenever it is full.</summary>
    /// <param name="context">The dump.</param>
    /// <param name="task">The process.</param>
    /// <param name="batch">The leader's batch.</param>
    public static void DumpMappings(DumpContext context, DumpedTask task, RemoteBatch batch)
    {
        const int Chunk = 1024;
        Asked asked = context.Files.State.Get<Asked>();
        List<VmaEntry> vmas = [.. task.Mm.Vmas.Where(static vma => vma.IsMapped())];
        for (int first = 0; first < vmas.Count; first += Chunk)
        {
            int begin = first;
            int count = Math.Min(Chunk, vmas.Count - first);
            if (first > 0)
            {
                batch.Run("memory policies");
            }

            RemoteBuffer modes = batch.Allocate(count * sizeof(int));
            for (int i = 0; i < count; i++)
            {
                batch.Try(Sysno.get_mempolicy, modes.Address + (ulong)(i * sizeof(int)), 0, 0, vmas[begin + i].Start, MPOL_F_ADDR);
            }

            batch.Then(() =>
            {
                Span<uint> found = modes.As<uint>();
                for (int i = 0; i < count; i++)
                {
                    if (found[i] != 0)
                    {
                        VmaEntry vma = vmas[begin + i];
                        vma.Policy = new MemoryPolicyEntry { Mode = found[i] };
                        asked.Add(batch, vma.Policy, vma.Start);
                    }
                }
            });
        }
    }

    /// <summary>Queues the question whether a thread has a policy.</summary>
    public static void DumpThread(DumpContext context, DumpedThread thread, RemoteBatch batch)
    {
        RemoteBuffer mode = batch.Allocate(sizeof(int));
        batch.Try(Sysno.get_mempolicy, mode, 0, 0, 0, 0);
        batch.Then(() =>
        {
            if (mode.As<uint>()[0] != 0)
            {
                thread.Core.ThreadCore.MemPolicy = new MemoryPolicyEntry { Mode = mode.As<uint>()[0] };
                context.Files.State.Get<Asked>().Add(batch, thread.Core.ThreadCore.MemPolicy, 0);
            }
        });
    }

    /// <summary>Asks for the nodes, where there is a policy.</summary>
    public static void DumpNodes(DumpContext context)
    {
        foreach ((RemoteBatch batch, MemoryPolicyEntry policy, ulong address) in context.Files.State.Get<Asked>().All)
        {
            RemoteBuffer mask = batch.Allocate(MaskBytes);
            batch.Call(Sysno.get_mempolicy, 0, mask, MaxNode, address, address == 0 ? 0 : MPOL_F_ADDR);
            batch.Then(() =>
            {
                ReadOnlySpan<ulong> words = mask.As<ulong>();
                policy.Nodes.AddRange(words[..(words.LastIndexOfAnyExcept(0UL) + 1)].ToArray());
            });
            batch.Run("memory policies");
        }
    }

    // ---- restore

    /// <summary>Queues the policy of a mapping; before its pages come.</summary>
    /// <param name="context">The restore.</param>
    /// <param name="policy">The policy.</param>
    /// <param name="batch">The leader's batch, with room for a call.</param>
    /// <param name="start">The first address.</param>
    /// <param name="length">The size in bytes.</param>
    /// <param name="pid">The process, for a warning.</param>
    public static void Bind(
        RestoreContext context, MemoryPolicyEntry policy, RemoteBatch batch, ulong start, ulong length, int pid)
    {
        Slot bound = batch.Try(Sysno.mbind, start, length, policy.Mode, Mask(policy, batch), MaxNode, 0);
        batch.Then(() => Warn(context, pid, bound, $"of the mapping at {start:x}"));
    }

    /// <summary>How much room a call of <see cref="Bind"/> takes.</summary>
    public static int BindBytes => MaskBytes;

    /// <summary>Queues the policy of a thread.</summary>
    public static void RestoreThread(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        if (thread.Core.ThreadCore?.MemPolicy is { } policy)
        {
            Slot set = batch.Try(Sysno.set_mempolicy, policy.Mode, Mask(policy, batch), MaxNode);
            batch.Then(() => Warn(context, thread.Tid, set, "of the thread"));
        }
    }

    private static RemoteArgument Mask(MemoryPolicyEntry policy, RemoteBatch batch)
    {
        if (policy.Nodes.Count == 0)
        {
            return 0;
        }

        RemoteBuffer mask = batch.Allocate(MaskBytes);
        Span<ulong> words = mask.As<ulong>();
        for (int i = 0; i < Math.Min(policy.Nodes.Count, words.Length); i++)
        {
            words[i] = policy.Nodes[i];
        }

        return mask;
    }

    private static void Warn(RestoreContext context, int id, Slot set, string whose)
    {
        if (set.Result.IsError)
        {
            context.Log.LogWarning(
                "task {Id}: the memory policy {Whose} could not be set: {Errno}; are its nodes there?", id, whose, set.Result.Errno);
        }
    }

    /// <summary>The policies whose nodes are still to be asked for.</summary>
    private sealed class Asked
    {
        public List<(RemoteBatch Batch, MemoryPolicyEntry Policy, ulong Address)> All { get; } = [];

        public void Add(RemoteBatch batch, MemoryPolicyEntry policy, ulong address) => All.Add((batch, policy, address));
    }
}
