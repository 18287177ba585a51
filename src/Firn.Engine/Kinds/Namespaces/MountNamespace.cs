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

    // ---- dump

    /// <inheritdoc/>
    public override void Examine(DumpContext context, DumpedNamespace own)
    {
        MountView view = context.Files.State.Get<MountView>();
        view.Look(context, own);
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
        List<MountEntry> here = MountInfo.Read(Sys.GetPid());
        foreach (MntEntry entry in view.Entries)
        {
            if (external.Find(entry.Mountpoint) is { } key && entry.Mountpoint != "/")
            {
                entry.ExtKey = key;
            }
        }

        if (external.FindsAll)
        {
            foreach (MountNode node in MountPlan.FindUnmakeable(view.Entries))
            {
                FindOutside(view, node.Entry, view.Found[node.Entry.MntId], here);
            }
        }

        view.Join();
        Refuse(context, own, view, external);
        RefuseGroups(context, own, view, external, here);
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, DumpedNamespace own)
    {
        MountView view = context.Files.State.Get<MountView>();
        foreach (MntEntry entry in view.Entries)
        {
            context.Images.Add(ImageKind.Mnts, own.Id, entry);
        }

        List<(uint Device, Fd Mount)> contents = [];
        try
        {
            OpenContents(own, view, contents);
            IdMap users = IdMap.Read(own.Member.Pid, "uid_map");
            IdMap groups = IdMap.Read(own.Member.Pid, "gid_map");
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

    // What is mounted here too, at a path that leads to the same file or directory.
    private static void FindOutside(MountView view, MntEntry entry, MountEntry mount, List<MountEntry> here)
    {
        Sys.StatAt(At.AT_FDCWD, view.Prefix + entry.Mountpoint, out FileStat inside);
        foreach (MountEntry candidate in here.Where(other => (other.DevMajor, other.DevMinor) == (mount.DevMajor, mount.DevMinor)))
        {
            if (PathText.Below(entry.Root, candidate.Root) is not { } rest)
            {
                continue;
            }

            string path = rest.Length == 0 ? candidate.MountPoint : candidate.MountPoint.TrimEnd('/') + "/" + rest;
            if (!Sys.StatAt(At.AT_FDCWD, path, out FileStat outside).IsError
                && (outside.st_dev, outside.st_ino) == (inside.st_dev, inside.st_ino))
            {
                entry.ExtKey = ExternalMounts.FoundKey;
                entry.Root = path;
                return;
            }
        }
    }

    private static void Refuse(DumpContext context, DumpedNamespace own, MountView view, ExternalMounts external)
    {
        int pid = own.Member.Pid;
        HashSet<MountNode> unmakeable = [.. view.Nodes.Where(node => MountPlan.IsUnmakeable(view.Nodes, node))];
        bool isHostsUser = context.Namespace(CloneFlags.CLONE_NEWUSER).IsFirns;
        foreach (MountNode node in view.Nodes.Where(node => node.Parent is not null && !node.IsExternal))
        {
            MountEntry mount = view.Found[node.Entry.MntId];
            string resource = $"mount {mount.MountPoint} ({mount.FileSystemType})";
            if (unmakeable.Contains(node))
            {
                context.Problems.Add(
                    "mount-external",
                    pid,
                    resource,
                    external.FindsAll
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

        foreach (MountNode node in ContentMounts(view).Where(node => IsHidden(view, node) && !isHostsUser))
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
        DumpContext context, DumpedNamespace own, MountView view, ExternalMounts external, List<MountEntry> here)
    {
        HashSet<uint> outside = [.. here.Select(mount => (uint)mount.Shared).Where(id => id != 0)];
        HashSet<uint> inside = [.. view.Entries.Select(entry => entry.SharedId).Where(id => id != 0)];
        foreach (MountNode node in view.Nodes)
        {
            MntEntry entry = node.Entry;
            bool isTaken = node.Parent is null || node.IsExternal;
            if (isTaken)
            {
                if (entry.SharedId != 0 && !outside.Contains(entry.SharedId))
                {
                    entry.InternalSharing = true;
                }

                continue;
            }

            if (outside.Contains(entry.SharedId) && !external.AllowsSharing)
            {
                context.Problems.Add(
                    "mount-external-sharing",
                    own.Member.Pid,
                    $"mount {entry.Mountpoint}",
                    "it shares new mounts with others outside the tree, and that can't be made again",
                    "make it private (mount --make-private), or give --enable-external-sharing: it then shares with none outside");
            }

            if (entry.MasterId != 0 && !inside.Contains(entry.MasterId) && !external.AllowsMasters)
            {
                context.Problems.Add(
                    "mount-external-master",
                    own.Member.Pid,
                    $"mount {entry.Mountpoint}",
                    "it gets new mounts from one outside the tree, and that can't be made again",
                    "make it private (mount --make-private), or give --enable-external-masters: it then gets none");
            }
        }
    }

    // One mount of the whole of each tmpfs that is saved; one that can be reached, if there is any.
    private static IEnumerable<MountNode> ContentMounts(MountView view)
        => view.Nodes
            .Where(node => !node.IsExternal && node.Entry.Root == "/" && node.Treatment == Treatment.Content
                && MountPlan.IsMadeAnew(view.Nodes, node))
            .GroupBy(node => node.Entry.RootDev)
            .Select(group => group.OrderBy(node => IsHidden(view, node)).First());

    // An unbindable mount can't be copied by itself, and what is mounted on it covers its files.
    private static bool IsHidden(MountView view, MountNode node)
        => view.Covered.Contains(node.Entry.MntId) || (node.Children.Count > 0 && (node.Flags & MountFlags.MS_UNBINDABLE) != 0);

    // Where something is mounted on one, a copy of it alone, which is mounted nowhere itself.
    private static void OpenContents(DumpedNamespace own, MountView view, List<(uint Device, Fd Mount)> contents)
    {
        const int Copy = MountCall.OPEN_TREE_CLONE | MountCall.OPEN_TREE_CLOEXEC;
        ILookup<bool, MountNode> wanted = ContentMounts(view).ToLookup(node => IsHidden(view, node));
        using (own.Visit())
        {
            foreach (MountNode node in wanted[false])
            {
                string path = node.Entry.Mountpoint;
                int flags = node.Children.Count > 0 ? Copy : MountCall.OPEN_TREE_CLOEXEC;
                contents.Add((node.Entry.RootDev, new Fd(Sys.OpenTree(At.AT_FDCWD, path, flags).OrThrow($"open_tree({path})").Int32)));
            }
        }

        if (wanted[true].Any())
        {
            contents.AddRange(CoveredMounts.Open(own, view, [.. wanted[true]]));
        }
    }
}
