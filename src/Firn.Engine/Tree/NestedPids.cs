using Firn.Images;

namespace Firn.Engine.Tree;

/// <summary>A pid namespace of a restored tree below the one that its root is in. pid_namespaces(7).</summary>
/// <remarks>
/// Its init gets it from its clone3(2). Who is in it has an id in each namespace from the root's on, and those are chosen together
/// (set_tid).
/// </remarks>
internal sealed class NestedPids
{
    /// <summary>The id of <see cref="TaskKobjIdsEntry.PidForChildrenNsId"/> for a namespace that has no task yet.</summary>
    public const uint WithoutTask = uint.MaxValue;

    /// <summary>Its id in the ids of tasks; 0 for one whose init is a zombie, and which nobody else is in.</summary>
    public required uint Id { get; init; }

    /// <summary>The namespace that it was made in; null for that of the tree's root.</summary>
    public required NestedPids? Parent { get; init; }

    /// <summary>Its first process, with which it ends.</summary>
    public required RestoredTask Init { get; init; }

    /// <summary>The user namespace below that of the tree's root that owns it; null for the root's.</summary>
    public RestoredNamespace? Owner { get; set; }

    /// <summary>How many namespaces it is below that of the tree's root.</summary>
    public int Depth => Parent is null ? 1 : Parent.Depth + 1;

    /// <summary>Whether tasks of this one are seen in another: it is the same, or above it.</summary>
    public bool Contains(NestedPids other)
    {
        for (NestedPids? at = this; at is not null; at = at.Parent)
        {
            if (at == other)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Finds out which there are, and says for each task in which it is.</summary>
    /// <returns>All but those that end with a zombie.</returns>
    /// <exception cref="ImageFormatException">The ids of the tree contradict each other.</exception>
    public static List<NestedPids> Plan(LoadedImages images, List<RestoredTask> tasks)
    {
        Dictionary<uint, NestedPids> known = [];
        IEnumerable<RestoredTask> inits = tasks.Where(task => task is { IsZombie: false, PidDepth: > 0, OwnPid: 1 });
        foreach (RestoredTask init in inits.OrderBy(task => task.PidDepth))
        {
            known.TryGetValue(images.One<PidnsEntry>(ImageKind.Pidns, init.Ids.PidNsId).ParentId, out NestedPids? above);
            known.TryAdd(init.Ids.PidNsId, new NestedPids { Id = init.Ids.PidNsId, Parent = above, Init = init });
        }

        foreach (RestoredTask task in tasks.Where(task => task.PidDepth > 0))
        {
            if (task.Parent is null)
            {
                throw Damaged(task, "the root of the tree is in a pid namespace below that of the root");
            }

            task.Pids = task.IsZombie ? OfZombie(task, known)
                : known.TryGetValue(task.Ids.PidNsId, out NestedPids? its) ? its
                : throw Damaged(task, $"no process has the id 1 in its pid namespace {task.Ids.PidNsId}");
            if (task.Pids.Depth != task.PidDepth
                || (task.Pids.Init != task && GenerationOf(task.Pids.Init) > GenerationOf(task)))
            {
                throw Damaged(task, "its pid namespace has no first process before it, or it has another depth than its ids");
            }
        }

        if (tasks.Find(task => !task.IsZombie && task.PidDepth == 0 && task.Ids.PidNsId != tasks[0].Ids.PidNsId) is { } lost)
        {
            throw Damaged(lost, "it is in a pid namespace of its own, and has no id there");
        }

        return [.. known.Values];
    }

    /// <summary>How far a process is from the root: what comes nearer is made before.</summary>
    public static int GenerationOf(RestoredTask task) => task.Creator is null ? 0 : GenerationOf(task.Creator) + 1;

    // The kernel tells no namespace of a zombie: its parent's, that of its parent's children, or one that ends with it.
    private static NestedPids OfZombie(RestoredTask task, Dictionary<uint, NestedPids> known)
    {
        RestoredTask parent = task.Parent!;
        if (task.PidDepth == parent.PidDepth)
        {
            return parent.Pids!;
        }

        return known.TryGetValue(parent.Ids.PidForChildrenNsId, out NestedPids? found) && found.Depth == task.PidDepth
            ? found
            : task is { OwnPid: 1 } && task.PidDepth == parent.PidDepth + 1
            ? new NestedPids { Id = 0, Parent = parent.Pids, Init = task }
            : throw Damaged(task, "it is a zombie in a pid namespace that none of its kin is in");
    }

    private static ImageFormatException Damaged(RestoredTask task, string what)
        => new ImageFormatException(
            ImageKind.Pstree.FileName(0),
            0,
            "pid-namespace",
            $"task {task.Pid}: {what}; the image set is damaged: dump again");
}
