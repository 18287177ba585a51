using Firn.Engine.Tree;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>While it lasts, sockets of the tree may be in repair mode, also if Firn is killed.</summary>
/// <remarks>
/// In repair mode a program would get EINVAL and EPERM of its own socket, and leaving it loses SO_REUSEADDR for a moment. So its threads
/// wait for a word meanwhile, not for Firn alone (<see cref="HeldThreads"/>). Should Firn be gone, a guard takes the sockets out of the
/// mode, and then another one says the word; that one is there before the first thread waits.
/// </remarks>
internal sealed class RepairGuard : IDisposable
{
    private readonly HeldThreads held;
    private readonly Guard waker;
    private readonly Guard guard;

    private RepairGuard(HeldThreads held, Guard waker, Guard guard)
    {
        this.held = held;
        this.waker = waker;
        this.guard = guard;
    }

    /// <summary>Begins it. All threads of the tree are stopped, and their batches empty.</summary>
    /// <exception cref="Linux.LinuxException">The guard can't be started.</exception>
    public static RepairGuard Start(DumpContext context, IEnumerable<TcpBefore> sockets)
    {
        var held = new HeldThreads(context.Tasks.Select(task => task.Remote).OfType<RemoteProcess>().Distinct());
        Guard? waker = null;
        Guard? guard = null;
        try
        {
            var waking = new GuardPlan();
            foreach (HoldWord word in held.Words)
            {
                waking.Release(word);
            }

            waker = Guard.Start(waking);
            held.Hold();
            GuardPlan plan = new GuardPlan().Before(waker);
            foreach (TcpBefore socket in sockets)
            {
                foreach ((int level, int option, int value) in socket.Options(isLookedInto: true))
                {
                    plan.SetOption(socket.Socket.Number, level, option, value);
                }
            }

            guard = Guard.Start(plan);
            return new RepairGuard(held, waker, guard);
        }
        catch
        {
            guard?.Dispose();
            held.Dispose();
            waker?.Dispose();
            throw;
        }
    }

    /// <summary>All sockets are as before: threads are stopped again, and the guard goes.</summary>
    public void Dispose()
    {
        guard.Dispose();
        try
        {
            held.Dispose();
        }
        finally
        {
            waker.Dispose();
        }
    }
}
