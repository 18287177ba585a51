using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Kinds.Namespaces.Mounts;
using Firn.Engine.Tree;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Restoring;

/// <summary>How tasks come into pid namespaces below that of the tree's root. pid_namespaces(7), setns(2).</summary>
/// <remarks>
/// An init gets its namespace by CLONE_NEWPID. For all others the parent has to be one whose children are born there: it is in the
/// namespace itself, or goes there for the moment with a pidfd of the init, for which it needs no /proc.
/// </remarks>
internal static class NestedPidStage
{
    /// <summary>The namespace in which a task's parent must be born, or make its children, for the task to be where it shall be.</summary>
    public static NestedPids? BirthPlace(RestoredTask task) => task.Pids?.Init == task ? task.Pids.Parent : task.Pids;

    /// <summary>Whether the init of the namespace that a task is born in exists.</summary>
    public static bool CanBeBorn(RestoredTask task) => BirthPlace(task) is not { Init.Leader.Remote: null };

    /// <summary>The flag of an init.</summary>
    public static CloneFlags FlagOf(RestoredTask task) => task.Pids?.Init == task ? CloneFlags.CLONE_NEWPID : 0;

    /// <summary>Queues that the next children of a task are born in a namespace.</summary>
    public static void QueueEnter(RestoredTask task, NestedPids there, RemoteBatch batch)
        => QueueEnter(there.Init.Leader.IdFor(task), batch);

    /// <summary>Queues that they are born where the task is.</summary>
    public static void QueueReturn(RemoteBatch batch) => QueueEnter(batch.Call(Sysno.getpid), batch);

    /// <summary>Queues what makes the next child of a task be born where the images say.</summary>
    public static void QueueForChildren(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        uint id = task.Ids.PidForChildrenNsId;
        if (id == NestedPids.WithoutTask)
        {
            batch.Call(Sysno.unshare, (long)CloneFlags.CLONE_NEWPID);
            return;
        }

        NestedPids there = context.NestedPids.Find(known => known.Id == id && (task.Pids is null || known.Contains(task.Pids)))
            ?? throw new CheckpointException($"task {task.Pid} is to have its children in pid namespace {id}, which no task is in")
            {
                Phase = "tasks",
                Pid = task.Pid,
            };
        QueueEnter(task, there, batch);
    }

    /// <summary>What an init does first of all, while it is in its parent's mount namespace.</summary>
    public static void Begin(RestoreContext context, IEnumerable<RestoredTask> children)
    {
        foreach (RestoredTask init in children.Where(child => child is { IsZombie: false, Pids: { } its } && its.Init == child))
        {
            PidNamespace.SetLastPid(context, init.Pids!);
            NestedProcs.MakeAhead(context, init);
        }
    }

    private static void QueueEnter(RemoteArgument process, RemoteBatch batch)
    {
        Slot there = batch.Call(Sysno.pidfd_open, process, 0);
        batch.Call(Sysno.setns, there, (int)CloneFlags.CLONE_NEWPID);
        batch.Call(Sysno.close, there);
    }
}
