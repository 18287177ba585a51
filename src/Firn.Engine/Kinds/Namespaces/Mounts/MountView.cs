using System.Globalization;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>What Firn knows of the tree's mount namespace, if that isn't Firn's own. Of a dump's state.</summary>
/// <remarks>All of it is seen from the namespace's root, wherever the root directories of the tasks are.</remarks>
internal sealed class MountView : IDisposable
{
    private Fd? root;

    /// <summary>Whether the tree has a mount namespace of its own.</summary>
    public bool IsOwn => root is not null;

    /// <summary>The mounts, in the order of CRIU's images: the latest first.</summary>
    public IReadOnlyList<MntEntry> Entries { get; private set; } = [];

    /// <summary>All mounts of the namespace, also those that are left out.</summary>
    public IReadOnlyList<MntEntry> AllEntries { get; private set; } = [];

    /// <summary>The tree of mounts, parents before children; none if they couldn't be joined to one.</summary>
    public IReadOnlyList<MountNode> Nodes { get; private set; } = [];

    /// <summary>The types of file systems, by mount.</summary>
    public IReadOnlyDictionary<uint, MountEntry> Found { get; private set; } = new Dictionary<uint, MountEntry>();

    /// <summary>What to put before a path of the namespace so that Firn finds it; empty if it is Firn's namespace too.</summary>
    public string Prefix => root is null ? string.Empty : $"/proc/self/fd/{root.Number}";

    /// <summary>Mounts that can't be reached by their path, since others cover them.</summary>
    public HashSet<uint> Covered { get; } = [];

    /// <summary>Looks at the namespace. Nothing is changed.</summary>
    public void Look(DumpContext context, DumpedNamespace own)
    {
        // The roots of cgroup mounts are shown as the reader's cgroup namespace has them.
        CloneFlags flags = own.Kind.Flag;
        flags |= context.Namespace(CloneFlags.CLONE_NEWCGROUP).IsFirns ? 0 : CloneFlags.CLONE_NEWCGROUP;
        List<MountEntry> mounts;
        using (NamespaceVisit.Enter(own.Member.PidFd.Number, flags))
        {
            root = Sys.Open("/", OpenFlags.O_PATH | OpenFlags.O_DIRECTORY);
            mounts = MountInfo.ReadOwn();
            foreach (MountEntry mount in mounts.Where(mount => !IsReachable(mount)))
            {
                Covered.Add((uint)mount.Id);
            }
        }

        Found = mounts.ToDictionary(mount => (uint)mount.Id);
        IdMap users = IdMap.Read(own.Member.Pid, "uid_map");
        IdMap groups = IdMap.Read(own.Member.Pid, "gid_map");
        Entries = AllEntries = [.. Enumerable.Reverse(mounts).Select(mount => Describe(mount, users, groups))];
    }

    /// <summary>Leaves mounts out, and what is mounted on them.</summary>
    public void Skip(IReadOnlyCollection<string> mountPoints)
    {
        HashSet<uint> skipped = [.. Entries.Where(entry => mountPoints.Contains(entry.Mountpoint)).Select(entry => entry.MntId)];
        while (Entries.FirstOrDefault(entry => skipped.Contains(entry.ParentMntId) && !skipped.Contains(entry.MntId)) is { } below)
        {
            skipped.Add(below.MntId);
        }

        Entries = [.. Entries.Where(entry => !skipped.Contains(entry.MntId))];
    }

    /// <summary>Joins the mounts, once it is known which are external.</summary>
    /// <exception cref="FormatException">They are no tree.</exception>
    public void Join() => Nodes = MountNode.Build(Entries);

    /// <summary>The mount that a file is on, for its entry; -1 where mounts aren't saved.</summary>
    public int MountOf(OpenFile file)
    {
        if (!IsOwn || file.IsDescriptor)
        {
            return IsOwn ? file.Info.MountId : -1;
        }

        return Sys.StatxAt(At.AT_FDCWD, file.ProcPath, 0, StatxMask.STATX_MNT_ID, out Statx stat).IsError ? -1 : (int)stat.stx_mnt_id;
    }

    /// <inheritdoc/>
    public void Dispose() => root?.Dispose();

    private static bool IsReachable(MountEntry mount)
        => !Sys.StatxAt(At.AT_FDCWD, mount.MountPoint, At.AT_SYMLINK_NOFOLLOW, StatxMask.STATX_MNT_ID, out Statx stat).IsError
            && stat.stx_mnt_id == (ulong)mount.Id;

    private static MntEntry Describe(MountEntry mount, IdMap users, IdMap groups)
    {
        MountFlags superFlags = MountText.FlagsOfFileSystem(mount.SuperOptions, out string options);
        var entry = new MntEntry
        {
            Fstype = (uint)FileSystems.Code(mount.FileSystemType),
            MntId = (uint)mount.Id,
            RootDev = (mount.DevMajor << 20) | mount.DevMinor,
            ParentMntId = (uint)mount.ParentId,
            Flags = (uint)(MountText.FlagsOf(mount.Options)
                | (mount.Shared != 0 ? MountFlags.MS_SHARED : 0)
                | (mount.Master != 0 ? MountFlags.MS_SLAVE : 0)
                | (mount.Unbindable ? MountFlags.MS_UNBINDABLE : 0)),
            Root = mount.Root,
            Mountpoint = mount.MountPoint,
            Source = mount.Source,
            Options = string.Join(',', options.Split(',').Select(word => MapIds(word, users, groups))),
            SharedId = (uint)mount.Shared,
            MasterId = (uint)mount.Master,
            SbFlags = (uint)superFlags,
        };
        if (mount.FileSystemType == "devpts")
        {
            entry.Options = entry.Options.Length == 0 ? "newinstance" : entry.Options + ",newinstance";
        }

        const string Deleted = "//deleted";
        if (entry.Root.EndsWith(Deleted, StringComparison.Ordinal))
        {
            entry.Deleted = true;
            entry.Root = entry.Root[..^Deleted.Length];
        }

        // nsfs has no paths; such a mount is external or refused.
        if (!entry.Root.StartsWith('/'))
        {
            entry.Root = "/";
        }

        return entry;
    }

    private static string MapIds(string word, IdMap users, IdMap groups)
    {
        foreach ((string key, IdMap map) in (ReadOnlySpan<(string, IdMap)>)[("uid=", users), ("gid=", groups)])
        {
            if (word.StartsWith(key, StringComparison.Ordinal)
                && uint.TryParse(word.AsSpan(key.Length), NumberStyles.None, CultureInfo.InvariantCulture, out uint id))
            {
                return string.Create(CultureInfo.InvariantCulture, $"{key}{map.ToInner(id)}");
            }
        }

        return word;
    }
}
