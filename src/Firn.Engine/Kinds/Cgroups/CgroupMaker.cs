using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Cgroups;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Cgroups;

/// <summary>Makes control groups as cgroup.img has them, as far as the mode allows, and takes them away again should the restore
/// fail.</summary>
internal sealed class CgroupMaker(RestoreContext context, CgroupMode mode)
{
    private const int AllPermissions = 0xFFF;
    private const int RemovalPatience = 2000;

    // Refused once a group has tasks or children, so set when it is made.
    private static readonly string[] Early =
    [
        "cpuset.cpus", "cpuset.mems", "devices.list", "memory.kmem.limit_in_bytes", "memory.swappiness", "memory.oom_control",
        "memory.use_hierarchy", "cgroup.type",
    ];

    private readonly List<string> made = [];
    private readonly List<(Cgroup Group, IReadOnlyList<CgroupPropEntry> Properties)> later = [];

    /// <summary>The groups that are to be frozen as the last act.</summary>
    public List<CgroupFreezer> FrozenAtEnd { get; } = [];

    private bool MayMake => mode is CgroupMode.Soft or CgroupMode.Full or CgroupMode.Strict;

    /// <summary>Makes the groups of one hierarchy.</summary>
    /// <exception cref="CheckpointException">One is there, or isn't, against what was asked for.</exception>
    public void Make(CgroupHierarchy hierarchy, CgControllerEntry controller)
    {
        foreach (CgroupDirEntry entry in controller.Dirs)
        {
            Make(hierarchy, "/" + entry.DirName.Trim('/'), entry);
        }
    }

    /// <summary>A group that a task is to go into; made, where that is allowed, though the image says nothing of it.</summary>
    /// <exception cref="CheckpointException">It doesn't exist.</exception>
    public Cgroup Existing(CgroupHierarchy hierarchy, string path)
    {
        string directory = DirectoryOf(hierarchy, path);
        if (!Directory.Exists(directory))
        {
            if (!MayMake)
            {
                throw Missing(directory);
            }

            MakeDirectories(hierarchy, directory);
        }

        return new Cgroup(directory);
    }

    /// <summary>Sets what was left for later.</summary>
    /// <exception cref="CheckpointException">The kernel refuses a value.</exception>
    public void SetProperties()
    {
        foreach ((Cgroup group, IReadOnlyList<CgroupPropEntry> properties) in later)
        {
            foreach (CgroupPropEntry property in properties.Where(property => !Early.Contains(property.Name)))
            {
                if (property.Name is "cgroup.freeze" or "freezer.state")
                {
                    if (property.Value is "1" or "FROZEN" && CgroupFreezer.Of(group) is { } freezer)
                    {
                        FrozenAtEnd.Add(WithoutFirn(freezer));
                    }

                    continue;
                }

                Set(group, property);
            }
        }
    }

    /// <summary>Takes away what was made: no task of the tree is left.</summary>
    public void Remove()
    {
        long deadline = Environment.TickCount64 + RemovalPatience;
        foreach (string directory in Enumerable.Reverse(made))
        {
            SysResult result;
            while ((result = Sys.RmdirAt(At.AT_FDCWD, directory)).Errno == Errno.EBUSY && Environment.TickCount64 < deadline)
            {
                // Who was killed is counted until the last of it is gone.
                Thread.Sleep(1);
            }

            if (result.IsError && result.Errno != Errno.ENOENT)
            {
                context.Log.LogWarning("cgroup {Directory} was made, and can't be removed: {Errno}", directory, result.Errno);
            }
        }

        made.Clear();
    }

    /// <summary>The exception for what the kernel refuses.</summary>
    public static CheckpointException Failure(string what, Errno errno)
        => new($"{what}: {errno} ({ErrnoText.Describe(errno)}); mend the cgroup, or restore with --manage-cgroups=ignore")
        {
            Phase = "cgroups",
            Errno = errno,
        };

    // It would stop before it has let go of the tree.
    private static CgroupFreezer WithoutFirn(CgroupFreezer freezer)
        => freezer.Group.AllProcesses().Contains(Sys.GetPid())
            ? throw new CheckpointException(
                $"cgroup {freezer.Group} was frozen and is to be frozen again, and holds firn itself, which would stop with it; run firn "
                    + "from another cgroup, or restore with --manage-cgroups=ignore")
            {
                Phase = "cgroups",
            }
            : freezer;

    private void Make(CgroupHierarchy hierarchy, string path, CgroupDirEntry entry)
    {
        if (path != "/")
        {
            Cgroup group = new(DirectoryOf(hierarchy, path));
            bool isThere = Directory.Exists(group.Directory);
            if (isThere && mode == CgroupMode.Strict)
            {
                throw new RestoreConflictException(
                    $"cgroup {group} exists, and --manage-cgroups=strict wants to make it; remove it, or give another mode")
                {
                    Phase = "cgroups",
                };
            }

            if (!isThere)
            {
                if (!MayMake)
                {
                    throw Missing(group.Directory);
                }

                MakeDirectories(hierarchy, group.Directory);
                SetPermissions(group.Directory, entry.DirPerms);
                foreach (CgroupPropEntry property in entry.Properties.Where(property => Early.Contains(property.Name)))
                {
                    SetEarly(group, property);
                }
            }
            else if (mode != CgroupMode.None)
            {
                SetPermissions(group.Directory, entry.DirPerms);
            }

            if (!isThere || mode is CgroupMode.Full or CgroupMode.Properties)
            {
                later.Add((group, entry.Properties));
            }
        }

        foreach (CgroupDirEntry child in entry.Children)
        {
            Make(hierarchy, $"{path.TrimEnd('/')}/{child.DirName.Trim('/')}", child);
        }
    }

    private static string DirectoryOf(CgroupHierarchy hierarchy, string path)
        => path.Split('/').Contains("..") || hierarchy.DirectoryOf(path) is not string directory
            ? throw new CheckpointException(
                $"cgroup {path} of the hierarchy `{hierarchy.Name}` can't be reached: {hierarchy.MountPoint} shows only "
                    + $"{hierarchy.Root}; name "
                    + "another place with --cgroup-root, or restore with --manage-cgroups=ignore")
            {
                Phase = "cgroups",
            }
            : directory;

    private static CheckpointException Missing(string directory)
        => new($"cgroup {directory} does not exist, and this mode of --manage-cgroups makes none; make it, or "
            + "give `soft`")
        { Phase = "cgroups" };

    private void MakeDirectories(CgroupHierarchy hierarchy, string directory)
    {
        string parent = Path.GetDirectoryName(directory)!;
        if (!Directory.Exists(parent))
        {
            MakeDirectories(hierarchy, parent);
        }

        SysResult result = Sys.MkdirAt(At.AT_FDCWD, directory, 0x1ED);
        if (result.IsError)
        {
            throw Failure($"cgroup {directory} can't be made", result.Errno);
        }

        made.Add(directory);
        context.Log.LogDebug("cgroup {Directory} made", directory);
        if (!hierarchy.IsUnified && hierarchy.Name.Split(',').Contains("cpuset"))
        {
            // In version 1 a new group has no processors and no memory, and takes no task.
            foreach (string file in (ReadOnlySpan<string>)["cpuset.cpus", "cpuset.mems"])
            {
                new Cgroup(directory).Write(file, new Cgroup(parent).Read(file).Trim());
            }
        }
    }

    private void SetEarly(Cgroup group, CgroupPropEntry property)
    {
        switch (property.Name)
        {
            case "cgroup.type":
                if (property.Value == "threaded")
                {
                    Set(group, property);
                }

                break;
            case "memory.oom_control":
                if (property.Value != "0")
                {
                    Set(group, property);
                }

                break;
            case "devices.list":
                SetDevices(group, property.Value);
                break;
            default:
                Set(group, property);
                break;
        }
    }

    // All is denied, then each line is allowed by a write of its own.
    private static void SetDevices(Cgroup group, string value)
    {
        if (group.Read("devices.list").Trim() == value)
        {
            return;
        }

        Must(group, "devices.deny", "a");
        foreach (string line in value.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            Must(group, "devices.allow", line);
        }
    }

    private void Set(Cgroup group, CgroupPropEntry property)
    {
        if (property.Name.Contains('/', StringComparison.Ordinal))
        {
            throw new ImageFormatException("cgroup.img", 0, "cgroup-property", $"names `{property.Name}`, which is no file of a group");
        }

        string path = group.PathOf(property.Name);
        if (!group.Has(property.Name))
        {
            context.Log.LogWarning("{Path} does not exist here: its value {Value} is lost", path, property.Value);
            return;
        }

        SetPermissions(path, property.Perms);
        switch (property.Name)
        {
            case "cgroup.procs" or "tasks":
                break;
            case "cgroup.subtree_control":
                SetSubtree(group, property.Value);
                break;
            case "net_prio.ifpriomap":
                foreach (string line in property.Value.Split('\n').Where(line => !line.EndsWith(" 0", StringComparison.Ordinal)))
                {
                    // The interfaces of this machine may be others.
                    _ = group.TryWrite(property.Name, line);
                }

                break;
            default:
                if (group.Read(property.Name).Trim() != property.Value)
                {
                    Write(group, property);
                }

                break;
        }
    }

    private void Write(Cgroup group, CgroupPropEntry property)
    {
        if (property.Name is "io.max")
        {
            foreach (string line in property.Value.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                Must(group, property.Name, line);
            }

            return;
        }

        SysResult result = group.TryWrite(property.Name, property.Value);
        if (result.Errno == Errno.EOPNOTSUPP)
        {
            // Some files of version 1 can only be read by now, as memory.kmem.limit_in_bytes.
            context.Log.LogWarning("{Path}: this kernel takes no value any more, {Value} is lost", group.PathOf(property.Name),
                property.Value);
        }
        else if (result.IsError)
        {
            throw Failure($"{group.PathOf(property.Name)} can't be set to `{property.Value}`", result.Errno);
        }
    }

    private static void SetSubtree(Cgroup group, string value)
    {
        string[] present = group.Read("cgroup.subtree_control").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        string[] wanted = value.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        IEnumerable<string> changes =
            [.. present.Except(wanted).Select(controller
                => $"-{controller}"), .. wanted.Except(present).Select(controller => $"+{controller}")];
        if (changes.Any())
        {
            Must(group, "cgroup.subtree_control", string.Join(' ', changes));
        }
    }

    private static void Must(Cgroup group, string file, string value)
    {
        SysResult result = group.TryWrite(file, value);
        if (result.IsError)
        {
            throw Failure($"{group.PathOf(file)} can't be set to `{value}`", result.Errno);
        }
    }

    private static void SetPermissions(string path, CgroupPerms? permissions)
    {
        if (permissions is null)
        {
            return;
        }

        Sys.StatAt(At.AT_FDCWD, path, out FileStat stat).OrThrow($"stat({path})");
        if ((stat.st_mode & AllPermissions) != (permissions.Mode & AllPermissions))
        {
            Sys.FchmodAt(At.AT_FDCWD, path, permissions.Mode & AllPermissions).OrThrow($"chmod({path})");
        }

        if (stat.st_uid != permissions.Uid || stat.st_gid != permissions.Gid)
        {
            Sys.FchownAt(At.AT_FDCWD, path, permissions.Uid, permissions.Gid).OrThrow($"chown({path})");
        }
    }
}
