using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>The stack that a thread's signal handlers may ask for: sigaltstack(2).</summary>
/// <remarks>
/// Asked while the thread runs on Firn's scratch, so the answer is never "in use just now" (SS_ONSTACK): whether it is follows from the
/// stack pointer anyway. Kernel: kernel/signal.c, do_sigaltstack().
/// </remarks>
internal sealed class AlternateStack : TaskKind
{
    /// <inheritdoc/>
    public override void DumpThread(DumpContext context, DumpedThread thread, RemoteBatch batch)
    {
        RemoteBuffer stack = batch.Data(default(SignalStack));
        batch.Call(Sysno.sigaltstack, 0, stack);
        batch.Then(() =>
        {
            SignalStack found = stack.As<SignalStack>()[0];
            thread.ThreadCore().Sas = new ThreadSasEntry { SsSp = found.ss_sp, SsSize = found.ss_size, SsFlags = (uint)found.ss_flags };
        });
    }

    /// <inheritdoc/>
    public override void RestoreThread(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        if (thread.Core.ThreadCore?.Sas is { } saved)
        {
            var stack =
                new SignalStack { ss_sp = saved.SsSp, ss_size = saved.SsSize, ss_flags = (int)saved.SsFlags & ~SignalStack.SS_ONSTACK };
            batch.Call(Sysno.sigaltstack, batch.Data(stack), 0);
        }
    }
}
