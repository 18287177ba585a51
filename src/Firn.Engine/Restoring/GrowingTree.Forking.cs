using Firn.Engine.Kinds.Cgroups;
using Firn.Engine.Kinds.Tasks;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Restoring;

/// <content>The making of processes and threads, with their ids.</content>
internal sealed partial class GrowingTree
{
    // Who comes into a pid namespace that it is not born in comes after its init.
    private void Fork(RestoredTask creator, List<RestoredTask> children)
    {
        foreach (var siblings in children.OrderBy(child => NestedPidStage.BirthPlace(child)?.Depth ?? 0).GroupBy(
            child => (Session: AbsentLeaders.SessionOf(Processes, child), child.Shared, IsSibling: child.Parent != creator,
                Place: NestedPidStage.BirthPlace(child), NeedsHelper: NestedUserStage.NeedsHelper(child))))
        {
            (uint session, CloneFlags shared, bool isSibling, NestedPids? place, bool needsHelper) = siblings.Key;
            if (needsHelper)
            {
                foreach (RestoredTask child in siblings)
                {
                    ForkByHelper(creator, child, session, place);
                    groups.Born(creator, session, [child]);
                }

                continue;
            }

            CloneFlags flags = shared | (isSibling ? CloneFlags.CLONE_PARENT : 0);
            if (session == 0)
            {
                Fork(creator.Leader.Remote, creator, [.. siblings], flags, place);
                groups.Born(creator, session, siblings);
                continue;
            }

            // Born as siblings of the one who stands in for the leader, they are children of the parent, and in the leader's session.
            IReadOnlyList<uint> nested = [.. siblings.First().Entry.NestedSession?.Ids.TakeWhile(id => id != 0) ?? []];
            StandIn leader = MakeStandIn(creator, creator.Leader.Remote, (int)session, nested, flags, Signal.SIGCHLD);
            leader.Self.Batch.Call(Sysno.setsid);
            leader.Self.Batch.Run($"session {session}");
            Fork(leader.Self, creator, [.. siblings], shared | CloneFlags.CLONE_PARENT, place);
            groups.Born(creator, session, siblings);
            leader.End();
        }
    }

    // The init of a pid namespace that a user namespace owns is born in that, by one who has gone there, and is a child of who has not.
    private void ForkByHelper(RestoredTask creator, RestoredTask child, uint session, NestedPids? place)
    {
        if (session != 0 || child.Parent != creator || child.Shared != 0)
        {
            throw new CheckpointException($"task {child.Pid} is the init of a pid namespace, and shares state or a session that is gone")
            {
                Phase = "forking",
                Pid = child.Pid,
            };
        }

        MoveCursorsAbove(creator);
        StandIn helper = MakeHelper(creator.Leader.Remote, Signal.SIGCHLD);
        ReturnCursor();
        RemoteBatch batch = helper.Self.Batch;
        if (place != creator.Pids)
        {
            NestedPidStage.QueueEnter(creator, place!, batch);
        }

        NestedStage.QueueJoining(context, child, batch, owner => owner != child.BirthUser);
        NestedUserStage.QueueBecome(child, batch);
        batch.Run("a nested user namespace");
        Fork(helper.Self, creator, [child], CloneFlags.CLONE_PARENT, creator.Pids, child.BirthUser);
        helper.End();
    }

    /// <summary>Makes a process for a moment, with any id.</summary>
    /// <param name="parent">The task whose child it is.</param>
    /// <param name="exitSignal">What its siblings that it makes will give their parent at their end.</param>
    public StandIn MakeHelper(Remote parent, Signal exitSignal)
    {
        CloneArgs arguments = new() { flags = (ulong)CloneFlags.CLONE_PTRACE, exit_signal = (ulong)exitSignal };
        Slot made = parent.Batch.Call(
            Sysno.clone3, parent.Batch.Data(arguments), System.Runtime.InteropServices.Marshal.SizeOf<CloneArgs>());
        parent.Batch.Run("forking");
        Tracee tracee = Tracee.AdoptClone(OuterId(parent, made.Int32));
        tracees.Add(tracee);
        int own = made.Int32;
        return new StandIn(parent, Remote.ForNewTask(tracee, scratch, RestorePlan.LeaderBatchSize, own, own), own);
    }

    private static int OuterId(Remote viewer, int id)
    {
        using Fd pids = NamespaceVisit.Open(viewer.Tracee.Tid, "pid");
        return Sys.PidFromNamespace(pids.Number, id).OrThrow($"ioctl(NS_GET_PID_FROM_PIDNS, {id})").Int32;
    }

    // A sibling of who makes it has the same exit signal.
    private void Fork(
        Remote parent,
        RestoredTask? creator,
        List<RestoredTask> children,
        CloneFlags flags,
        NestedPids? place = null,
        RestoredNamespace? maker = null)
    {
        if (children.Count == 0)
        {
            return;
        }

        bool isByHelper = maker is not null;
        maker ??= creator?.BirthUser;
        bool isAway = place != creator?.Pids;
        if (isAway)
        {
            NestedPidStage.QueueEnter(creator!, place!, parent.Batch);
            parent.Batch.Run("a nested pid namespace");
        }

        bool isSibling = (flags & CloneFlags.CLONE_PARENT) != 0;
        Clone(
            parent,
            [
                .. children.Select(child => new Birth(
                    child.Pid,
                    child.Leader.Nested,
                    isSibling ? Signal.None : child.ExitSignal,
                    CloneFlags.CLONE_PTRACE | flags | NestedPidStage.FlagOf(child),
                    NestedUserStage.Choosable(maker, child.Pids, child.PidDepth),
                    child.Pids)),
            ],
            isSibling ? children[0].Parent?.Leader.Remote : parent);
        foreach (RestoredTask child in children)
        {
            Tracee tracee = Adopt(child.Pid);
            tracees.Add(tracee);
            child.Leader.Remote = Remote.ForNewTask(
                tracee, scratch, RestorePlan.LeaderBatchSize, child.OwnPid, child.OwnPid, WorkSignal.Choose(child));
            CgroupTree.Of(context).Place(child);
        }

        if (isAway)
        {
            NestedPidStage.QueueReturn(parent.Batch);
            parent.Batch.Run("back from a nested pid namespace");
        }

        NestedPidStage.Begin(context, children);
        TaskStage.RunAll(
            "namespaces",
            children.Where(child => NestedStage.HasOthers(context, child)).Select(child => child.Leader),
            thread => NestedStage.QueueJoining(
                context, thread.Task, thread.Remote.Batch, owner => !isByHelper || owner == thread.Task.BirthUser));
    }

    private HashSet<uint> Processes => processes ??= [.. context.Tasks.Select(task => task.Entry.Pid)];

    // All in one batch. A pid that is taken may be a zombie that is reaped in a moment: the rest of the list is tried again.
    private void Clone(Remote remote, List<Birth> children, Remote? reaper = null)
    {
        foreach (Birth child in children.Where(child => child.Choosable <= child.Nested.Count))
        {
            CloneUnchosen(remote, child, reaper ?? remote);
        }

        children.RemoveAll(child => child.Choosable <= child.Nested.Count);
        List<int> ids = [.. children.Select(child => child.Id)];
        int made = 0;
        Func<bool>? retry = null;
        while (made < ids.Count)
        {
            List<Slot> slots = [];
            foreach (Birth child in children.Skip(made).Take(256))
            {
                // Of each level, the innermost first.
                int[] levels = [.. child.Nested.Reverse().Select(id => (int)id), child.Id];
                RemoteBuffer setTid = remote.Batch.Data(System.Runtime.InteropServices.MemoryMarshal.AsBytes<int>(levels));
                CloneArgs arguments = new()
                {
                    flags = (ulong)child.Flags,
                    exit_signal = (ulong)child.ExitSignal,
                    set_tid = setTid.Address.Value,
                    set_tid_size = (ulong)levels.Length,
                };
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

    private StandIn MakeStandIn(
        RestoredTask creator, Remote parent, int id, IReadOnlyList<uint> nested, CloneFlags shared, Signal exitSignal)
    {
        if (nested.Count != creator.PidDepth)
        {
            throw new CheckpointException(
                $"the leader {id} of a session or group was in another pid namespace than the parent of its members")
            {
                Phase = "forking",
                Pid = id,
            };
        }

        Clone(parent, [new Birth(
            id,
            nested,
            exitSignal,
            CloneFlags.CLONE_PTRACE | shared,
            NestedUserStage.Choosable(creator.BirthUser, creator.Pids, creator.PidDepth),
            creator.Pids)]);
        Tracee tracee = Adopt(id);
        tracees.Add(tracee);
        int own = nested is [.., uint innermost] ? (int)innermost : id;
        return new StandIn(parent, Remote.ForNewTask(tracee, scratch, RestorePlan.LeaderBatchSize, own, own), own);
    }

    // A task or thread to be made: its id as the images have it, those in namespaces below, the outermost first; how many of them its maker
    // may choose, the innermost first; the pid namespace that it is to be in.
    private readonly record struct Birth(
        int Id, IReadOnlyList<uint> Nested, Signal ExitSignal, CloneFlags Flags, int Choosable, NestedPids? Pids);

    private Tracee Adopt(int id) => unchosen.Remove(id, out Tracee? known) ? known : Tracee.AdoptClone(
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
