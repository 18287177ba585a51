using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>Mounts of a proc file system that shows a pid namespace below that of the tree's root.</summary>
/// <remarks>
/// A proc shows the namespace of who mounts it (fs/proc/root.c), and that exists only once its init does, long after mounts. So one of the
/// root's namespace has its place till then; a task of the nested one mounts the right one, brings over what is mounted on it, and
/// puts it in that place.
/// </remarks>
internal static class NestedProcs
{
    private const string Purpose = "a proc of a nested pid namespace";
    private const int BytesOfPath = 4096 + 256;

    // ---- dump

    /// <summary>The nested pid namespace that a mount of proc shows, or 0. The thread is in the mount namespace.</summary>
    public static uint ShownBy(DumpContext context, IEnumerable<MountEntry> mounts, MountEntry proc)
    {
        if (!context.Nested.Exists(own => own.Kind.Flag == CloneFlags.CLONE_NEWPID))
        {
            return 0;
        }

        // Of its init; where only a part is mounted, another mount of the same may have the whole.
        Span<byte> link = stackalloc byte[64];
        foreach (MountEntry mount in mounts.Where(
            other => other.Root == "/" && (other.DevMajor, other.DevMinor) == (proc.DevMajor, proc.DevMinor)))
        {
            SysResult result = Sys.ReadLinkAt(At.AT_FDCWD, mount.MountPoint.TrimEnd('/') + "/1/ns/pid", link);
            if (!result.IsError && NamespaceIds.TryParse(link[..result.Int32], out _, out ulong inode))
            {
                return context.Nested.Find(own => own.Kind.Flag == CloneFlags.CLONE_NEWPID && own.Inode == inode)?.Id ?? 0;
            }
        }

        return 0;
    }

    /// <summary>Whether a file is on such a mount.</summary>
    public static bool Holds(DumpContext context, OpenFile file)
    {
        MountViews views = context.Files.State.Get<MountViews>();
        uint mount = views.All.Count == 0 || !context.Nested.Exists(own => own.Kind.Flag == CloneFlags.CLONE_NEWPID)
            ? 0
            : (uint)Math.Max(0, views.MountOf(file));
        return mount != 0 && views.All.Any(view => view.AllEntries.Any(entry => entry.MntId == mount && entry.HasPidNsId));
    }

    /// <summary>Refuses those that could not be put in their place.</summary>
    public static void Examine(DumpContext context, MountForest forest, MountView view)
    {
        foreach (MountNode node in view.Nodes.Where(node => node.Entry.HasPidNsId && !node.IsExternal))
        {
            bool isOwned = NamespaceOwners.NestedOwner(context, view.Own) is not null;
            bool hasMaker = context.Tasks.Exists(
                task => !task.IsZombie && task.Ids.PidNsId == node.Entry.PidNsId && task.Ids.MntNsId == view.Own.Id
                    && (!isOwned || task.OwnPid == AddedInit.Pid));
            List<MountNode> near = [node, .. node.Children];
            if (node.Parent is { } parent && !IsSame(node, parent))
            {
                near.Add(parent);
            }

            bool isCovered = node.Children.Append(node).Any(one => view.Covered.Contains(one.Entry.MntId));
            bool isGrouped = near.Exists(one => one.Entry.MasterId != 0 || IsPeer(forest, one));
            bool isLocked = isOwned && node.Children.Exists(child => !IsSame(child, node));
            if (!hasMaker || isCovered || isGrouped || isLocked)
            {
                context.Problems.Add(
                    "mount-nested-proc",
                    view.Own.Member.Pid,
                    $"mount {node.Entry.Mountpoint} (proc)",
                    "it shows a pid namespace below that of the tree's root, and "
                        + (!hasMaker ? "no task of that namespace is in the mount namespace to mount it"
                            : isLocked ? "something else is mounted on it, in a mount namespace that a user namespace owns"
                            : isCovered ? "other mounts cover it, or what is mounted on it"
                            : "it or its parent shares mounts with others"),
                    "unmount it, or make it and its parent private (mount --make-private)");
            }
        }
    }

    private static bool IsPeer(MountForest forest, MountNode node)
        => node.Entry.SharedId != 0
        && forest.Nodes.Any(
            other => other != node && (other.Entry.SharedId == node.Entry.SharedId || other.Entry.MasterId == node.Entry.SharedId));

    private static bool IsSame(MountNode node, MountNode other) => node.Entry.HasPidNsId && node.Entry.RootDev == other.Entry.RootDev;

    // ---- restore

    /// <summary>
    /// The mounts that are made before any task: all, but for what a user namespace owns. There everything is locked from the start, and
    /// could not be taken away (mount_namespaces(7)).
    /// </summary>
    public static IEnumerable<MntEntry> WithPlace(RestoredNamespace own, IEnumerable<MntEntry> entries)
        => own.Owner is null ? entries : entries.Where(entry => !entry.HasPidNsId || entry.HasExtKey);

    /// <summary>Puts them in place, once all tasks exist and each is in its mount namespace, with that one's root.</summary>
    /// <exception cref="ImageFormatException">No task could mount one.</exception>
    public static void Restore(RestoreContext context)
    {
        if (context.NestedPids.Count == 0)
        {
            return;
        }

        foreach (RestoredNamespace own in context.Namespaces.Concat(context.Nested)
            .Where(own => own is { Kind: MountNamespace, IsFirns: false, IsFromImages: true }))
        {
            foreach (IGrouping<uint, MountNode> proc in Of(context, own))
            {
                MountNode whole = proc.First();
                if (context.Files.State.Get<Ahead>().Remove((own.Id, proc.Key), out (RestoredTask Init, int Number) ahead))
                {
                    Put(ahead.Init.Leader.Remote.Batch, [.. proc], ahead.Number, false);
                    continue;
                }

                RestoredTask maker = context.Tasks.Find(
                    task => !task.IsZombie && task.Pids?.Id == whole.Entry.PidNsId && task.Ids.MntNsId == own.Id)
                    ?? throw new ImageFormatException(
                        ImageKind.Mnts.FileName(own.Id),
                        -1,
                        "mount-pid-namespace",
                        $"says that {whole.Entry.Mountpoint} shows a pid namespace that no task in it is in; the image set is damaged");
                RemoteBatch batch = maker.Leader.Remote.Batch;
                Slot made = Make(batch, whole);
                batch.Run(Purpose);
                Put(batch, [.. proc], made.Int32, true);
            }
        }
    }

    /// <summary>
    /// Makes those of a mount namespace that a user namespace owns, by the init, before it goes there: the kernel lets it mount a proc only
    /// where another can be seen (fs/namespace.c, mount_too_revealing()), and there none may be.
    /// </summary>
    public static void MakeAhead(RestoreContext context, RestoredTask init)
    {
        RestoredNamespace? own = NestedNamespaces.Find(context, CloneFlags.CLONE_NEWNS, init.Ids.MntNsId);
        if (own?.Owner is null || init.BirthUser != own.Owner)
        {
            return;
        }

        RemoteBatch batch = init.Leader.Remote.Batch;
        foreach (IGrouping<uint, MountNode> proc in Of(context, own).Where(proc => proc.First().Entry.PidNsId == init.Pids!.Id))
        {
            // In a mount namespace that it has rights in: for the moment.
            batch.Call(Sysno.unshare, (long)CloneFlags.CLONE_NEWNS);
            Slot made = Make(batch, proc.First());
            batch.Call(Sysno.setns, own.Entrance!.Number, (int)CloneFlags.CLONE_NEWNS);
            batch.Run(Purpose);
            context.Files.State.Get<Ahead>().Add((own.Id, proc.Key), (init, made.Int32));
        }
    }

    private static IEnumerable<IGrouping<uint, MountNode>> Of(RestoreContext context, RestoredNamespace own)
        => MountNode.Build(context.Images.All<MntEntry>(ImageKind.Mnts, own.Id))
            .Where(node => node.Entry.HasPidNsId && !node.IsExternal).GroupBy(node => node.Entry.RootDev);

    // What a call gave is known to later ones once its batch has run.
    private static void Put(RemoteBatch batch, List<MountNode> mounts, int made, bool hasPlace)
    {
        Dictionary<MountNode, Slot> copies = [];
        MountNode? whole = mounts.Find(node => node.Entry.Root == "/");
        foreach (MountNode node in mounts.Where(node => node != whole))
        {
            copies.Add(node, Copy(batch, made, node.Entry.Root));
        }

        Dictionary<MountNode, Slot> moved = [];
        foreach (MountNode child in mounts.SelectMany(node => node.Children).Where(child => !mounts.Contains(child)))
        {
            batch.MakeRoom(1, BytesOfPath, Purpose);
            moved.Add(child, batch.Call(Sysno.open_tree, At.AT_FDCWD, batch.Text(child.Entry.Mountpoint), MountCall.OPEN_TREE_CLOEXEC));
        }

        batch.Run(Purpose);
        Dictionary<MountNode, int> handles = mounts.ToDictionary(node => node, node => node == whole ? made : copies[node].Int32);
        foreach (MountNode node in mounts)
        {
            var attributes = new MountAttr
            {
                attr_set = (ulong)MountText.Attributes(node.Flags),
                attr_clr = (ulong)MountText.AllAttributes,
            };
            Set(batch, handles[node], string.Empty, At.AT_EMPTY_PATH, attributes);
            if (node.Entry.SharedId != 0)
            {
                // From a shared mount nothing can be moved away.
                Set(batch, At.AT_FDCWD, node.Entry.Mountpoint, 0, new MountAttr { propagation = (ulong)MountFlags.MS_PRIVATE });
            }
        }

        // Below what is in the place: nothing that is mounted somewhere may go onto what is not (fs/namespace.c, do_move_mount()).
        List<MountNode> places = [.. mounts.Where(node => node.Parent is null || !IsSame(node, node.Parent))];
        int below = hasPlace ? MountCall.MOVE_MOUNT_BENEATH : 0;
        places.ForEach(node => Move(batch, handles[node], At.AT_FDCWD, node.Entry.Mountpoint, below));
        foreach (MountNode node in mounts)
        {
            foreach (MountNode child in node.Children)
            {
                Move(batch, handles.TryGetValue(child, out int part) ? part : moved[child].Int32, handles[node], child.PlaceInParent, 0);
            }
        }

        foreach (MountNode node in places.Where(_ => hasPlace))
        {
            batch.MakeRoom(1, BytesOfPath, Purpose);
            batch.Call(Sysno.umount2, batch.Text(node.Entry.Mountpoint), MountCall.MNT_DETACH);
        }

        foreach (MountNode node in mounts.Where(node => node.Entry.SharedId != 0))
        {
            Set(batch, handles[node], string.Empty, At.AT_EMPTY_PATH, new MountAttr { propagation = (ulong)MountFlags.MS_SHARED });
        }

        // The rest of the restore has these numbers, and tables of descriptors are still to come.
        foreach (int handle in handles.Values.Concat(moved.Values.Select(slot => slot.Int32)).Append(made).Distinct())
        {
            batch.MakeRoom(1, 0, Purpose);
            batch.Call(Sysno.close, handle);
        }

        batch.Run(Purpose);
    }

    private static Slot Make(RemoteBatch batch, MountNode node)
    {
        Slot fs = batch.Call(Sysno.fsopen, batch.Text("proc"), MountCall.FSOPEN_CLOEXEC);
        if (node.Entry.Source.Length > 0)
        {
            Configure("source", node.Entry.Source);
        }

        foreach (string word in MountText.WordsOfFileSystem((MountFlags)node.Entry.SbFlags))
        {
            Configure(word, null);
        }

        foreach ((string key, string? value) in MountText.Split(node.Entry.Options))
        {
            Configure(key, value);
        }

        batch.Call(Sysno.fsconfig, fs, (int)FsConfigCommand.FSCONFIG_CMD_CREATE, 0, 0, 0);
        Slot made = batch.Call(Sysno.fsmount, fs, MountCall.FSMOUNT_CLOEXEC, (ulong)MountText.Attributes(node.Flags));
        batch.Call(Sysno.close, fs);
        return made;

        void Configure(string key, string? value)
            => batch.Call(
                Sysno.fsconfig,
                fs,
                (int)(value is null ? FsConfigCommand.FSCONFIG_SET_FLAG : FsConfigCommand.FSCONFIG_SET_STRING),
                batch.Text(key),
                value is null ? 0 : batch.Text(value),
                0);
    }

    private static Slot Copy(RemoteBatch batch, int from, string root)
    {
        batch.MakeRoom(1, BytesOfPath, "a bind mount of proc");
        const int Flags = MountCall.OPEN_TREE_CLONE | MountCall.OPEN_TREE_CLOEXEC | At.AT_EMPTY_PATH;
        return batch.Call(Sysno.open_tree, from, batch.Text(root[1..]), Flags);
    }

    private static void Set(RemoteBatch batch, int mount, string path, int flags, in MountAttr attributes)
    {
        batch.MakeRoom(1, BytesOfPath, "attributes of a proc");
        batch.Call(
            Sysno.mount_setattr,
            mount,
            batch.Text(path),
            flags,
            batch.Data(attributes),
            System.Runtime.CompilerServices.Unsafe.SizeOf<MountAttr>());
    }

    private static void Move(RemoteBatch batch, int mount, int to, string place, int flags)
    {
        batch.MakeRoom(1, BytesOfPath, "a mount on a proc");
        batch.Call(
            Sysno.move_mount,
            mount,
            batch.Text(string.Empty),
            to,
            batch.Text(place),
            flags | MountCall.MOVE_MOUNT_F_EMPTY_PATH | (place.Length == 0 ? MountCall.MOVE_MOUNT_T_EMPTY_PATH : 0));
    }

    // Of a mount namespace and a device: who has it open, and the descriptor.
    private sealed class Ahead : Dictionary<(uint Namespace, uint Device), (RestoredTask Init, int Number)>
    {
    }
}
