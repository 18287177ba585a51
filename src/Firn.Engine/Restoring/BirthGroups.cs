using Firn.Engine.Tree;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Restoring;

/// <summary>Process groups that tasks in a pid namespace have from outside of it: no call in there could name them.</summary>
/// <remarks>
/// A group is inherited, and a parent may put a child into another as long as that has not executed a program (setpgid(2)). So whoever
/// comes into a namespace gets such a group from its parent before it has children of its own.
/// </remarks>
internal sealed class BirthGroups(RestoreContext context)
{
    private readonly Dictionary<RestoredTask, uint> groups = [];

    /// <summary>Says that a task leads a session, and the group of that.</summary>
    public void BeginsSession(RestoredTask task) => groups[task] = task.Entry.Pid;

    /// <summary>Says that tasks were made, in the group of their creator.</summary>
    /// <param name="creator">Who has made them.</param>
    /// <param name="session">The session of an absent leader that they were born in, and its group; 0 for the creator's.</param>
    /// <param name="children">The tasks.</param>
    public void Born(RestoredTask creator, uint session, IEnumerable<RestoredTask> children)
    {
        foreach (RestoredTask child in children)
        {
            groups[child] = session != 0 ? session : Of(creator);
            if (child is { IsZombie: false, Parent: { } parent } && child.Pids != parent.Pids)
            {
                Join(child, parent);
            }
        }
    }

    private void Join(RestoredTask child, RestoredTask parent)
    {
        uint wanted = Unseen(child, child.Pids!).FirstOrDefault();
        if (wanted == 0 || wanted == Of(child))
        {
            return;
        }

        RestoredTask leader = context.Tasks.Find(task => task.Entry.Pid == wanted && task.Leader.Remote is not null && !task.IsZombie)
            ?? throw new CheckpointException(
                $"task {child.Pid} is to be in process group {wanted}, whose leader is outside of its pid namespace and comes later")
            {
                Phase = "forking",
                Pid = child.Pid,
            };
        if (Of(leader) != wanted)
        {
            leader.Leader.Remote.Batch.Call(Sysno.setpgid, 0, 0);
            leader.Leader.Remote.Batch.Run($"process group {wanted}");
            groups[leader] = wanted;
        }

        RemoteBatch batch = parent.Leader.Remote.Batch;
        batch.Call(Sysno.setpgid, child.Leader.IdFor(parent), leader.Leader.IdFor(parent));
        batch.Run($"process group {wanted}");
        groups[child] = wanted;
    }

    // Of the task, and of those that it will have made in there.
    private static IEnumerable<uint> Unseen(RestoredTask task, NestedPids there)
    {
        if (task.IsZombie || task.Pids?.Contains(there) != true || task.Entry.Sid == task.Entry.Pid)
        {
            return [];
        }

        IEnumerable<uint> own = task.OwnGroup == 0 && task.Entry.Pgid != 0 ? [task.Entry.Pgid] : [];
        return own.Concat(task.Created.SelectMany(child => Unseen(child, there)));
    }

    private uint Of(RestoredTask task) => groups.TryGetValue(task, out uint group) ? group : task.Entry.Pgid;
}
