using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Restoring;

/// <summary>A process that has the id of an absent leader of a session or group, for a moment.</summary>
/// <param name="parent">The task whose child it is.</param>
/// <param name="self">The process.</param>
/// <param name="id">Its id.</param>
internal sealed class StandIn(Remote parent, Remote self, int id)
{
    private const ulong SIG_IGN = 1;

    /// <summary>The process.</summary>
    public Remote Self { get; } = self;

    /// <summary>Ends it, and lets its parent wait for it; nothing of it is left, no signal either.</summary>
    public void End()
    {
        Self.Batch.Call(Sysno.exit_group, 0);
        Self.Batch.Start("absent leader");
        try
        {
            while (true)
            {
                Self.Tracee.WaitForStop();
                Self.Tracee.Resume();
            }
        }
        catch (TraceeLostException)
        {
            Self.Tracee.Forget();
        }

        Reap();
    }

    /// <summary>Lets its parent wait for it, when it has ended.</summary>
    public void Reap()
    {
        // To ignore the signal drops the one that waits (kernel/signal.c, do_sigaction).
        RemoteBatch batch = parent.Batch;
        batch.Call(Sysno.wait4, id, 0, (long)WaitOptions.__WALL, 0);
        RemoteBuffer ignore = batch.Data(new KernelSigaction { sa_handler = SIG_IGN });
        batch.Call(Sysno.rt_sigaction, (int)Signal.SIGCHLD, ignore, 0, sizeof(ulong));
        batch.Call(Sysno.rt_sigaction, (int)Signal.SIGCHLD, batch.Data(default(KernelSigaction)), 0, sizeof(ulong));
        batch.Run("absent leader");
    }
}
