using Firn.Engine.Tree;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>Chooses the signal by which the batches of a restored process end.</summary>
/// <remarks>
/// It is one that is ignored unless caught; not caught and not pending in this process, so that nothing of the process's own is taken for
/// it or swallowed with it.
/// </remarks>
internal static class WorkSignal
{
    /// <summary>The signal for all threads of a process, from its first batch on.</summary>
    public static Signal Choose(RestoredTask task)
    {
        if (task.Core.Tc is not { } core)
        {
            return Signal.SIGURG;
        }

        ulong pending = PendingSignals.Set(task);
        ulong caught = SignalActions.Caught(core);
        foreach (ulong avoided in (ReadOnlySpan<ulong>)[pending | caught, pending])
        {
            foreach (Signal signal in (ReadOnlySpan<Signal>)[Signal.SIGURG, Signal.SIGWINCH, Signal.SIGCHLD, Signal.SIGCONT])
            {
                if ((avoided & (1UL << ((int)signal - 1))) == 0)
                {
                    return signal;
                }
            }
        }

        return Signal.SIGURG;
    }
}
