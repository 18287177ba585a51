using System.Globalization;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Cgroups;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Cgroups;

/// <summary>The control groups of a tree that is restored: they are made, tasks go into them, and properties are set last.</summary>
/// <remarks>
/// The first move of a task costs 10 to 19 ms, as the kernel waits for a grace period: so the root alone is moved, before it has children,
/// and others only where they sat elsewhere. Limits are set when memory is in place. Undone, no group is left that was made here.
/// </remarks>
internal sealed class CgroupTree
{
    private readonly RestoreContext context;
    private readonly CgroupMode mode;
    private readonly CgroupEntry? image;
    private readonly uint outerSet;
    private readonly Dictionary<uint, CgSetEntry> sets = [];
    private readonly Dictionary<string, string> left;
    private readonly List<CgroupHierarchy> hierarchies;
    private readonly CgroupMaker maker;

    private CgroupTree(RestoreContext context, Dictionary<string, string> left)
    {
        this.context = context;
        this.left = left;
        mode = context.Options.ManageCgroups == CgroupMode.Default ? CgroupMode.Soft : context.Options.ManageCgroups;
        outerSet = context.Images.One<InventoryEntry>(ImageKind.Inventory).RootCgSet;

        // A copy: paths are moved in it, and mounts have to know where they were.
        image = mode == CgroupMode.Ignore ? null : context.Images.All<CgroupEntry>(ImageKind.Cgroup).FirstOrDefault()?.Clone();
        hierarchies = image is null && left.Count == 0
            ? []
            : CgroupDirectories.Hierarchies(context.Options.CgroupYard, CgroupMembership.Read("self"));
        maker = new CgroupMaker(context, mode);
    }

    /// <summary>The groups that were frozen when the tree was dumped: frozen again as the last act.</summary>
    public IReadOnlyList<CgroupFreezer> FrozenAtEnd => maker.FrozenAtEnd;

    /// <summary>The control groups of a restore, once they are made.</summary>
    public static CgroupTree Of(RestoreContext context) => context.Files.State.Take<CgroupTree>();

    /// <summary>Makes the groups; there is no process yet.</summary>
    /// <param name="context">The restore.</param>
    /// <param name="left">The groups that Firn was put into and has left: what the image does not place goes there.</param>
    /// <exception cref="CheckpointException">A group is there, or isn't, against what was asked for.</exception>
    public static CgroupTree Prepare(RestoreContext context, Dictionary<string, string> left)
    {
        var tree = new CgroupTree(context, left);
        context.Files.State.Put(tree);
        if (tree.image is not null)
        {
            tree.MoveRoots(tree.image);
            foreach (CgSetEntry set in tree.image.Sets)
            {
                tree.sets.Add(set.Id, set);
            }

            context.Undo.Push(tree.maker.Remove);
            foreach (CgControllerEntry controller in tree.image.Controllers.Where(controller => controller.Dirs.Count > 0))
            {
                tree.maker.Make(tree.Find(string.Join(',', controller.Cnames)), controller);
            }
        }

        return tree;
    }

    /// <summary>Moves the first task, which has no children yet; into the root of its cgroup namespace, if it gets one.</summary>
    /// <param name="pid">The task, as Firn sees it.</param>
    public void PlaceRoot(int pid) => Move(pid, PlacesOfRoot(), "cgroup.procs");

    /// <summary>Where the first task goes, by the names of hierarchies; in those that are missing it stays with Firn.</summary>
    public Dictionary<string, string> PlacesOfRoot()
    {
        Dictionary<string, string> paths = new(left);
        foreach (CgMemberEntry member in RootSet()?.Ctls ?? [])
        {
            paths[member.Name] = IsWithin(member) ? member.Path[..(int)member.CgnsPrefix] : member.Path;
        }

        return paths;
    }

    /// <summary>The root has its cgroup namespace: it goes on to its groups in there.</summary>
    public void PlaceRootWithin(int pid)
    {
        if (RootSet() is { } set)
        {
            Move(pid, set.Ctls.Where(IsWithin).ToDictionary(member => member.Name, member => member.Path), "cgroup.procs");
        }
    }

    /// <summary>Moves the first task to the root of a nested cgroup namespace, where it is to make it.</summary>
    /// <returns>What puts it back.</returns>
    public Action PlaceForNested(int pid, RestoredNamespace nested)
    {
        uint id = context.Tasks.Find(task => !task.IsZombie && task.Ids.CgroupNsId == nested.Id) is { } task ? SetOf(task.Leader) : 0;
        if (image is null || id == 0 || id == outerSet)
        {
            return static () => { };
        }

        Dictionary<string, string> home = CgroupMembership.Read(pid).ToDictionary(its => its.Name, its => its.Path);
        Move(
            pid,
            Set(id).Ctls.Where(member => member.CgnsPrefix > 0 && member.CgnsPrefix <= member.Path.Length)
                .ToDictionary(member => member.Name, member => member.Path[..(int)member.CgnsPrefix]),
            "cgroup.procs");
        return () => Move(pid, home, "cgroup.procs");
    }

    /// <summary>Moves a task that has just been made, if it doesn't sit where its parent does.</summary>
    public void Place(RestoredTask task)
    {
        if (task.Parent is null)
        {
            // It is where the first task was put.
            return;
        }

        uint parent = 0;
        for (RestoredTask? above = task.Creator; above is not null && parent == 0; above = above.Creator)
        {
            parent = SetOf(above.Leader);
        }

        Place(task.OuterPid, SetOf(task.Leader), parent == 0 ? outerSet : parent, "cgroup.procs");
    }

    /// <summary>Moves the threads of a task that don't sit where its leader does.</summary>
    public void PlaceThreads(RestoredTask task)
    {
        foreach (RestoredThread thread in task.Threads.Skip(1))
        {
            Place(thread.Remote.Tracee.Tid, SetOf(thread), SetOf(task.Leader), null);
        }
    }

    /// <summary>Sets what may only be set when all tasks are in place, limits above all.</summary>
    public void SetProperties() => maker.SetProperties();

    private static uint SetOf(RestoredThread thread)
        => thread.Core.ThreadCore is { HasCgSet: true } core ? core.CgSet : thread.Core.Tc?.CgSet ?? 0;

    private CgSetEntry? RootSet()
    {
        uint id = SetOf(context.Tasks[0].Leader);
        return image is null || id == 0 || id == outerSet ? null : Set(id);
    }

    private CgSetEntry Set(uint id) => sets.TryGetValue(id, out CgSetEntry? set)
        ? set
        : throw new ImageFormatException(
            "cgroup.img", 0, "cgroup-set", $"lacks the set {id}, in which a task sits; the image set is not complete");

    // The path goes on below the root of the tree's own cgroup namespace.
    private bool IsWithin(CgMemberEntry member)
        => context.OwnNamespace(CloneFlags.CLONE_NEWCGROUP) is not null
            && member.CgnsPrefix > 0 && member.CgnsPrefix < member.Path.Length;

    private void Place(int id, uint its, uint present, string? file)
    {
        if (image is null || its == 0 || its == present)
        {
            return;
        }

        CgSetEntry? from = sets.GetValueOrDefault(present);
        Dictionary<string, string> paths = Set(its).Ctls
            .Where(member => from?.Ctls.FirstOrDefault(other => other.Name == member.Name)?.Path != member.Path)
            .ToDictionary(member => member.Name, member => member.Path);
        Move(id, paths, file);
    }

    // No file named: that of threads, whose name differs between the versions.
    private void Move(int id, Dictionary<string, string> paths, string? file)
    {
        if (paths.Count == 0)
        {
            return;
        }

        List<CgroupMembership> present = CgroupMembership.Read(id);
        foreach ((string name, string path) in paths)
        {
            if (present.Find(its => its.Name == name)?.Path == path)
            {
                continue;
            }

            CgroupHierarchy hierarchy = Find(name);
            Cgroup group = maker.Existing(hierarchy, path);
            RefuseFrozen(hierarchy, path);
            string target = file ?? (hierarchy.IsUnified ? "cgroup.threads" : "tasks");
            SysResult result = group.TryWrite(target, id.ToString(CultureInfo.InvariantCulture));
            if (result.IsError)
            {
                throw CgroupMaker.Failure($"task {id} can't be moved into cgroup {group}", result.Errno);
            }
        }

        context.Log.LogDebug("pid {Pid} moved in {Count} hierarchies of cgroups", id, paths.Count);
    }

    // A task in a frozen group makes no call, so that nothing could be restored in it.
    private static void RefuseFrozen(CgroupHierarchy hierarchy, string path)
    {
        for (string above = path; above.Length > 1; above = above[..above.LastIndexOf('/')])
        {
            if (hierarchy.DirectoryOf(above) is string directory && CgroupFreezer.Of(new Cgroup(directory)) is { IsFrozenItself: true })
            {
                throw new RestoreConflictException($"cgroup {directory} is frozen, so that no task can be restored in it; thaw it first")
                {
                    Phase = "cgroups",
                };
            }
        }
    }

    private CgroupHierarchy Find(string name)
        => hierarchies.Find(hierarchy => hierarchy.Name == name)
            ?? hierarchies.Find(hierarchy => name.Length > 0 && name.Split(',').All(hierarchy.Name.Split(',').Contains))
            ?? throw new CheckpointException(
                $"the hierarchy of cgroups `{(name.Length == 0 ? "unified" : name)}` is not mounted here; mount it, or restore with "
                    + "--manage-cgroups=ignore")
            {
                Phase = "cgroups",
            };

    // As CRIU does it (--cgroup-root): the part of each path that is the group of the whole tree gives way to another.
    private void MoveRoots(CgroupEntry entry)
    {
        foreach (CgControllerEntry controller in entry.Controllers)
        {
            if (CgroupDirectories.RootOf(context.Options.CgroupRoots, controller.Cnames) is not string root)
            {
                continue;
            }

            string to = root.TrimEnd('/');
            List<CgMemberEntry> members =
                [.. entry.Sets.SelectMany(set => set.Ctls).Where(member => member.Name.Split(',').All(controller.Cnames.Contains))];
            int prefix = (int)(entry.Sets.FirstOrDefault(set => set.Id == SetOf(context.Tasks[0].Leader))?.Ctls
                .FirstOrDefault(members.Contains)?.CgnsPrefix ?? 0);
            foreach (CgroupDirEntry directory in controller.Dirs)
            {
                directory.DirName = Moved(members, "/" + directory.DirName.Trim('/'), to, prefix);
            }

            if (controller.Dirs.Count == 0 && members.MinBy(member => member.Path.Length) is { } top)
            {
                _ = Moved(members, top.Path, to, prefix);
            }
        }
    }

    // What lies outside of the root's cgroup namespace gives way, if it has one; nested ones begin somewhere below.
    private static string Moved(List<CgMemberEntry> members, string from, string to, int prefix)
    {
        string moved = from;
        foreach (CgMemberEntry member in members)
        {
            if (member.Path != from && !member.Path.StartsWith(from.TrimEnd('/') + "/", StringComparison.Ordinal))
            {
                continue;
            }

            int cut = prefix > 0 ? prefix : from.TrimEnd('/').Length;
            moved = to + from[Math.Min(cut, from.Length)..];
            member.Path = NotEmpty(to + member.Path[Math.Min(cut, member.Path.Length)..]);
            if (member.CgnsPrefix > 0)
            {
                member.CgnsPrefix = (uint)(to.Length + Math.Max(0, (int)member.CgnsPrefix - cut));
            }
        }

        return NotEmpty(moved);
    }

    private static string NotEmpty(string path) => path.Length == 0 ? "/" : path;
}
