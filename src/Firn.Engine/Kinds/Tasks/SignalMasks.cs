using Firn.Engine.Tree;
using Firn.Images;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>
/// The signals that each thread blocks. While a call such as sigsuspend(2) has another mask, the one that it will put back.
/// </summary>
/// <remarks>
/// CRIU keeps a leader's mask with the task, and the others' with the thread. The fields named extended are for machines with more than
/// 64 signals. The conductor of a restore sets the masks last, with the registers (<see cref="Registers.ToRegisterState"/>).
/// Kernel: kernel/ptrace.c, PTRACE_GETSIGMASK.
/// </remarks>
internal sealed class SignalMasks : TaskKind
{
    /// <inheritdoc/>
    public override void DumpThread(DumpContext context, DumpedThread thread, RemoteBatch batch)
    {
        ulong mask = thread.Tracee!.Found!.SignalMask;
        if (thread.IsLeader())
        {
            thread.Task.TaskCore().BlkSigset = mask;
        }
        else
        {
            thread.ThreadCore().BlkSigset = mask;
        }
    }

    /// <summary>The mask that a core says.</summary>
    public static ulong Of(CoreEntry core) => core.ThreadCore is { HasBlkSigset: true } thread ? thread.BlkSigset : core.Tc?.BlkSigset ?? 0;
}
