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
            bool hasMaker = context.Tasks.Exists(
                task => !task.IsZombie && task.Ids.PidNsId == node.Entry.PidNsId && task.Ids.MntNsId == view.Own.Id);
            List<MountNode> near = [node, .. node.Children];
            if (node.Parent is { } parent && !IsSame(node, parent))
            {
                near.Add(parent);
            }

            bool isCovered = node.Children.Append(node).Any(one => view.Covered.Contains(one.Entry.MntId));
            bool isGrouped = near.Exists(one => one.Entry.MasterId != 0 || IsPeer(forest, one));
            if (!hasMaker || isCovered || isGrouped)
            {
                context.Problems.Add(
                    "mount-nested-proc",
                    view.Own.Member.Pid,
                    $"mount {node.Entry.Mountpoint} (proc)",
                    "it shows a pid namespace below that of the tree's root, and "
                        + (!hasMaker ? "no task of that namespace is in the mount namespace to mount it"
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
            IReadOnlyList<MountNode> nodes = MountNode.Build(context.Images.All<MntEntry>(ImageKind.Mnts, own.Id));
            foreach (IGrouping<uint, MountNode> proc in nodes.Where(node => node.Entry.HasPidNsId && !node.IsExternal)
                .GroupBy(node => node.Entry.RootDev))
            {
                MountNode whole = proc.First();
                RestoredTask maker = context.Tasks.Find(
                    task => !task.IsZombie && task.Pids?.Id == whole.Entry.PidNsId && task.Ids.MntNsId == own.Id)
                    ?? throw new ImageFormatException(
                        ImageKind.Mnts.FileName(own.Id),
                        -1,
                        "mount-pid-namespace",
                        $"says that {whole.Entry.Mountpoint} shows a pid namespace that no task in it is in; the image set is damaged");
                Put(maker.Leader.Remote.Batch, [.. proc]);
            }
        }
    }

    // What a call gave is known to later ones once its batch has run.
    private static void Put(RemoteBatch batch, List<MountNode> mounts)
    {
        const string Purpose = "a proc of a nested pid namespace";
        Slot made = Make(batch, mounts[0]);
        batch.Run(Purpose);
        Dictionary<MountNode, Slot> handles = [];
        foreach (MountNode node in mounts)
        {
            bool isWhole = node.Entry.Root == "/" && !handles.ContainsValue(made);
            handles.Add(node, isWhole ? made : Copy(batch, made.Int32, node.Entry.Root));
        }

        Dictionary<MountNode, Slot> moved = [];
        foreach (MountNode child in mounts.SelectMany(node => node.Children).Where(child => !handles.ContainsKey(child)))
        {
            batch.MakeRoom(1, BytesOfPath, Purpose);
            moved.Add(child, batch.Call(Sysno.open_tree, At.AT_FDCWD, batch.Text(child.Entry.Mountpoint), MountCall.OPEN_TREE_CLOEXEC));
        }

        batch.Run(Purpose);
        foreach (MountNode node in mounts)
        {
            var attributes = new MountAttr
            {
                attr_set = (ulong)MountText.Attributes(node.Flags),
                attr_clr = (ulong)MountText.AllAttributes,
            };
            Set(batch, handles[node].Int32, string.Empty, At.AT_EMPTY_PATH, attributes);
            if (node.Entry.SharedId != 0)
            {
                // From a shared mount nothing can be moved away.
                Set(batch, At.AT_FDCWD, node.Entry.Mountpoint, 0, new MountAttr { propagation = (ulong)MountFlags.MS_PRIVATE });
            }
        }

        // Below what is in the place: nothing that is mounted somewhere may go onto what is not (fs/namespace.c, do_move_mount()).
        List<MountNode> places = [.. mounts.Where(node => node.Parent is null || !IsSame(node, node.Parent))];
        places.ForEach(node => Move(batch, handles[node].Int32, At.AT_FDCWD, node.Entry.Mountpoint, MountCall.MOVE_MOUNT_BENEATH));
        foreach (MountNode node in mounts)
        {
            foreach (MountNode child in node.Children)
            {
                Move(batch, (handles.GetValueOrDefault(child) ?? moved[child]).Int32, handles[node].Int32, child.PlaceInParent, 0);
            }
        }

        foreach (MountNode node in places)
        {
            batch.MakeRoom(1, BytesOfPath, Purpose);
            batch.Call(Sysno.umount2, batch.Text(node.Entry.Mountpoint), MountCall.MNT_DETACH);
        }

        foreach (MountNode node in mounts.Where(node => node.Entry.SharedId != 0))
        {
            Set(batch, handles[node].Int32, string.Empty, At.AT_EMPTY_PATH, new MountAttr { propagation = (ulong)MountFlags.MS_SHARED });
        }

        // The rest of the restore has these numbers, and tables of descriptors are still to come.
        foreach (Slot handle in handles.Values.Concat(moved.Values))
        {
            batch.MakeRoom(1, 0, Purpose);
            batch.Call(Sysno.close, handle.Int32);
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
}
