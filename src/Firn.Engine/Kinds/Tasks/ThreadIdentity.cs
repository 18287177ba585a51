using System.Text;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Tracing;
using Google.Protobuf;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>
/// What makes a thread known to libc and to its parent: its name, what is cleared and whom it tells when it ends, its rseq area.
/// </summary>
/// <remarks>set_tid_address(2), get_robust_list(2), rseq(2), PR_SET_NAME, PR_SET_PDEATHSIG.</remarks>
internal sealed class ThreadIdentity : TaskKind
{
    private const int NameSize = 16;

    // ---- dump

    /// <inheritdoc/>
    public override void DumpThread(DumpContext context, DumpedThread thread, RemoteBatch batch)
    {
        DumpSequence(thread);
        RemoteBuffer answers = batch.Allocate(4 * sizeof(ulong));
        batch.Call(Sysno.prctl, (int)PrctlOption.PR_GET_TID_ADDRESS, answers);
        batch.Call(Sysno.get_robust_list, 0, answers.Address + sizeof(ulong), answers.Address + (2 * sizeof(ulong)));
        batch.Call(Sysno.prctl, (int)PrctlOption.PR_GET_PDEATHSIG, answers.Address + (3 * sizeof(ulong)));
        RemoteBuffer name = batch.Allocate(NameSize);
        batch.Call(Sysno.prctl, (int)PrctlOption.PR_GET_NAME, name);
        batch.Then(() =>
        {
            Span<ulong> words = answers.As<ulong>();
            (thread.Core.ThreadInfo ??= new ThreadInfoX86()).ClearTidAddr = words[0];
            ThreadCoreEntry core = thread.ThreadCore();
            core.FutexRla = words[1];
            core.FutexRlaLen = (uint)words[2];
            if ((uint)words[3] != 0)
            {
                core.PdeathSig = (uint)words[3];
            }

            SetName(thread, core, name.Bytes);
        });
    }

    // ---- restore

    /// <inheritdoc/>
    public override void RestoreThread(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        if (thread.Core.ThreadInfo is { } info)
        {
            batch.Call(Sysno.set_tid_address, info.ClearTidAddr);
        }

        if (thread.Core.ThreadCore is not { } core)
        {
            return;
        }

        if (core.FutexRla != 0)
        {
            batch.Call(Sysno.set_robust_list, core.FutexRla, core.FutexRlaLen);
        }

        if (core.RseqEntry is { RseqAbiPointer: not 0 } sequence)
        {
            batch.Call(Sysno.rseq, sequence.RseqAbiPointer, sequence.RseqAbiSize, 0, sequence.Signature);
        }

        if (core.HasComm || core.HasCommBytes)
        {
            RemoteBuffer name = batch.Allocate(NameSize);
            ReadOnlySpan<byte> bytes = core.HasCommBytes ? core.CommBytes.Span : Encoding.UTF8.GetBytes(core.Comm);
            bytes[..Math.Min(bytes.Length, NameSize - 1)].CopyTo(name.Bytes);
            batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_NAME, name);
        }
    }

    /// <inheritdoc/>
    /// <remarks>
    /// After the credentials, whose change takes it away. The parent of the root is Firn: where it ends as soon as the tree runs, its end
    /// would be taken for that of the parent.
    /// </remarks>
    public override void Seal(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        if (thread.Core.ThreadCore is not { HasPdeathSig: true } core)
        {
            return;
        }

        if (thread.Task.Parent is null && context.Options is { Detached: true, Sibling: false })
        {
            context.Log.LogWarning(
                "thread {Tid}: it gets no signal {Signal} at the death of its parent, which firn is, and which ends now",
                thread.Tid,
                core.PdeathSig);
        }
        else
        {
            batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_PDEATHSIG, core.PdeathSig);
        }
    }

    // CRIU's field for the sequence that a thread is within stays away: it is for sequences that a signal doesn't abort, and no kernel
    // since 5.19 knows those. All others are left at the freeze (RestartableSequence).
    private static void DumpSequence(DumpedThread thread)
    {
        RseqConfiguration configuration = thread.Tracee!.GetRseqConfiguration();
        if (configuration.rseq_abi_pointer != 0)
        {
            thread.ThreadCore().RseqEntry = new RseqEntry
            {
                RseqAbiPointer = configuration.rseq_abi_pointer,
                RseqAbiSize = configuration.rseq_abi_size,
                Signature = configuration.signature,
            };
        }
    }

    // A name holds any bytes, and a field of text does not.
    private static void SetName(DumpedThread thread, ThreadCoreEntry core, ReadOnlySpan<byte> buffer)
    {
        int end = buffer.IndexOf((byte)0);
        ReadOnlySpan<byte> bytes = end < 0 ? buffer : buffer[..end];
        core.Comm = Encoding.UTF8.GetString(bytes);
        if (!Encoding.UTF8.GetBytes(core.Comm).AsSpan().SequenceEqual(bytes))
        {
            core.CommBytes = ByteString.CopyFrom(bytes);
        }

        if (thread.IsLeader())
        {
            thread.Task.TaskCore().Comm = core.Comm;
        }
    }
}
