using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Freezing;

/// <summary>A tree that stands still: every thread of every process is stopped under ptrace, and none can be missing.</summary>
/// <remarks>Disposing it thaws the tree as it was found, whatever has happened, unless it was killed.</remarks>
internal sealed class FrozenTree(ILogger log) : IDisposable
{
    private readonly Dictionary<int, DumpedThread> threads = [];
    private readonly Dictionary<int, Tracee> workers = [];
    private bool isOver;

    /// <summary>All processes, parents before children.</summary>
    public List<DumpedTask> Tasks { get; } = [];

    /// <summary>When the first thread was asked to stop (CLOCK_MONOTONIC).</summary>
    public long FrozenAt { get; set; }

    /// <summary>How long the tree has stood still, once it is over.</summary>
    public TimeSpan StoodStill { get; private set; }

    /// <summary>What holds or has held the tree besides ptrace.</summary>
    public Freezing.TreeFreezer? Freezer { get; set; }

    /// <summary>Threads that were seized for an earlier attempt, could not be stopped, and so could not be let go.</summary>
    public Dictionary<int, Tracee> Held { get; init; } = [];

    /// <summary>How many threads stand still.</summary>
    public int ThreadCount => threads.Count;

    /// <summary>Whether a thread is seized already.</summary>
    public bool Contains(int tid) => threads.ContainsKey(tid) || workers.ContainsKey(tid);

    /// <summary>Takes a seized thread in.</summary>
    public void Add(DumpedThread thread)
    {
        threads.Add(thread.Tid, thread);
        thread.Task.Threads.Add(thread);
    }

    /// <summary>A thread was found gone before it could be looked at.</summary>
    public void Remove(DumpedThread thread)
    {
        threads.Remove(thread.Tid);
        thread.Task.Threads.Remove(thread);
    }

    /// <summary>
    /// A thread is one of the kernel's own in the process, as io_uring has for what may block: it stands still like all others, but never
    /// gets to user mode, and is no part of what is saved.
    /// </summary>
    public void SetAside(DumpedThread thread)
    {
        Remove(thread);
        workers.Add(thread.Tid, thread.Tracee!);
    }

    /// <summary>Lets the tree run on as it was found.</summary>
    /// <param name="stopped">Leave it stopped by SIGSTOP instead.</param>
    public void Thaw(bool stopped = false)
    {
        if (isOver)
        {
            return;
        }

        isOver = true;
        foreach (TraceeLostException lost in RemoteProcess.Leave([.. Tasks.Select(task => task.Remote).OfType<RemoteProcess>().Distinct()]))
        {
            // It was killed by someone else meanwhile: there is no one left to put back.
            log.LogWarning("thaw: {Message}", lost.Message);
        }

        // The last moment: from now on no call of Firn's has to run in a task, and none of its own may.
        Freezer?.PutBack();
        foreach (Tracee worker in workers.Values)
        {
            worker.Detach();
        }

        foreach (DumpedTask task in Tasks)
        {
            if (stopped && !task.IsZombie)
            {
                _ = Sys.Kill(task.Pid, Signal.SIGSTOP);
            }

            // The leader last: a thread that runs on alone is no surprise to the others.
            for (int i = task.Threads.Count - 1; i >= 0; i--)
            {
                task.Threads[i].Tracee?.Detach();
            }
        }

        StoodStill = Elapsed();
    }

    /// <summary>Kills the tree and waits until it is gone.</summary>
    public void Kill()
    {
        isOver = true;
        foreach (DumpedTask task in Tasks)
        {
            task.Remote?.Dispose();
            if (!task.IsZombie)
            {
                _ = Sys.Kill(task.Pid, Signal.SIGKILL);
            }
        }

        // A tracer is told of each thread's end before its parent is: take it, and the leader's last, or it stays a zombie.
        foreach (Tracee worker in workers.Values)
        {
            WaitForEnd(worker);
        }

        foreach (DumpedTask task in Tasks)
        {
            for (int i = task.Threads.Count - 1; i >= 0; i--)
            {
                if (task.Threads[i].Tracee is Tracee tracee)
                {
                    WaitForEnd(tracee);
                }
            }
        }

        Freezer?.PutBack();

        StoodStill = Elapsed();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Thaw();
        foreach (DumpedTask task in Tasks)
        {
            task.Dispose();
        }
    }

    private static void WaitForEnd(Tracee tracee)
    {
        try
        {
            while (true)
            {
                tracee.WaitForStop();
            }
        }
        catch (TraceeLostException)
        {
            tracee.Forget();
        }
    }

    private TimeSpan Elapsed() => TimeSpan.FromTicks((Sys.ClockNanoseconds(1) - FrozenAt) / 100);
}
