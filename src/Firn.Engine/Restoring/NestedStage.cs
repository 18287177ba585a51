using Firn.Engine.Kinds;
using Firn.Engine.Kinds.Sockets;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Restoring;

/// <summary>The making of namespaces of a tree that its root is not in.</summary>
/// <remarks>
/// The first task makes each, by unshare(2), and goes home. What is left is a descriptor: by it Firn's thread goes there to open files, and
/// each task that isn't to be where its parent is, as soon as it is born. setns(2).
/// </remarks>
internal static class NestedStage
{
    /// <summary>Finds out which there are.</summary>
    /// <exception cref="CheckpointException">There are some of a kind that can't be made again.</exception>
    public static List<RestoredNamespace> Plan(LoadedImages images, List<RestoredTask> tasks)
    {
        List<RestoredNamespace> nested = [];
        TaskKobjIdsEntry dumper = images.One<InventoryEntry>(ImageKind.Inventory).RootIds ?? new TaskKobjIdsEntry();
        foreach (NamespaceKind kind in NamespaceKinds.All.Where(kind => kind.Flag != CloneFlags.CLONE_NEWPID))
        {
            uint roots = kind.GetId(tasks[0].Ids);
            foreach (RestoredTask task in tasks.Where(task => !task.IsZombie && kind.GetId(task.Ids) is not 0 and uint id && id != roots))
            {
                if (!kind.CanBeNested)
                {
                    throw new CheckpointException(
                        $"task {task.Pid} is in another {kind.Name} namespace than the tree's root, and such trees can't be restored yet")
                    {
                        Phase = "prepare",
                        Pid = task.Pid,
                    };
                }

                uint its = kind.GetId(task.Ids);
                if (!nested.Exists(known => known.Kind == kind && known.Id == its))
                {
                    nested.Add(new RestoredNamespace { Kind = kind, Id = its, IsFirns = its == kind.GetId(dumper) });
                }
            }
        }

        // User namespaces that no task is in any more, and in which others were made.
        for (int i = 0; i < nested.Count; i++)
        {
            if (nested[i].Kind.Flag == CloneFlags.CLONE_NEWUSER
                && images.One<UsernsEntry>(ImageKind.Userns, nested[i].Id).ParentId is not 0 and uint parent
                && !nested.Exists(known => known.Id == parent))
            {
                nested.Add(new RestoredNamespace { Kind = nested[i].Kind, Id = parent });
            }
        }

        return nested;
    }

    /// <summary>What comes before the root.</summary>
    public static void Prepare(RestoreContext context)
    {
        foreach (RestoredNamespace own in context.Nested)
        {
            if (own.IsFirns)
            {
                own.Entrance = Keep(context, Sys.Open($"/proc/thread-self/ns/{own.Kind.Name}", OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC));
            }
            else
            {
                own.Kind.BeforeRoot(context, own);
                own.Entrance = own.Joined;
            }
        }
    }

    /// <summary>Makes and fills those of a kind.</summary>
    /// <param name="context">The restore.</param>
    /// <param name="kind">The kind. The root's own of it is there.</param>
    /// <param name="tree">The tree, with its first task.</param>
    public static void Make(RestoreContext context, NamespaceKind kind, GrowingTree tree)
    {
        Remote first = tree.First;
        List<RestoredNamespace> wanted = context.Nested.FindAll(own => own.Kind == kind);
        if (wanted.Count == 0)
        {
            return;
        }

        if (kind.Flag == CloneFlags.CLONE_NEWUSER)
        {
            wanted.OrderBy(own => NestedUserStage.DepthOf(context, own)).ToList().ForEach(own => NestedUserStage.Make(context, own, tree));
            wanted.ForEach(own => own.Entrance = Keep(context, own.Entrance!));
            return;
        }

        context.Files.State.Get<Homes>().ByKind.Add(kind.Flag, Keep(context, NamespaceVisit.Open(first.Tracee.Tid, kind.Name)));
        if (kind.Flag == CloneFlags.CLONE_NEWNS)
        {
            // Their mounts are all made together.
            List<RestoredNamespace> made = wanted.FindAll(own => !own.IsFirns);
            made.ForEach(own => kind.InRoot(context, own, first));
            made.FindAll(own => own.Owner is not null).ForEach(own => NestedUserStage.TakeOver(own, tree));
            made.ForEach(own => own.Entrance = Keep(context, own.Entrance!));
            return;
        }

        foreach (RestoredNamespace own in wanted.Where(own => own.Entrance is null))
        {
            if (own.Owner is null)
            {
                Make(context, own, first, true);
                continue;
            }

            StandIn maker = NestedUserStage.StartIn(own.Owner, tree, []);
            Make(context, own, maker.Self, false);
            own.NumberInFirst = NestedUserStage.HandTo(first, own.Entrance!);
            maker.End();
        }
    }

    /// <summary>Takes from the first task what it kept for the making of mounts.</summary>
    public static void Forget(RestoreContext context, Remote first)
    {
        int[] numbers = [.. context.Nested.Select(own => own.NumberInFirst).Where(number => number >= 0)];
        if (numbers.Length > 0)
        {
            Array.ForEach(numbers, number => first.Batch.Call(Sysno.close, number));
            first.Batch.Run("nested namespaces");
        }
    }

    // Who has gone into a user namespace to make what that owns has no right to go home.
    private static void Make(RestoreContext context, RestoredNamespace own, Remote first, bool returns)
    {
        const int ForReading = (int)(OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        NamespaceKind kind = own.Kind;
        Action after = kind.BeforeNested(context, own, first);
        RemoteBatch batch = first.Batch;
        RemoteBuffer path = batch.Text($"/proc/thread-self/ns/{kind.Name}");
        Slot home = batch.Call(Sysno.openat, At.AT_FDCWD, path, ForReading);
        batch.Call(Sysno.unshare, (long)kind.Flag);
        RemoteBuffer entrance = batch.Text($"/proc/thread-self/ns/{kind.EntranceName}");
        Slot number = batch.Call(Sysno.openat, At.AT_FDCWD, entrance, ForReading);
        batch.Run($"a nested {kind.Name} namespace");
        after();
        own.NumberInFirst = number.Int32;
        own.Entrance = Keep(context, NamespaceVisit.Open(first.Tracee.Tid, kind.EntranceName));
        kind.InRoot(context, own, first);
        if (kind.Flag != CloneFlags.CLONE_NEWTIME)
        {
            using NamespaceVisit visit = NamespaceVisit.Enter(own.Entrance, kind.Flag);
            if (kind.Flag == CloneFlags.CLONE_NEWNET)
            {
                context.Files.State.Get<RestoredConnections>().Lock(context, own.Id);
            }

            kind.ByController(context, own);
        }

        if (returns)
        {
            batch.Call(Sysno.setns, home.Int32, (int)kind.Flag);
        }

        batch.Call(Sysno.close, home.Int32);
        batch.Run($"back from a nested {kind.Name} namespace");
    }

    /// <summary>Whether a task is in another namespace than its parent.</summary>
    public static bool HasOthers(RestoreContext context, RestoredTask task)
        => context.Nested.Count > 0 && Differing(context, task).Any();

    /// <summary>Queues what takes a task that was just born from its parent's namespaces to its own.</summary>
    public static void QueueJoining(RestoreContext context, RestoredTask task, RemoteBatch batch)
        => QueueJoining(context, task, batch, static _ => true);

    /// <summary>Queues the same for some of the namespaces only.</summary>
    /// <param name="context">The restore.</param>
    /// <param name="task">The task.</param>
    /// <param name="batch">Where to queue it.</param>
    /// <param name="isWanted">Which, by the nested user namespace that owns them.</param>
    public static void QueueJoining(
        RestoreContext context, RestoredTask task, RemoteBatch batch, Func<RestoredNamespace?, bool> isWanted)
    {
        foreach (NamespaceKind kind in Differing(context, task))
        {
            RestoredNamespace? nested = NestedNamespaces.Find(context, kind.Flag, kind.GetId(task.Ids));
            if (isWanted(nested?.Owner))
            {
                Fd entrance = nested?.Entrance ?? context.Files.State.Get<Homes>().ByKind[kind.Flag];
                batch.Call(Sysno.setns, entrance.Number, (int)kind.Flag);
            }
        }
    }

    private static IEnumerable<NamespaceKind> Differing(RestoreContext context, RestoredTask task)
        => task is { IsZombie: false, Parent: { IsZombie: false } parent }
            ? context.Nested.Select(own => own.Kind).Where(kind => kind.Flag != CloneFlags.CLONE_NEWUSER).Distinct()
                .Where(kind => kind.GetId(task.Ids) is not 0 and uint id && id != kind.GetId(parent.Ids))
            : [];

    private static Fd Keep(RestoreContext context, Fd fd)
    {
        Fd kept = context.Files.MoveToRegion(fd);
        context.Files.State.Get<Homes>().Kept.Add(kept);
        return kept;
    }

    // The root's own, to which tasks may come back.
    private sealed class Homes : IDisposable
    {
        public Dictionary<CloneFlags, Fd> ByKind { get; } = [];

        public List<Fd> Kept { get; } = [];

        public void Dispose() => Kept.ForEach(fd => fd.Dispose());
    }
}
