using Firn.Linux.Procfs;

namespace Firn.Linux.Cgroups;

/// <summary>A hierarchy of control groups, and where it can be reached in the file system.</summary>
/// <param name="Name">Its controllers separated by commas, or <c>name=NAME</c>; empty for the unified one, version 2.</param>
/// <param name="MountPoint">Where it is mounted.</param>
/// <param name="Root">The group that is the root of that mount, as a path in the hierarchy.</param>
public sealed record CgroupHierarchy(string Name, string MountPoint, string Root)
{
    private const string NamePrefix = "name=";

    /// <summary>Whether this is the unified hierarchy, version 2.</summary>
    public bool IsUnified => Name.Length == 0;

    /// <summary>The hierarchies that are mounted where this process can reach them, in the order of /proc/self/cgroup.</summary>
    public static List<CgroupHierarchy> FindMounted() => Find(CgroupMembership.Read("self"), MountInfo.Read(Sys.GetPid()));

    /// <summary>Finds for each hierarchy the mount that shows most of it.</summary>
    /// <param name="memberships">The hierarchies that there are.</param>
    /// <param name="mounts">All mounts.</param>
    public static List<CgroupHierarchy> Find(IEnumerable<CgroupMembership> memberships, IEnumerable<MountEntry> mounts)
    {
        List<MountEntry> candidates = [.. mounts.Where(mount => mount.FileSystemType is "cgroup" or "cgroup2")];
        List<CgroupHierarchy> found = [];
        foreach (CgroupMembership membership in memberships)
        {
            MountEntry? best = candidates.Where(mount => IsOf(mount, membership)).MinBy(mount => mount.Root.Length);
            if (best is not null)
            {
                found.Add(new CgroupHierarchy(membership.Name, best.MountPoint, best.Root));
            }
        }

        return found;
    }

    /// <summary>The hierarchies below a directory that a user has prepared, one directory each (`--cgroup-yard`).</summary>
    /// <remarks>The names are CRIU's: of the controllers, separated by commas; without <c>name=</c>; <c>unified</c>.</remarks>
    public static List<CgroupHierarchy> InYard(string yard, IEnumerable<CgroupMembership> memberships)
        =>
        [
            .. memberships
                .Select(membership => new CgroupHierarchy(membership.Name, Path.Combine(yard, YardName(membership.Name)), "/"))
                .Where(hierarchy => Directory.Exists(hierarchy.MountPoint)),
        ];

    /// <summary>The directory of a group, or null when it lies above what is mounted.</summary>
    /// <param name="path">Its path in the hierarchy, beginning with a slash.</param>
    public string? DirectoryOf(string path)
    {
        if (path.StartsWith("/..", StringComparison.Ordinal))
        {
            return null;
        }

        if (Root == "/")
        {
            return path == "/" ? MountPoint : MountPoint + path;
        }

        return path == Root ? MountPoint
            : path.StartsWith(Root + "/", StringComparison.Ordinal) ? MountPoint + path[Root.Length..]
            : null;
    }

    /// <summary>The path in the hierarchy of a directory below the mount, or null when it isn't.</summary>
    public string? PathOf(string directory)
    {
        string full = directory.Length > 1 ? directory.TrimEnd('/') : directory;
        string root = Root == "/" ? string.Empty : Root;
        return full == MountPoint ? Root
            : full.StartsWith(MountPoint + "/", StringComparison.Ordinal) ? root + full[MountPoint.Length..]
            : null;
    }

    private static string YardName(string name)
        => name.Length == 0 ? "unified" : name.StartsWith(NamePrefix, StringComparison.Ordinal) ? name[NamePrefix.Length..] : name;

    private static bool IsOf(MountEntry mount, CgroupMembership membership)
    {
        if (membership.IsUnified || mount.FileSystemType == "cgroup2")
        {
            return membership.IsUnified && mount.FileSystemType == "cgroup2";
        }

        string[] options = mount.SuperOptions.Split(',');
        return membership.Controllers.All(controller => options.Contains(controller));
    }
}
