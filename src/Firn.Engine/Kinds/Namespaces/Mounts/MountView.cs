using System.Globalization;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>What Firn knows of a mount namespace of the tree that isn't Firn's own.</summary>
/// <remarks>All of it is seen from the namespace's root, wherever the root directories of the tasks are.</remarks>
internal sealed class MountView(DumpedNamespace own) : IDisposable
{
    private Fd? root;

    /// <summary>The namespace.</summary>
    public DumpedNamespace Own { get; } = own;

    /// <summary>The mounts, in the order of CRIU's images: the latest first.</summary>
    public IReadOnlyList<MntEntry> Entries { get; private set; } = [];

    /// <summary>All mounts of the namespace, also those that are left out.</summary>
    public IReadOnlyList<MntEntry> AllEntries { get; private set; } = [];

    /// <summary>The tree of mounts, parents before children; none if they couldn't be joined to one.</summary>
    public IReadOnlyList<MountNode> Nodes { get; private set; } = [];

    /// <summary>The types of file systems, by mount.</summary>
    public IReadOnlyDictionary<uint, MountEntry> Found { get; private set; } = new Dictionary<uint, MountEntry>();

    /// <summary>What to put before a path of the namespace so that Firn finds it.</summary>
    public string Prefix => $"/proc/self/fd/{root!.Number}";

    /// <summary>Mounts that can't be reached by their path, since others cover them.</summary>
    public HashSet<uint> Covered { get; } = [];

    /// <summary>Looks at the namespace. Nothing is changed.</summary>
    public void Look(DumpContext context)
    {
        // The roots of cgroup mounts are shown as the reader's cgroup namespace has them.
        CloneFlags flags = Own.Kind.Flag;
        flags |= context.NamespaceOf(Own.Member, CloneFlags.CLONE_NEWCGROUP).IsFirns ? 0 : CloneFlags.CLONE_NEWCGROUP;
        List<MountEntry> mounts;
        Dictionary<uint, uint> shown = [];
        using (NamespaceVisit.Enter(Own.Member.PidFd.Number, flags))
        {
            root = Sys.Open("/", OpenFlags.O_PATH | OpenFlags.O_DIRECTORY);
            mounts = MountInfo.ReadOwn();
            foreach (MountEntry mount in mounts.Where(mount => !IsReachable(mount)))
            {
                Covered.Add((uint)mount.Id);
            }

            foreach (MountEntry mount in mounts.Where(mount => mount.FileSystemType == "proc"))
            {
                shown[(uint)mount.Id] = Covered.Contains((uint)mount.Id) ? 0 : NestedProcs.ShownBy(context, mounts, mount);
            }
        }

        Found = mounts.ToDictionary(mount => (uint)mount.Id);
        IdMap users = IdMap.Read(context.Tasks[0].Pid, "uid_map");
        IdMap groups = IdMap.Read(context.Tasks[0].Pid, "gid_map");
        Entries = AllEntries = [.. Enumerable.Reverse(mounts).Select(mount => Describe(mount, users, groups))];
        foreach (MntEntry entry in Entries.Where(entry => shown.GetValueOrDefault(entry.MntId) != 0))
        {
            entry.PidNsId = shown[entry.MntId];
        }
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

    /// <summary>Whether the mount point of a mount leads to it, where the thread is.</summary>
    public static bool IsReachable(MountEntry mount)
        => !Sys.StatxAt(At.AT_FDCWD, mount.MountPoint, At.AT_SYMLINK_NOFOLLOW, StatxMask.STATX_MNT_ID, out Statx stat).IsError
            && stat.stx_mnt_id == (ulong)mount.Id;

    /// <inheritdoc/>
    public void Dispose() => root?.Dispose();

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
