using Firn.Engine.Kinds.Namespaces.Mounts;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>A mount namespace: its tree of mounts, and what is in those file systems that exist nowhere else.</summary>
/// <remarks>
/// The root is always taken from outside (--root), as an engine has mounted it. Of the others, what the kernel fills is mounted anew, a
/// tmpfs with its content; what is on disks and in networks is external, or a bind mount of something that is. mount_namespaces(7).
/// </remarks>
internal sealed partial class MountNamespace : NamespaceKind
{
    /// <inheritdoc/>
    public override string Name => "mnt";

    /// <inheritdoc/>
    public override CloneFlags Flag => CloneFlags.CLONE_NEWNS;

    /// <inheritdoc/>
    public override ulong Inode(NamespaceIds ids) => ids.Mount;

    /// <inheritdoc/>
    public override uint GetId(TaskKobjIdsEntry ids) => ids.MntNsId;

    /// <inheritdoc/>
    public override void SetId(TaskKobjIdsEntry ids, uint id) => ids.MntNsId = id;

    /// <inheritdoc/>
    public override bool CanBeNested => true;

    // ---- dump

    /// <inheritdoc/>
    /// <remarks>What can be made again is known once all namespaces of the tree have been looked at.</remarks>
    public override void Examine(DumpContext context, DumpedNamespace own)
    {
        MountViews views = context.Files.State.Get<MountViews>();
        MountView view = views.Look(context, own);
        view.Skip(context.Options.SkippedMounts);
        foreach (MntEntry entry in view.Entries.Where(entry => entry.Fstype == (uint)Fstype.Unsupported))
        {
            // Said to have no content of their own.
            string type = view.Found[entry.MntId].FileSystemType;
            if (context.Options.EnabledFileSystems.Contains(type) || context.Options.EnabledFileSystems.Contains("all"))
            {
                entry.Fstype = (uint)Fstype.Auto;
                entry.Fsname = type;
            }
        }

        ExternalMounts external = ExternalMounts.Parse(context.Options.External);
        foreach (MntEntry entry in view.Entries)
        {
            if (external.Find(entry.Mountpoint) is { } key && entry.Mountpoint != "/")
            {
                entry.ExtKey = key;
            }
        }

        if (views.All.Count < context.Of(Flag).Count(found => !found.IsFirns))
        {
            return;
        }

        List<MountEntry> here = MountInfo.Read(Sys.GetPid());
        if (context.Namespace(Flag).IsFirns)
        {
            FindShared(views, here);
        }

        views.Join();
        FindForeignOverlays(views, here);
        if (external.FindsAll)
        {
            List<MountNode> unmakeable = [.. views.Forest.Nodes.Where(views.Forest.IsUnmakeable)];
            foreach (MountView its in views.All)
            {
                foreach (MountNode node in unmakeable.Intersect(its.Nodes))
                {
                    FindOutside(its, node.Entry, its.Found[node.Entry.MntId], here);
                }
            }
        }

        foreach (MountView its in views.All)
        {
            Refuse(context, views.Forest, its, external);
            RefuseGroups(context, views.Forest, its, external, here);
            NestedProcs.Examine(context, views.Forest, its);
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, DumpedNamespace own)
    {
        MountViews views = context.Files.State.Get<MountViews>();
        foreach (MntEntry entry in views.Of(own).Entries)
        {
            context.Images.Add(ImageKind.Mnts, own.Id, entry);
        }

        if (views.HasDumpedContents)
        {
            return;
        }

        views.HasDumpedContents = true;
        List<(uint Device, Fd Mount)> contents = [];
        try
        {
            OpenContents(views, contents);
            IdMap users = IdMap.Read(context.Tasks[0].Pid, "uid_map");
            IdMap groups = IdMap.Read(context.Tasks[0].Pid, "gid_map");
            foreach ((uint device, Fd mount) in contents)
            {
                string name = ImageKind.TmpfsDev.FileName(device);
                context.WrittenFiles.Add(name);
                using FileStream archive = File.Create(Path.Combine(context.Options.ImagesDirectory, name));
                using var content = new TmpfsContent(users, groups);
                content.Save(mount.Number, archive);
            }
        }
        finally
        {
            contents.ForEach(content => content.Mount.Dispose());
        }
    }

    // Where the tree's root shares Firn's mounts, what other namespaces have of the same file systems is there at the restore, too.
    private static void FindShared(MountViews views, List<MountEntry> here)
    {
        HashSet<(uint, uint)> devices = [.. here.Select(mount => (mount.DevMajor, mount.DevMinor))];
        foreach (MountView view in views.All)
        {
            foreach (MntEntry entry in view.Entries.Where(entry => !entry.HasExtKey))
            {
                MountEntry mount = view.Found[entry.MntId];
                if (devices.Contains((mount.DevMajor, mount.DevMinor)))
                {
                    FindOutside(view, entry, mount, here);
                }
            }
        }
    }

    // An overlay that is mounted here too wasn't made by the tree, and its layers are named by paths of somewhere else.
    private static void FindForeignOverlays(MountViews views, List<MountEntry> here)
    {
        foreach (MountView view in views.All.Where(view => view.Nodes.Any(node => node.Treatment == Treatment.Layers)))
        {
            using (view.Own.Visit())
            {
                foreach (MountNode node in view.Nodes.Where(node => node.Treatment == Treatment.Layers && views.Forest.IsMadeAnew(node)))
                {
                    (MountNode root, MountNode first) = views.Forest.FirstOf(node);
                    MountEntry mount = view.Found[node.Entry.MntId];
                    bool isHere = here.Exists(other => (other.DevMajor, other.DevMinor) == (mount.DevMajor, mount.DevMinor));
                    if (isHere || (node == first && !OverlayLayers.AreThere(root, MountsOf(view, node))))
                    {
                        _ = views.Forest.Foreign.Add(node.Entry.RootDev);
                    }
                }
            }
        }
    }

    private static List<MountNode> MountsOf(MountView view, MountNode node)
        => [.. view.Nodes.Where(other => other.Entry.RootDev == node.Entry.RootDev)];

    // What is mounted here too, at a path that leads to the same file or directory; else the same mount, if others cover it here.
    private static void FindOutside(MountView view, MntEntry entry, MountEntry mount, List<MountEntry> here)
    {
        FileStat inside = default;
        bool isCovered = view.Covered.Contains(entry.MntId)
            || Sys.StatAt(At.AT_FDCWD, view.Prefix + entry.Mountpoint, out inside).IsError;

        // nsfs has no paths: what is mounted of it is a single file.
        string root = mount.Root.StartsWith('/') ? entry.Root : mount.Root;
        MountEntry[] candidates = [.. here.Where(other => (other.DevMajor, other.DevMinor) == (mount.DevMajor, mount.DevMinor))];
        foreach (MountEntry candidate in candidates)
        {
            if ((root == candidate.Root ? string.Empty : PathText.Below(root, candidate.Root)) is not { } rest)
            {
                continue;
            }

            string path = rest.Length == 0 ? candidate.MountPoint : candidate.MountPoint.TrimEnd('/') + "/" + rest;
            bool isThere = isCovered
                ? MountView.IsReachable(candidate)
                : !Sys.StatAt(At.AT_FDCWD, path, out FileStat outside).IsError
                    && (outside.st_dev, outside.st_ino) == (inside.st_dev, inside.st_ino);
            if (isThere)
            {
                entry.ExtKey = ExternalMounts.FoundKey;
                entry.Root = path;
                return;
            }
        }

        if (Array.Find(candidates, other => other.Root == mount.Root && other.MountPoint == mount.MountPoint) is { } hidden)
        {
            entry.ExtKey = ExternalMounts.FoundKey;
            entry.HiddenRoot = mount.Root;
            entry.HiddenType = mount.FileSystemType;
            entry.Root = hidden.MountPoint;
        }
    }

    private static void Refuse(DumpContext context, MountForest forest, MountView view, ExternalMounts external)
    {
        int pid = view.Own.Member.Pid;
        HashSet<MountNode> unmakeable = [.. view.Nodes.Where(forest.IsUnmakeable)];
        bool isHostsUser = context.Namespace(CloneFlags.CLONE_NEWUSER).IsFirns;
        foreach (MountNode node in view.Nodes.Where(node => node != forest.MainRoot && !node.IsExternal))
        {
            MountEntry mount = view.Found[node.Entry.MntId];
            string resource = $"mount {mount.MountPoint} ({mount.FileSystemType})";
            if (unmakeable.Contains(node))
            {
                context.Problems.Add(
                    "mount-external",
                    pid,
                    resource,
                    node.Treatment == Treatment.Layers
                        ? "it is an overlay, and its layers aren't all in mounts of the tree that can be made before it"
                        : external.FindsAll
                        ? "it is of a file system outside, and not mounted where Firn is"
                        : $"it is of a file system outside, {mount.Source} {mount.Root}, which isn't saved",
                    $"say that it is there at the restore too: --external mnt[{mount.MountPoint}]:KEY, and then --external mnt[KEY]:PATH");
            }
            else if (node.Entry.Deleted)
            {
                context.Problems.Add(
                    "mount-deleted",
                    pid,
                    resource,
                    $"{mount.Root[..^"//deleted".Length]}, which is mounted there, was removed from its file system",
                    $"unmount it, or name it: --external mnt[{mount.MountPoint}]:KEY");
            }
            else if (node.Treatment == Treatment.FreshForHost && !isHostsUser)
            {
                context.Problems.Add(
                    "mount-user-namespace",
                    pid,
                    resource,
                    "no one in the tree's user namespace could mount it again",
                    $"name it: --external mnt[{mount.MountPoint}]:KEY");
            }
        }

        // What a user namespace owns comes back as a copy, in which groups would be others.
        bool isOwned = NamespaceOwners.NestedOwner(context, view.Own) is not null;
        foreach (MountNode node in view.Nodes.Where(node => isOwned && node.Entry.SharedId != 0))
        {
            context.Problems.Add(
                "mount-nested-shared",
                pid,
                $"mount {node.Entry.Mountpoint}",
                "it shares new mounts, in a mount namespace that a user namespace below that of the tree's root owns",
                "make it private (mount --make-private)");
        }

        MountViews views = context.Files.State.Get<MountViews>();
        bool isOutOfReach = isOwned || !isHostsUser;
        foreach (MountNode node in ContentMounts(views).Where(node => view.Nodes.Contains(node) && IsHidden(views, node) && isOutOfReach))
        {
            context.Problems.Add(
                "mount-covered",
                pid,
                $"mount {node.Entry.Mountpoint} (tmpfs)",
                "other mounts cover it, so that its content can't be read from outside of the tree's user namespace",
                "unmount what covers it");
        }
    }

    // Groups of mounts here, and of those there: a number means the same in both.
    private static void RefuseGroups(
        DumpContext context, MountForest forest, MountView view, ExternalMounts external, List<MountEntry> here)
    {
        HashSet<uint> outside = [.. here.Select(mount => (uint)mount.Shared).Where(id => id != 0)];
        HashSet<uint> inside = [.. forest.Nodes.Select(node => node.Entry.SharedId).Where(id => id != 0)];

        // With one that is taken from outside comes its group; another member, or slave of its master, is made of that.
        List<MntEntry> taken = [.. forest.Nodes.Where(node => IsTaken(forest, node)).Select(node => node.Entry)];
        outside.ExceptWith(taken.Select(entry => entry.SharedId));
        inside.UnionWith(taken.Where(entry => entry.SharedId == 0).Select(entry => entry.MasterId));
        foreach (MountNode node in view.Nodes)
        {
            MntEntry entry = node.Entry;
            if (IsTaken(forest, node))
            {
                if (entry.SharedId != 0 && !here.Exists(mount => mount.Shared == entry.SharedId))
                {
                    entry.InternalSharing = true;
                }

                continue;
            }

            if (outside.Contains(entry.SharedId) && !external.AllowsSharing)
            {
                context.Problems.Add(
                    "mount-external-sharing",
                    view.Own.Member.Pid,
                    $"mount {entry.Mountpoint}",
                    "it shares new mounts with others outside the tree, and that can't be made again",
                    "make it private (mount --make-private), or give --enable-external-sharing: it then shares with none outside");
            }

            if (entry.MasterId != 0 && !inside.Contains(entry.MasterId) && !external.AllowsMasters)
            {
                context.Problems.Add(
                    "mount-external-master",
                    view.Own.Member.Pid,
                    $"mount {entry.Mountpoint}",
                    "it gets new mounts from one outside the tree, and that can't be made again",
                    "make it private (mount --make-private), or give --enable-external-masters: it then gets none");
            }
        }
    }

    private static bool IsTaken(MountForest forest, MountNode node) => node == forest.MainRoot || node.IsExternal;

    // One mount of the whole of each tmpfs that is saved; one that can be reached, if there is any.
    private static IEnumerable<MountNode> ContentMounts(MountViews views)
        => views.Forest.Nodes
            .Where(node => !node.IsExternal && node.Entry.Root == "/" && node.Treatment == Treatment.Content
                && views.Forest.IsMadeAnew(node))
            .GroupBy(node => node.Entry.RootDev)
            .Select(group => group.OrderBy(node => IsHidden(views, node)).First());

    // An unbindable mount can't be copied by itself, and what is mounted on it covers its files.
    private static bool IsHidden(MountViews views, MountNode node)
        => views.All.Any(view => view.Covered.Contains(node.Entry.MntId))
            || (node.Children.Count > 0 && (node.Flags & MountFlags.MS_UNBINDABLE) != 0);

    // Where something is mounted on one, a copy of it alone, which is mounted nowhere itself.
    private static void OpenContents(MountViews views, List<(uint Device, Fd Mount)> contents)
    {
        const int Copy = MountCall.OPEN_TREE_CLONE | MountCall.OPEN_TREE_CLOEXEC;
        ILookup<bool, MountNode> wanted = ContentMounts(views).ToLookup(node => IsHidden(views, node));
        foreach (MountView view in views.All)
        {
            using (view.Own.Visit())
            {
                foreach (MountNode node in wanted[false].Intersect(view.Nodes))
                {
                    string path = node.Entry.Mountpoint;
                    int flags = node.Children.Count > 0 ? Copy : MountCall.OPEN_TREE_CLOEXEC;
                    contents.Add((node.Entry.RootDev, new Fd(Sys.OpenTree(At.AT_FDCWD, path, flags).OrThrow($"open_tree({path})").Int32)));
                }
            }

            MountNode[] hidden = [.. wanted[true].Intersect(view.Nodes)];
            if (hidden.Length > 0)
            {
                contents.AddRange(CoveredMounts.Open(view.Own, view, hidden));
            }
        }
    }
}
