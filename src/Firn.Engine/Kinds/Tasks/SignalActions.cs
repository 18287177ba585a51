using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>What a process does on each signal.</summary>
/// <remarks>
/// 62 entries: all signals but KILL and STOP, in their order. Processes that share the table (CLONE_SIGHAND) each have it in their core;
/// setting it twice does no harm. sigaction(2).
/// </remarks>
internal sealed class SignalActions : TaskKind
{
    private const int SignalCount = 64;
    private const int ActionSize = 32;

    // ---- dump

    /// <inheritdoc/>
    public override void DumpTask(DumpContext context, DumpedTask task, RemoteBatch batch)
    {
        RemoteBuffer actions = batch.Allocate(SignalCount * ActionSize);
        foreach (int signal in Signals())
        {
            batch.Call(Sysno.rt_sigaction, signal, 0, actions.Address + Offset(signal), sizeof(ulong));
        }

        batch.Then(() =>
        {
            foreach (int signal in Signals())
            {
                KernelSigaction action = actions.As<KernelSigaction>()[signal - 1];
                task.TaskCore().Sigactions.Add(new SaEntry
                {
                    Sigaction = action.sa_handler,
                    Flags = action.sa_flags,
                    Restorer = action.sa_restorer,
                    Mask = action.sa_mask,
                    CompatSigaction = false,
                });
            }
        });
    }

    // ---- restore

    /// <inheritdoc/>
    public override void RestoreTask(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        RemoteBuffer actions = batch.Allocate(SignalCount * ActionSize);
        foreach ((int signal, SaEntry entry) in Signals().Zip(task.Core.Tc.Sigactions))
        {
            actions.As<KernelSigaction>()[signal - 1] = new KernelSigaction
            {
                sa_handler = entry.Sigaction,
                sa_flags = entry.Flags,
                sa_restorer = entry.Restorer,
                sa_mask = entry.Mask,
            };
            batch.Call(Sysno.rt_sigaction, signal, actions.Address + Offset(signal), 0, sizeof(ulong));
        }
    }

    /// <summary>The signals that a process will catch, as a mask: bit 0 is signal 1.</summary>
    public static ulong Caught(TaskCoreEntry core)
    {
        const ulong Ignore = 1;
        ulong caught = 0;
        foreach ((int signal, SaEntry entry) in Signals().Zip(core.Sigactions))
        {
            caught |= entry.Sigaction > Ignore ? 1UL << (signal - 1) : 0;
        }

        return caught;
    }

    private static IEnumerable<int> Signals()
        => Enumerable.Range(1, SignalCount).Where(signal => signal is not ((int)Signal.SIGKILL or (int)Signal.SIGSTOP));

    private static ulong Offset(int signal) => (ulong)((signal - 1) * ActionSize);
}
