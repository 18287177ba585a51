using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Tree;

/// <summary>The way into namespaces of a restored tree that its root is not in.</summary>
internal static class NestedNamespaces
{
    /// <summary>The nested namespace of an id, or null: then it is the root's.</summary>
    public static RestoredNamespace? Find(RestoreContext context, CloneFlags flag, uint id)
        => context.Nested.Find(own => own.Kind.Flag == flag && own.Id == id);

    /// <summary>Does work on a file with the thread where the file is: in the mount namespace that has its mount.</summary>
    public static void Within(RestoreContext context, FileEntry entry, Action work)
    {
        if (context.Nested.Count == 0)
        {
            work();
            return;
        }

        using NamespaceVisit? visit = VisitNetwork(context, entry.Type switch
        {
            FdTypes.Inetsk => entry.Isk.NsId,
            FdTypes.Netlinksk => entry.Nlsk.NsId,
            FdTypes.Packetsk => entry.Psk.NsId,
            FdTypes.Tunf => entry.Tunf.NsId,
            _ => 0,
        });
        if (entry.Type is FdTypes.Inotify or FdTypes.Fanotify)
        {
            // What is watched has its path as the task sees it.
            WithinMountNamespace(context, HolderOf(context, entry.Id), work);
            return;
        }

        WithinMount(context, MountOf(context, entry), work);
    }

    /// <summary>Lets the thread be in a nested network namespace, until the visit is disposed; null for the root's.</summary>
    public static NamespaceVisit? VisitNetwork(RestoreContext context, uint id)
        => context.Nested.Count > 0 && Find(context, CloneFlags.CLONE_NEWNET, id)?.Entrance is { } entrance
            ? NamespaceVisit.Enter(entrance, CloneFlags.CLONE_NEWNET)
            : null;

    /// <summary>Does work with the thread in the mount namespace that has a mount; what it leaves to be undone is undone there.</summary>
    public static void WithinMount(RestoreContext context, int mount, Action work)
        => WithinMountNamespace(context, OfMount(context, mount), work);

    private static RestoredNamespace? HolderOf(RestoreContext context, uint file)
        => context.Tasks.Find(task => task.Descriptors.Any(descriptor => descriptor.Id == file)) is { } holder
            ? Find(context, CloneFlags.CLONE_NEWNS, holder.Ids.MntNsId)
            : null;

    private static void WithinMountNamespace(RestoreContext context, RestoredNamespace? its, Action work)
    {
        if (its is not { Entrance: { } entrance })
        {
            work();
            return;
        }

        int before = context.Undo.Count;
        try
        {
            using NamespaceVisit visit = NamespaceVisit.Enter(entrance, CloneFlags.CLONE_NEWNS);
            work();
        }
        finally
        {
            List<Action> undo = [];
            while (context.Undo.Count > before)
            {
                undo.Add(context.Undo.Pop());
            }

            undo.Reverse();
            undo.ForEach(action => context.Undo.Push(() =>
            {
                using NamespaceVisit visit = NamespaceVisit.Enter(entrance, CloneFlags.CLONE_NEWNS);
                action();
            }));
        }
    }

    /// <summary>The nested namespace that has a mount; null for a mount of the root's namespace.</summary>
    public static RestoredNamespace? OfMount(RestoreContext context, int mount)
        => context.Nested.Count == 0 ? null : context.NestedMounts.GetValueOrDefault((uint)mount);

    private static int MountOf(RestoreContext context, FileEntry entry) => entry.Type switch
    {
        FdTypes.Reg => entry.Reg.MntId,
        FdTypes.Fifo when entry.Fifo.HasRegfId && context.Files.Entries.TryGetValue(entry.Fifo.RegfId, out FileEntry? path)
            => path.Reg?.MntId ?? -1,
        FdTypes.Tty when entry.Tty.HasRegfId && context.Files.Entries.TryGetValue(entry.Tty.RegfId, out FileEntry? path)
            => path.Reg?.MntId ?? -1,
        _ => -1,
    };
}
