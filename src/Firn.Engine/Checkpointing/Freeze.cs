using Firn.Engine.Freezing;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Checkpointing;

/// <summary>The second phase: the tree stops.</summary>
/// <remarks>
/// Each thread of each process is seized and interrupted; then all lists are read again, until a pass over a tree in which everything
/// stands finds no one new. What forks or clones meanwhile is caught by the next pass. Where the tree has a cgroup of its own, its freezer
/// stops all of it at one instant first.
/// </remarks>
internal static class Freeze
{
    private const long NanosecondsPerSecond = 1_000_000_000;
    private const int RoundsOfPatience = 512;
    private const int MostPause = 64;
    private const int TimesForRests = 3;

    /// <summary>Freezes the tree.</summary>
    /// <returns>The tree, to be disposed whatever happens.</returns>
    /// <exception cref="CheckpointException">It can't be frozen; it runs as before.</exception>
    public static FrozenTree Run(DumpPlan plan)
    {
        long deadline = Sys.ClockNanoseconds(1) + (plan.Options.TimeoutSeconds * NanosecondsPerSecond);
        var freezer = new TreeFreezer(plan.Options, plan.Log);
        try
        {
            return Run(plan, freezer, deadline);
        }
        catch
        {
            freezer.Dispose();
            throw;
        }
    }

    private static FrozenTree Run(DumpPlan plan, TreeFreezer freezer, long deadline)
    {
        int pause = 1;
        int times = 0;
        Dictionary<int, Tracee> held = [];
        while (true)
        {
            var tree = new FrozenTree(plan.Log) { FrozenAt = Sys.ClockNanoseconds(1), Held = held };
            try
            {
                freezer.Stop(deadline);
                List<DumpedThread> waiting = SeizeAll(plan, tree, freezer, deadline);
                if (waiting.Count == 0)
                {
                    Look(tree);
                }

                foreach (DumpedThread thread in waiting)
                {
                    // Only what is stopped can be let go. It stops as soon as it can.
                    tree.Remove(thread);
                    held.Add(thread.Tid, thread.Tracee!);
                }

                DumpedTask? task = waiting.Count > 0 ? waiting[0].Task : FindOnWayHome(tree);
                // Where calls end all the time, there is little left of any: they begin anew, and no luckier moment is waited for.
                if (task is null && (++times > TimesForRests || RestOfTime.Find(tree)))
                {
                    tree.Freezer = freezer;
                    return tree;
                }

                if (task is null)
                {
                    tree.Dispose();
                    freezer.Forget();
                    continue;
                }

                // The child of a vfork is about to give its parent's memory back; or a Firn that was in there was killed a moment ago.
                if (Sys.ClockNanoseconds(1) > deadline)
                {
                    throw waiting.Count > 0
                        ? DoesNotStop(waiting[0])
                        : new CheckpointException(
                            $"task {task.Pid} is still on its way home from a dump that was killed: a system call that this made does not "
                            + "end; try again later, or with a longer --timeout")
                        {
                            Phase = "freeze",
                            Pid = task.Pid,
                        };
                }

                plan.Log.LogDebug(
                    "pid {Pid} {Why}: let go, to be frozen again",
                    task.Pid,
                    waiting.Count == 0 ? "is on its way home from a dump that was killed" : "waits for the child of a vfork");
            }
            catch
            {
                freezer.PutBack();
                tree.Dispose();
                throw;
            }

            tree.Dispose();
            freezer.Forget();
            Thread.Sleep(pause);
            pause = Math.Min(2 * pause, MostPause);
        }
    }

    private static DumpedTask? FindOnWayHome(FrozenTree tree)
        => tree.Tasks.Find(task => !task.IsZombie
            && RemoteProcess.IsOnWayHome(task.Mappings, [.. task.Threads.Select(thread => thread.Tracee!)]));

    // Returns the threads that can't be stopped before the child of their vfork runs on; all others stand.
    private static List<DumpedThread> SeizeAll(DumpPlan plan, FrozenTree tree, TreeFreezer freezer, long deadline)
    {
        AddTask(tree, plan.Options.Tree, null);
        bool changed = true;
        while (changed)
        {
            List<DumpedThread> fresh = [];
            List<int> left = [];
            changed = Pass(tree, fresh, left);
            if (freezer.IsHolding)
            {
                // Nothing of it moves: what is found now is all there is.
                while (changed)
                {
                    changed = Pass(tree, fresh, left);
                }
            }

            freezer.Release(tree);
            if (left.Count > 0)
            {
                // What signals have stopped doesn't run when it is thawed, and can be seized then.
                changed = true;
                if (Sys.ClockNanoseconds(1) > deadline)
                {
                    throw new CheckpointException(
                        $"task {left[0]} can't be seized: a signal has stopped it, and its cgroup is frozen; thaw the cgroup (firn thaw), "
                            + "or continue the task (SIGCONT), and try again")
                    {
                        Phase = "freeze",
                        Pid = left[0],
                    };
                }

                Thread.Sleep(0);
            }

            List<DumpedThread> waiting = [.. fresh.Where(thread => !WaitUntilStopped(tree, thread, deadline))];
            if (waiting.Count > 0)
            {
                return waiting;
            }
        }

        if (tree.Tasks[0].Threads.Count == 0)
        {
            throw new CheckpointException($"task {plan.Options.Tree} is gone or a zombie: there is nothing to save")
            {
                Phase = "freeze",
                Pid = plan.Options.Tree,
            };
        }

        return [];
    }

    // Adds the threads that are seized to the fresh ones, and those that would keep a tracer waiting to what is left.
    private static bool Pass(FrozenTree tree, List<DumpedThread> fresh, List<int> left)
    {
        int before = fresh.Count;
        bool found = false;

        // The list grows while it is walked: children found in a pass are seized in the same pass.
        for (int i = 0; i < tree.Tasks.Count; i++)
        {
            SeizeThreads(tree, tree.Tasks[i], fresh, left);
            found |= FindChildren(tree, tree.Tasks[i]);
        }

        return found || fresh.Count > before;
    }

    private static DumpedTask AddTask(FrozenTree tree, int pid, DumpedTask? parent)
    {
        var task = new DumpedTask { ProcessId = pid, Parent = parent };
        parent?.Children.Add(task);
        tree.Tasks.Add(task);
        return task;
    }

    private static void SeizeThreads(FrozenTree tree, DumpedTask task, List<DumpedThread> fresh, List<int> left)
    {
        List<int> tids = [];
        if (TaskList.TryRead(task.Pid, tids).IsError)
        {
            return;
        }

        bool? isStill = null;
        foreach (int tid in tids)
        {
            if (tree.Contains(tid))
            {
                continue;
            }

            // A signal stops all threads of a process; the first one tells, but where it has exited.
            isStill ??= ProcStat.TryRead(task.Pid, out ProcStat? stat) is { IsError: false }
                && stat!.State is TaskState.DiskSleep or TaskState.Zombie;
            if (isStill.Value && WaitChannel.IsFrozenWhileStopped(tid))
            {
                left.Add(tid);
                continue;
            }

            Errno errno = Errno.None;
            if (!tree.Held.Remove(tid, out Tracee? tracee))
            {
                tracee = Tracee.TrySeize(
                    tid, PtraceOptions.PTRACE_O_TRACESYSGOOD | PtraceOptions.PTRACE_O_SUSPEND_SECCOMP, out errno);
            }

            if (errno == Errno.EPERM)
            {
                // Without CAP_SYS_ADMIN seccomp can't be suspended; a task without a filter does not mind.
                tracee = Tracee.TrySeize(tid, PtraceOptions.PTRACE_O_TRACESYSGOOD, out errno);
            }

            if (tracee is null)
            {
                Unseizable(task, tid, errno);
                continue;
            }

            tracee.Interrupt();
            var thread = new DumpedThread { Task = task, Tid = tid, Tracee = tracee };
            tree.Add(thread);
            fresh.Add(thread);
        }
    }

    private static void Unseizable(DumpedTask task, int tid, Errno errno)
    {
        // ESRCH: gone meanwhile. EPERM of a thread that has exited, or of a zombie, is the ordinary answer too.
        if (errno == Errno.ESRCH || errno != Errno.EPERM)
        {
            return;
        }

        ProcStatus status;
        try
        {
            status = ProcStatus.Read(tid);
        }
        catch (LinuxException)
        {
            return;
        }

        if (status.State is TaskState.Zombie or TaskState.Dead)
        {
            return;
        }

        string why = status.TracerPid != 0
            ? $"it is traced already, by task {status.TracerPid}; end that debugger or tracer and try again"
            : "it may not be traced; run firn as root, or with CAP_SYS_PTRACE over the task";
        throw new CheckpointException($"task {tid} can't be seized: {why}") { Phase = "freeze", Pid = task.Pid, Errno = errno };
    }

    private static bool FindChildren(FrozenTree tree, DumpedTask task)
    {
        bool found = false;
        List<int> children = [];
        foreach (DumpedThread thread in task.Threads)
        {
            children.Clear();
            if (Children.TryRead(task.Pid, thread.Tid, children).IsError)
            {
                continue;
            }

            foreach (int pid in children)
            {
                if (pid != Sys.GetPid() && !tree.Tasks.Exists(known => known.ProcessId == pid))
                {
                    AddTask(tree, pid, task);
                    found = true;
                }
            }
        }

        return found;
    }

    private static CheckpointException DoesNotStop(DumpedThread thread)
        => new($"task {thread.Tid} does not stop: it sits in the kernel uninterruptibly (a vfork parent, or waiting for a "
            + "device); "
            + "try again later, or with a longer --timeout")
        {
            Phase = "freeze",
            Pid = thread.Task.Pid,
        };

    // The parent of a vfork waits, uninterruptibly, until its child has executed a program or ended (kernel/fork.c,
    // wait_for_vfork_done), and the child stands still.
    private static bool WaitsForChild(FrozenTree tree, DumpedThread thread)
        => tree.Tasks.Exists(task => task.Parent == thread.Task
                && Sys.Kcmp(task.ProcessId, thread.Tid, KcmpType.KCMP_VM) is { IsError: false, Int32: 0 })
            && ProcStat.TryRead(thread.Tid, out ProcStat? stat) is { IsError: false }
            && stat!.State == TaskState.DiskSleep;

    private static bool WaitUntilStopped(FrozenTree tree, DumpedThread thread, long deadline)
    {
        Tracee tracee = thread.Tracee!;
        int round = 0;
        try
        {
            while (!tracee.PollStop())
            {
                if (++round < 64)
                {
                    _ = Kernel.Call(Sysno.sched_yield);
                    continue;
                }

                if (round >= RoundsOfPatience && WaitsForChild(tree, thread))
                {
                    return false;
                }

                if (Sys.ClockNanoseconds(1) > deadline)
                {
                    throw DoesNotStop(thread);
                }

                Thread.Sleep(round < RoundsOfPatience ? 0 : 1);
            }

            // A signal or system call may have stopped it first: go on to the stop that was asked for.
            if (!tracee.Status.IsEventStop)
            {
                tracee.Resume(PtraceRequest.PTRACE_CONT, tracee.Status.IsSignalStop ? tracee.Status.StopSignal : Signal.None);
                return WaitUntilStopped(tree, thread, deadline);
            }

            tracee.Capture();
            if (IsWorker(tracee))
            {
                tree.SetAside(thread);
            }
        }
        catch (TraceeLostException)
        {
            tree.Remove(thread);
        }

        return true;
    }

    // Such a thread has no place in user mode to be at (kernel/fork.c, create_io_thread(); arch/x86/kernel/process.c, copy_thread()).
    private static bool IsWorker(Tracee tracee)
    {
        const uint PF_IO_WORKER = 0x10;
        return tracee.Found!.Registers is { rip: 0, rsp: 0 }
            && ProcStat.TryRead(tracee.Tid, out ProcStat? stat) is { IsError: false } && (stat!.Flags & PF_IO_WORKER) != 0;
    }

    private static void Look(FrozenTree tree)
    {
        foreach (DumpedTask task in tree.Tasks.ToArray())
        {
            // What was gone before it could be seized, and reaped since, was no part of the tree that stands here.
            if (task.Threads.Count == 0 && ProcStat.TryRead(task.Pid, out _).IsError)
            {
                task.Parent?.Children.Remove(task);
                tree.Tasks.Remove(task);
                continue;
            }

            // The leader first: images, and the way in, count on it.
            task.Threads.Sort((a, b) => a.Tid == task.Pid ? -1 : b.Tid == task.Pid ? 1 : a.Tid.CompareTo(b.Tid));
            task.Stat = ProcStat.Read(task.Pid);
            if (task.IsZombie && task.Threads.Count > 0)
            {
                task.LeaderIsDead(task.Stat);
                task.Stat = ProcStat.Read(task.Pid);
            }

            task.Status = ProcStatus.Read(task.Pid);
            if (task.IsZombie)
            {
                task.Threads.Add(new DumpedThread { Task = task, Tid = task.Pid });
            }
            else
            {
                task.PidFd = new Fd(
                    (task.DeadLeader is null ? Sys.PidfdOpen(task.Pid) : Sys.PidfdOpenThread(task.Pid))
                        .OrThrow($"pidfd_open({task.Pid})").Int32);
                task.Mappings = Maps.Read(task.Pid);
            }

            task.PidLevel = Math.Max(0, tree.Tasks[0].Status.NStgid.Length - 1);
            foreach (DumpedThread thread in task.Threads)
            {
                thread.Ids = task.Status.NSpid.Length <= 1 ? [thread.Tid]
                    : thread.Tid == task.ProcessId ? task.Status.NStgid
                    : ProcStatus.Read(task.Pid, thread.Tid).NSpid;
            }
        }
    }
}
