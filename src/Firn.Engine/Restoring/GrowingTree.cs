using Firn.Engine.Kinds.Cgroups;
using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Kinds.Tasks;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Restoring;

/// <summary>The tree while it is built: who exists, and how the next is made in its own parent.</summary>
/// <remarks>
/// The root is a seed. Every other process is forked by its parent with its own pid (clone3 with set_tid), and inherits the scratch, the
/// descriptors and what memory the parent has by then: one that shares pages with its parent is forked after these pages are in place, so
/// that they are shared again; any other is forked before, from next to nothing. In a pid namespace of its own the tree has two kinds of
/// ids: those in images, by which tasks are made, and those by which Firn knows them.
/// </remarks>
internal sealed class GrowingTree(RestorePlan plan) : IDisposable
{
    private readonly RestoreContext context = plan.Context;
    private readonly List<Tracee> tracees = [];
    private Scratch scratch = null!;
    private Fd? pidNamespace;
    private AddedInit? init;
    private HashSet<uint>? processes;

    /// <summary>The memory shared with all tasks.</summary>
    public Scratch Scratch => scratch;

    /// <summary>The first task: the root, or the init that Firn adds before it. Namespaces are made with it and filled by it.</summary>
    public Remote First => init?.Remote ?? context.Tasks[0].Leader.Remote;

    /// <summary>Makes the first task, empty.</summary>
    /// <exception cref="RestoreConflictException">Its pid is taken.</exception>
    public void PlantRoot()
    {
        scratch = Scratch.Create(plan.ScratchSize, new RemotePtr(plan.ScratchAddress));
        using var inherited = new Fd(
            Sys.Fcntl(scratch.Descriptor.Number, FcntlCommand.F_DUPFD, context.Files.FirstNumber).OrThrow("fcntl(scratch, F_DUPFD)").Int32);
        RestoredTask root = context.Tasks[0];
        CloneFlags flags = NamespaceStage.MadeByClone(context) | (context.Options.Sibling ? CloneFlags.CLONE_PARENT : 0);
        bool isInOwnPids = (flags & CloneFlags.CLONE_NEWPID) != 0;
        int pid = isInOwnPids ? AddedInit.Pid : root.Pid;
        Func<bool> retry = isInOwnPids ? () => false : Patience(pid);
        (Tracee? tracee, Errno errno) = Seed.Plant(
            pid, flags, scratch, inherited.Number, retry, first => NamespaceStage.BeforeExec(context, first));
        if (tracee is null)
        {
            throw Refused(pid, errno);
        }

        tracees.Add(tracee);
        context.FirstPid = tracee.Tid;
        if (isInOwnPids)
        {
            pidNamespace = NamespaceVisit.Open(tracee.Tid, "pid");
        }

        if (root.Pid == pid)
        {
            root.Leader.Remote = Remote.ForNewTask(tracee, scratch, RestorePlan.LeaderBatchSize, pid, pid, WorkSignal.Choose(root));
        }
        else
        {
            init = new AddedInit(Remote.ForNewTask(tracee, scratch, RestorePlan.LeaderBatchSize, pid, pid));
        }
    }

    /// <summary>Makes all other processes, and puts memory in place.</summary>
    public void Grow()
    {
        RestoredTask root = context.Tasks[0];
        if (init is not null)
        {
            Fork(init.Remote, [root], 0);
        }

        Grow([(root, false)]);
    }

    /// <summary>The last thing before the thaw: an init that Firn has added becomes the program that it is to be.</summary>
    public void Leave() => init?.Leave(context.Tasks[0].Pid, scratch);

    /// <summary>Lets tasks join the groups whose leaders have exited.</summary>
    public void JoinGroupsOfAbsent()
    {
        foreach (IGrouping<uint, RestoredTask> group in AbsentLeaders.Groups(Processes, context.Tasks))
        {
            StandIn leader = MakeStandIn(group.First().Leader.Remote, (int)group.Key, 0, Signal.None);
            leader.Self.Batch.Call(Sysno.setpgid, 0, 0);
            leader.Self.Batch.Run($"process group {group.Key}");
            TaskStage.RunAll(
                "process group",
                group.Select(task => task.Leader),
                thread => thread.Remote.Batch.Call(Sysno.setpgid, 0, group.Key));
            leader.End();
        }
    }

    /// <summary>Makes the threads of a process. Registers and the rest come later.</summary>
    public void MakeThreads(RestoredTask task)
    {
        const CloneFlags Flags = CloneFlags.CLONE_VM | CloneFlags.CLONE_FS | CloneFlags.CLONE_FILES | CloneFlags.CLONE_SIGHAND
            | CloneFlags.CLONE_THREAD | CloneFlags.CLONE_SYSVSEM | CloneFlags.CLONE_PTRACE;
        Clone(task.Leader.Remote, [.. task.Threads.Skip(1).Select(thread => (thread.Tid, Signal.None))], Flags);
        foreach (RestoredThread thread in task.Threads.Skip(1))
        {
            Tracee tracee = Adopt(thread.Tid);
            tracees.Add(tracee);
            thread.Remote = Remote.ForNewTask(
                tracee, scratch, RestorePlan.ThreadBatchSize, task.Pid, thread.Tid, task.Leader.Remote.EndSignal);
        }

        CgroupTree.Of(context).PlaceThreads(task);
    }

    /// <summary>Lets go of all tasks: the thaw.</summary>
    /// <remarks>
    /// Threads are let go one after the other, but the tree is there as a whole or not at all: should Firn be killed in between, the guard
    /// kills what it has let go, as the kernel kills what it still holds. The threads of one process die together, so one needs no guard.
    /// </remarks>
    public void Thaw()
    {
        var plan = new GuardPlan();
        if (pidNamespace is not null)
        {
            // All that is in it goes with its init.
            plan.Kill(context.FirstPid);
        }
        else if (context.Tasks.Count > 1)
        {
            context.Tasks.ForEach(task => plan.Kill(task.Pid));
        }

        using Guard? guard = plan.IsEmpty ? null : Guard.Start(plan);

        // The leaders last: what a leader starts, its threads are there for.
        for (int i = tracees.Count - 1; i >= 0; i--)
        {
            tracees[i].Detach();
        }

        tracees.Clear();
    }

    /// <summary>Kills all that was made and waits until it is gone.</summary>
    public void Fell()
    {
        foreach (Tracee tracee in tracees)
        {
            _ = Sys.Kill(tracee.Tid, Signal.SIGKILL);
        }

        for (int i = tracees.Count - 1; i >= 0; i--)
        {
            while (!tracees[i].IsDetached)
            {
                try
                {
                    tracees[i].WaitForStop();
                }
                catch (TraceeLostException)
                {
                    tracees[i].Forget();
                }
            }
        }

        tracees.Clear();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        scratch?.Dispose();
        pidNamespace?.Dispose();
    }

    // A generation at a time; what its processes do for themselves, they do side by side.
    private void Grow(IReadOnlyList<(RestoredTask Task, bool Inherited)> generation)
    {
        List<(RestoredTask Task, bool Inherited)> next = [];
        List<RestoredTask> leaders = [];
        foreach ((RestoredTask task, _) in generation.Where(row => row.Task.Entry.Sid == row.Task.Entry.Pid))
        {
            // A session is inherited when it was made before the fork: children of an older session come before setsid(2).
            List<RestoredTask> older =
                [.. task.Created.Where(child => child.Entry.Sid != task.Entry.Pid && child.Entry.Sid != child.Entry.Pid)];
            Fork(task, older);
            next.AddRange(older.Select(child => (child, false)));
            leaders.Add(task);
        }

        TaskStage.RunAll("session", leaders.Select(task => task.Leader), thread => thread.Remote.Batch.Call(Sysno.setsid));
        HashSet<RestoredTask> made = [.. next.Select(row => row.Task)];
        foreach ((RestoredTask task, _) in generation)
        {
            List<RestoredTask> others =
                [.. task.Created.Where(child => !made.Contains(child) && !plan.Memory.SharesWithParent(child))];
            Fork(task, others);
            next.AddRange(others.Select(child => (child, false)));
        }

        made.UnionWith(next.Select(row => row.Task));
        List<(RestoredTask Task, bool Inherited)> living =
            [.. generation.Where(row => !row.Task.IsZombie && row.Task.MemoryOwner == row.Task)];
        plan.Memory.RestoreInto(living, plan.ScratchAddress, (ulong)plan.ScratchSize);
        foreach ((RestoredTask task, _) in generation)
        {
            List<RestoredTask> sharing = [.. task.Created.Where(child => !made.Contains(child))];
            Fork(task, sharing);
            next.AddRange(sharing.Select(child => (child, true)));
        }

        if (next.Count > 0)
        {
            Grow(next);
        }

        plan.Memory.ApplyAfterForking([.. living.Select(row => row.Task)]);
    }

    private void Fork(RestoredTask creator, List<RestoredTask> children)
    {
        foreach (var siblings in children.GroupBy(
            child => (Session: AbsentLeaders.SessionOf(Processes, child), child.Shared, IsSibling: child.Parent != creator)))
        {
            (uint session, CloneFlags shared, bool isSibling) = siblings.Key;
            CloneFlags flags = shared | (isSibling ? CloneFlags.CLONE_PARENT : 0);
            if (session == 0)
            {
                Fork(creator.Leader.Remote, [.. siblings], flags);
                continue;
            }

            // Born as siblings of the one who stands in for the leader, they are children of the parent, and in the leader's session.
            StandIn leader = MakeStandIn(creator.Leader.Remote, (int)session, flags, Signal.SIGCHLD);
            leader.Self.Batch.Call(Sysno.setsid);
            leader.Self.Batch.Run($"session {session}");
            Fork(leader.Self, [.. siblings], shared | CloneFlags.CLONE_PARENT);
            leader.End();
        }
    }

    // A sibling of who makes it has the same exit signal.
    private void Fork(Remote parent, List<RestoredTask> children, CloneFlags flags)
    {
        if (children.Count == 0)
        {
            return;
        }

        bool isSibling = (flags & CloneFlags.CLONE_PARENT) != 0;
        Clone(
            parent,
            [.. children.Select(child => (child.Pid, isSibling ? Signal.None : child.ExitSignal))],
            CloneFlags.CLONE_PTRACE | flags);
        foreach (RestoredTask child in children)
        {
            Tracee tracee = Adopt(child.Pid);
            tracees.Add(tracee);
            child.Leader.Remote = Remote.ForNewTask(
                tracee, scratch, RestorePlan.LeaderBatchSize, child.Pid, child.Pid, WorkSignal.Choose(child));
            CgroupTree.Of(context).Place(child);
        }

        TaskStage.RunAll(
            "namespaces",
            children.Where(child => NestedStage.HasOthers(context, child)).Select(child => child.Leader),
            thread => NestedStage.QueueJoining(context, thread.Task, thread.Remote.Batch));
    }

    private HashSet<uint> Processes => processes ??= [.. context.Tasks.Select(task => task.Entry.Pid)];

    // All in one batch. A pid that is taken may be a zombie that is reaped in a moment: the rest of the list is tried again.
    private void Clone(Remote remote, List<(int Id, Signal ExitSignal)> children, CloneFlags flags)
    {
        List<int> ids = [.. children.Select(child => child.Id)];
        int made = 0;
        Func<bool>? retry = null;
        while (made < ids.Count)
        {
            List<Slot> slots = [];
            foreach ((int id, Signal exitSignal) in children.Skip(made).Take(256))
            {
                RemoteBuffer setTid = remote.Batch.Data(id);
                CloneArgs arguments =
                    new() { flags = (ulong)flags, exit_signal = (ulong)exitSignal, set_tid = setTid.Address.Value, set_tid_size = 1 };
                slots.Add(
                    remote.Batch.Call(
                        Sysno.clone3, remote.Batch.Data(arguments), System.Runtime.InteropServices.Marshal.SizeOf<CloneArgs>()));
            }

            try
            {
                remote.Batch.Run("forking");
            }
            catch (RemoteCallException refused)
            {
                made += slots.TakeWhile(slot => slot.Result is { IsError: false } && slot.Int32 > 0).Count();
                retry ??= Patience(ids[made]);
                if (refused.Errno != Errno.EEXIST || pidNamespace is not null || !retry())
                {
                    // What was made is attached, and must be known to be felled.
                    tracees.AddRange(ids.Take(made).Select(Adopt));
                    throw Refused(ids[made], refused.Errno);
                }

                continue;
            }

            made += slots.Count;
        }
    }

    private StandIn MakeStandIn(Remote parent, int id, CloneFlags shared, Signal exitSignal)
    {
        Clone(parent, [(id, exitSignal)], CloneFlags.CLONE_PTRACE | shared);
        Tracee tracee = Adopt(id);
        tracees.Add(tracee);
        return new StandIn(parent, Remote.ForNewTask(tracee, scratch, RestorePlan.LeaderBatchSize, id, id), id);
    }

    private Tracee Adopt(int id) => Tracee.AdoptClone(
        pidNamespace is null ? id : Sys.PidFromNamespace(pidNamespace.Number, id).OrThrow($"ioctl(NS_GET_PID_FROM_PIDNS, {id})").Int32);

    private Func<bool> Patience(int pid)
    {
        long deadline = Sys.ClockNanoseconds(1) + (context.Options.TimeoutSeconds * 1_000_000_000L);
        return () =>
        {
            // Only what is about to go is worth waiting for.
            if (Sys.ClockNanoseconds(1) > deadline || !IsVanishing(pid))
            {
                return false;
            }

            // A zombie of our own is ours to reap.
            _ = Sys.Wait4(pid, out _, WaitOptions.WNOHANG | WaitOptions.__WALL);
            Thread.Sleep(1);
            return true;
        };
    }

    private static bool IsVanishing(int pid)
    {
        try
        {
            return ProcStat.Read(pid).State is TaskState.Zombie or TaskState.Dead;
        }
        catch (LinuxException)
        {
            // No such task: the id is held as a group or session, or was let go just now.
            return true;
        }
    }

    private static CheckpointException Refused(int pid, Errno errno)
    {
        if (errno == Errno.EEXIST)
        {
            string holder;
            try
            {
                ProcStat stat = ProcStat.Read(pid);
                holder = $"by {stat.Name}, in state {stat.State}, a child of {stat.ParentPid}";
            }
            catch (LinuxException)
            {
                holder = "as the session or process group of tasks that run";
            }

            return new RestoreConflictException(
                $"pid {pid} is taken {holder}; end that task and try again, or restore with --new-pid-namespace")
            {
                Phase = "forking",
                Pid = pid,
                Errno = errno,
            };
        }

        return new CheckpointException(
            $"clone3 with pid {pid}: {errno} ({ErrnoText.Describe(errno)})"
            + (errno == Errno.EPERM ? "; it takes CAP_CHECKPOINT_RESTORE: run firn as root" : string.Empty))
        {
            Phase = "forking",
            Pid = pid,
            Errno = errno,
        };
    }
}
