using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Cgroups;
using Firn.Linux.Procfs;

namespace Firn.Engine.Freezing;

/// <summary>Finds the control groups that stop a tree, or hold it stopped.</summary>
internal sealed class FreezerGroups
{
    private readonly List<CgroupMembership> own = [.. CgroupMembership.Read("self").Where(IsFreezer)];
    private List<CgroupHierarchy>? hierarchies;

    // Version 2 first: it stops tasks without keeping a tracer from them.
    private List<CgroupHierarchy> Hierarchies
        => hierarchies ??= [.. CgroupHierarchy.FindMounted().Where(IsFreezer).OrderBy(hierarchy => hierarchy.Name.Length)];

    /// <summary>The group that a user has named, as a directory or as a path in a hierarchy.</summary>
    /// <exception cref="CheckpointException">There is none, or it holds Firn itself.</exception>
    public CgroupFreezer Named(string name)
    {
        IEnumerable<string?> directories = Hierarchies.Select(hierarchy => hierarchy.DirectoryOf("/" + name.Trim('/'))).Prepend(name);
        foreach (string? directory in directories)
        {
            if (directory is null || CgroupFreezer.Of(new Cgroup(directory.TrimEnd('/'))) is not { } freezer)
            {
                continue;
            }

            return freezer.Group.AllProcesses().Contains(Sys.GetPid())
                ? throw Failure($"cgroup {directory} holds firn itself, which would stop with it; run firn from another cgroup")
                : freezer;
        }

        throw Failure(
            $"--freeze-cgroup {name}: there is no such cgroup with a freezer; name its directory, as /sys/fs/cgroup/freezer/NAME, "
                + "or for version 2 /sys/fs/cgroup/NAME");
    }

    /// <summary>The topmost group around a task that holds nothing but the task and its descendants; null if there is none.</summary>
    /// <param name="root">The root of the tree.</param>
    public CgroupFreezer? FindExclusive(int root)
    {
        List<CgroupMembership> memberships = Read(root);
        if (memberships.TrueForAll(HoldsFirn))
        {
            // A program of the same shell: the ordinary case, found out without a look at the mounts.
            return null;
        }

        var family = new Family(root);
        foreach (CgroupHierarchy hierarchy in Hierarchies)
        {
            CgroupMembership? membership = memberships.Find(its => its.Name == hierarchy.Name);
            Cgroup? best = null;
            for (string? path = membership?.Path; path is not (null or "/")
                && !HoldsFirn(membership! with { Path = path }); path = Parent(path))
            {
                if (hierarchy.DirectoryOf(path) is not string directory || !family.IsAlone(new Cgroup(directory)))
                {
                    break;
                }

                best = new Cgroup(directory);
            }

            if (best is not null && CgroupFreezer.Of(best) is { } freezer)
            {
                return freezer;
            }
        }

        return null;
    }

    /// <summary>The groups that were told to freeze and so hold any of these tasks: their own, and those above.</summary>
    public List<CgroupFreezer> FindFrozen(IEnumerable<int> pids)
    {
        HashSet<string> looked = [];
        List<CgroupFreezer> frozen = [];
        foreach (CgroupMembership membership in pids.SelectMany(Read))
        {
            for (string path = membership.Path;
                path != "/" && looked.Add($"{membership.Name}:{path}") && !HoldsFirn(membership with { Path = path });
                path = Parent(path))
            {
                string? directory = Hierarchies.Find(hierarchy => hierarchy.Name == membership.Name)?.DirectoryOf(path);
                if (directory is not null && CgroupFreezer.Of(new Cgroup(directory)) is { IsFrozenItself: true } freezer)
                {
                    frozen.Add(freezer);
                }
            }
        }

        return frozen;
    }

    /// <summary>A group of its own for a tree that has none, right below where its root sits; version 1 where there is it.</summary>
    /// <remarks>A group of the freezer of version 1 changes nothing but that it can be frozen; one of version 2 may change
    /// accounts.</remarks>
    /// <exception cref="CheckpointException">There is no hierarchy with a freezer.</exception>
    public Cgroup PlaceFor(int root)
    {
        List<CgroupMembership> memberships = Read(root);
        foreach (CgroupHierarchy hierarchy in Enumerable.Reverse(Hierarchies))
        {
            string? path = memberships.Find(its => its.Name == hierarchy.Name)?.Path;
            if (path is not null && hierarchy.DirectoryOf(path) is string directory)
            {
                return new Cgroup($"{directory}/{MadeName(root)}");
            }
        }

        throw Failure("no hierarchy of cgroups with a freezer is mounted; mount one, as `mount -t cgroup2 none /sys/fs/cgroup`");
    }

    /// <summary>The name of a group that Firn makes for a tree that has none.</summary>
    public static string MadeName(int root) => $"firn-{root}";

    private static CheckpointException Failure(string message) => new(message) { Phase = "freeze" };

    private static string Parent(string path) => path[..path.LastIndexOf('/')] is { Length: > 0 } parent ? parent : "/";

    private static bool IsFreezer(CgroupMembership membership) => membership.IsUnified || membership.Controllers.Contains("freezer");

    private static bool IsFreezer(CgroupHierarchy hierarchy) => hierarchy.IsUnified || hierarchy.Name.Split(',').Contains("freezer");

    private static List<CgroupMembership> Read(int pid)
    {
        try
        {
            return [.. CgroupMembership.Read(pid).Where(IsFreezer)];
        }
        catch (LinuxException exception) when (exception.Errno is Errno.ENOENT or Errno.ESRCH)
        {
            return [];
        }
    }

    private bool HoldsFirn(CgroupMembership membership)
        => own.Exists(its => its.Name == membership.Name
            && (membership.Path == "/" || its.Path == membership.Path
                || its.Path.StartsWith(membership.Path + "/", StringComparison.Ordinal)));
}
