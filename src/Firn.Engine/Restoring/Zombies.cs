using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Restoring;

/// <summary>Tasks that are to be zombies end, the way they ended before.</summary>
/// <remarks>
/// While SIGCHLD has its default action in the parent, so that the kernel keeps the zombie; then the parent ignores the signal (or
/// what other it gets at the end of the child) for a moment, which drops the one that is pending now, and keeps the zombie
/// (kernel/signal.c, do_notify_parent, do_sigaction).
/// </remarks>
internal static class Zombies
{
    private const int CoreDumped = 0x80;
    private const ulong SIG_IGN = 1;

    /// <summary>Ends them all.</summary>
    public static void Make(RestoreContext context)
    {
        List<RestoredTask> zombies = [.. context.Tasks.Where(task => task.IsZombie)];
        foreach (RestoredTask zombie in zombies)
        {
            End(context, zombie);
        }

        IEnumerable<RestoredThread> parents = zombies.Select(zombie => zombie.Parent).OfType<RestoredTask>().Distinct()
            .Select(parent => parent.Leader);
        TaskStage.RunAll(
            "zombies",
            parents,
            parent =>
            {
                RemoteBatch batch = parent.Remote.Batch;
                RemoteBuffer ignore = batch.Data(new KernelSigaction { sa_handler = SIG_IGN });
                RemoteBuffer reset = batch.Data(default(KernelSigaction));
                foreach (Signal signal in parent.Task.Children.Where(child => child.IsZombie).Select(child => child.ExitSignal).Distinct())
                {
                    if (signal != Signal.None)
                    {
                        batch.Call(Sysno.rt_sigaction, (int)signal, ignore, 0, sizeof(ulong));
                        batch.Call(Sysno.rt_sigaction, (int)signal, reset, 0, sizeof(ulong));
                    }
                }
            });
    }

    private static void End(RestoreContext context, RestoredTask zombie)
    {
        if ((zombie.Core.Tc.ExitCode & CoreDumped) != 0)
        {
            context.Log.LogWarning("pid {Pid}: its status says no more that it left a core", zombie.Pid);
        }

        Remote remote = zombie.Leader.Remote;
        uint status = zombie.Core.Tc.ExitCode;
        var signal = (Signal)(status & ~CoreDumped & 0x7f);
        RemoteBatch batch = remote.Batch;
        batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_NAME, batch.Text(zombie.Core.Tc.Comm));
        if (signal == Signal.None)
        {
            batch.Call(Sysno.exit_group, (status >> 8) & 0xff);
            batch.Start("zombie");
        }
        else
        {
            // No core of a process that holds nothing; then the signal itself, from the stop in which the batch has ended.
            batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_DUMPABLE, 0);
            batch.Run("zombie");
            remote.Tracee.SetSignalMask(0);
            remote.Tracee.Resume(PtraceRequest.PTRACE_CONT, signal);
        }

        try
        {
            while (true)
            {
                remote.Tracee.WaitForStop();
                remote.Tracee.Resume(PtraceRequest.PTRACE_CONT, signal);
            }
        }
        catch (TraceeLostException)
        {
            remote.Tracee.Forget();
        }
    }
}
