using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Cgroups;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Cgroups;

/// <summary>The control groups of a tree with their properties, as cgroup.img holds them.</summary>
/// <remarks>
/// CRIU saves all that lies below the groups of the tree, the whole hierarchy if a task is in its root. Here a group that others share is
/// saved by itself, and only what the tree has alone is saved with all below it.
/// </remarks>
internal static class CgroupDirectories
{
    /// <summary>Whether what a user says of control groups can be understood and found; also when nothing of them is to be saved.</summary>
    /// <exception cref="CheckpointException">It can't.</exception>
    public static void Check(DumpOptions options)
    {
        if (options.CgroupProperties.Count > 0)
        {
            _ = new CgroupProperties(options.CgroupProperties);
        }

        if (options.CgroupYard is not null)
        {
            _ = Hierarchies(options.CgroupYard, []);
        }
    }

    /// <summary>Makes the entries of all hierarchies; with directories only if control groups are managed.</summary>
    /// <param name="context">The dump.</param>
    /// <param name="sets">Where the tasks sit.</param>
    public static IEnumerable<CgControllerEntry> Dump(DumpContext context, IReadOnlyCollection<CgSetEntry> sets)
    {
        List<CgroupMembership> own = [.. CgroupPlaces.Selected(context, CgroupMembership.Read("self"))];
        List<CgroupHierarchy> hierarchies = Hierarchies(context.Options.CgroupYard, own);
        var properties = new CgroupProperties(context.Options.CgroupProperties);
        foreach (CgroupMembership membership in own.OrderBy(its => its.Name.StartsWith("name=", StringComparison.Ordinal)))
        {
            var controller = new CgControllerEntry { IsThreaded = false };
            controller.Cnames.AddRange(membership.Controllers);
            if (context.Options.ManageCgroups != CgroupMode.Ignore)
            {
                CgroupHierarchy? hierarchy = hierarchies.Find(its => its.Name == membership.Name);
                if (hierarchy is null)
                {
                    context.Log.LogWarning("the hierarchy of cgroups {Name} is not mounted: its groups are not saved", membership.Name);
                }
                else
                {
                    new Walk(context, hierarchy, controller, [.. properties.Of(membership.Controllers)]).Run(sets);
                }
            }

            yield return controller;
        }
    }

    /// <summary>The hierarchies that can be reached: those that are mounted, or those of a yard that the user has prepared.</summary>
    /// <exception cref="CheckpointException">There is no such yard.</exception>
    public static List<CgroupHierarchy> Hierarchies(string? yard, IEnumerable<CgroupMembership> memberships)
    {
        if (yard is null)
        {
            return CgroupHierarchy.FindMounted();
        }

        return Directory.Exists(yard)
            ? CgroupHierarchy.InYard(yard, memberships)
            : throw new CheckpointException(
                $"--cgroup-yard {yard}: there is no such directory; name one in which each hierarchy of cgroups is mounted, by the name of "
                    + "its controllers");
    }

    /// <summary>The root that the user wants for a hierarchy, or null.</summary>
    public static string? RootOf(IReadOnlyList<CgroupRoot> roots, IEnumerable<string> controllers)
        => (roots.LastOrDefault(root => root.Controller is not null && controllers.Contains(root.Controller))
            ?? roots.LastOrDefault(root => root.Controller is null))?.Path;

    private sealed class Walk(DumpContext context, CgroupHierarchy hierarchy, CgControllerEntry controller, string[] properties)
    {
        private readonly Dictionary<string, CgroupDirEntry> entries = [];
        private readonly HashSet<int> tree = [.. context.Tasks.Select(task => task.Pid)];

        public void Run(IReadOnlyCollection<CgSetEntry> sets)
        {
            string? root = RootOf(context.Options.CgroupRoots, controller.Cnames);
            IEnumerable<string> paths = sets
                .SelectMany(set => set.Ctls)
                .Where(member => member.Name == hierarchy.Name)
                .Select(member => root ?? member.Path)
                .Distinct()
                .OrderBy(path => path.Length);
            foreach (string path in paths)
            {
                Add(path);
            }
        }

        private void Add(string path)
        {
            if (entries.ContainsKey(path) || hierarchy.DirectoryOf(path) is not string directory || !Directory.Exists(directory))
            {
                return;
            }

            var group = new Cgroup(directory);
            string above = entries.Keys.Where(other => IsBelow(path, other)).MaxBy(other => other.Length) ?? string.Empty;
            CgroupDirEntry entry = Make(group, path[Math.Min(path.Length, above.Length <= 1 ? 1 : above.Length + 1)..], path == "/");
            (above.Length == 0 ? controller.Dirs : entries[above].Children).Add(entry);
            entries.Add(path, entry);
            if (path != "/" && group.AllProcesses().TrueForAll(tree.Contains))
            {
                foreach (Cgroup child in group.Children())
                {
                    Add($"{path}/{Path.GetFileName(child.Directory)}");
                }
            }
        }

        private static bool IsBelow(string path, string above)
            => above == "/" || path.StartsWith(above + "/", StringComparison.Ordinal);

        private CgroupDirEntry Make(Cgroup group, string name, bool isRoot)
        {
            var entry = new CgroupDirEntry { DirName = name, DirPerms = Permissions(group.Directory) };
            foreach (string property in isRoot ? [] : properties)
            {
                if (Read(group, property) is { } found)
                {
                    entry.Properties.Add(found);
                }
            }

            // What can't be said by another property: a group that was frozen when the dump came, and is thawed for it.
            CgroupFreezer? freezer = context.FrozenBefore.FirstOrDefault(frozen => frozen.Group == group);
            if (freezer is not null)
            {
                CgroupPropEntry? state = entry.Properties.FirstOrDefault(its => its.Name == freezer.File);
                if (state is null)
                {
                    entry.Properties.Add(state = new CgroupPropEntry
                    {
                        Name = freezer.File,
                        Perms = Permissions(group.PathOf(freezer.File))
                    });
                }

                state.Value = freezer.FreezeText;
            }

            return entry;
        }

        private CgroupPropEntry? Read(Cgroup group, string property)
        {
            if (!group.Has(property))
            {
                return null;
            }

            string value = string.Empty;
            if (property is not ("cgroup.procs" or "tasks"))
            {
                try
                {
                    value = group.Read(property).TrimEnd('\n');
                }
                catch (LinuxException exception)
                {
                    // The kernel has the file, and does not serve it.
                    context.Log.LogDebug("{Group}/{Property} can't be read: {Errno}", group, property, exception.Errno);
                    return null;
                }
            }

            const string OutOfMemory = "oom_kill_disable ";
            if (property == "memory.oom_control")
            {
                value = value.Split('\n')[0].Replace(OutOfMemory, string.Empty, StringComparison.Ordinal);
            }

            // Its threads are where they are, each by itself: version 1 has that everywhere, version 2 in threaded groups.
            controller.IsThreaded |= property == "tasks" || (property == "cgroup.type" && value == "threaded");
            return new CgroupPropEntry { Name = property, Value = value, Perms = Permissions(group.PathOf(property)) };
        }

        private static CgroupPerms Permissions(string path)
        {
            Sys.StatAt(At.AT_FDCWD, path, out FileStat stat).OrThrow($"stat({path})");
            return new CgroupPerms { Mode = stat.st_mode, Uid = stat.st_uid, Gid = stat.st_gid };
        }
    }
}
