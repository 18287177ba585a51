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
internal sealed partial class GrowingTree(RestorePlan plan) : IDisposable
{
    private readonly RestoreContext context = plan.Context;
    private readonly List<Tracee> tracees = [];
    private Scratch scratch = null!;
    private Fd? pidNamespace;
    private AddedInit? init;
    private readonly BirthGroups groups = new(plan.Context);
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
            Fork(init.Remote, null, [root], 0);
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
            // Who sees no such group in its pid namespace was born in it.
            List<RestoredTask> members = [.. group.Where(task => task.OwnGroup != 0)];
            if (members.Count == 0)
            {
                continue;
            }

            IReadOnlyList<uint> nested = members[0].Entry.NestedGroup?.Ids ?? [];
            StandIn leader = MakeStandIn(members[0], members[0].Leader.Remote, (int)group.Key, nested, 0, Signal.None);
            leader.Self.Batch.Call(Sysno.setpgid, 0, 0);
            leader.Self.Batch.Run($"process group {group.Key}");
            TaskStage.RunAll(
                "process group",
                members.Select(task => task.Leader),
                thread => thread.Remote.Batch.Call(Sysno.setpgid, 0, thread.Task.OwnGroup));
            leader.End();
        }
    }

    /// <summary>Makes the threads of a process. Registers and the rest come later.</summary>
    public void MakeThreads(RestoredTask task)
    {
        const CloneFlags Flags = CloneFlags.CLONE_VM | CloneFlags.CLONE_FS | CloneFlags.CLONE_FILES | CloneFlags.CLONE_SIGHAND
            | CloneFlags.CLONE_THREAD | CloneFlags.CLONE_SYSVSEM | CloneFlags.CLONE_PTRACE;
        int choosable = NestedUserStage.Choosable(task.User ?? task.BirthUser, task.Pids, task.PidDepth);
        Clone(
            task.Leader.Remote,
            [
                .. task.Threads.Skip(1)
                    .Select(thread => new Birth(thread.Tid, thread.Nested, Signal.None, Flags, choosable, task.Pids)),
            ]);
        foreach (RestoredThread thread in task.Threads.Skip(1))
        {
            Tracee tracee = Adopt(thread.Tid);
            tracees.Add(tracee);
            thread.Remote = Remote.ForNewTask(
                tracee, scratch, RestorePlan.ThreadBatchSize, task.OwnPid, thread.OwnTid, task.Leader.Remote.EndSignal);
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
        leaders.ForEach(groups.BeginsSession);
        HashSet<RestoredTask> made = [.. next.Select(row => row.Task)];
        foreach ((RestoredTask task, _) in generation)
        {
            List<RestoredTask> others =
                [.. task.Created.Where(child => !made.Contains(child) && !plan.Memory.SharesWithParent(child)
                    && NestedPidStage.CanBeBorn(child))];
            Fork(task, others);
            next.AddRange(others.Select(child => (child, false)));
        }

        made.UnionWith(next.Select(row => row.Task));
        List<(RestoredTask Task, bool Inherited)> living =
            [.. generation.Where(row => !row.Task.IsZombie && row.Task.MemoryOwner == row.Task)];
        plan.Memory.RestoreInto(living, plan.ScratchAddress, (ulong)plan.ScratchSize);
        foreach (bool isLast in (ReadOnlySpan<bool>)[false, true])
        {
            foreach ((RestoredTask task, _) in generation)
            {
                List<RestoredTask> sharing =
                    [.. task.Created.Where(child => !made.Contains(child) && (isLast || NestedPidStage.CanBeBorn(child)))];
                Fork(task, sharing);
                made.UnionWith(sharing);
                next.AddRange(sharing.Select(child => (child, true)));
            }
        }

        if (next.Count > 0)
        {
            Grow(next);
        }

        plan.Memory.ApplyAfterForking([.. living.Select(row => row.Task)]);
    }
}
