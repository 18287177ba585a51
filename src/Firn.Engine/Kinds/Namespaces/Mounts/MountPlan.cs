using System.Globalization;
using Firn.Images;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>The order in which a mount tree is made. Nothing here asks the kernel.</summary>
/// <remarks>
/// All file systems first, then bind mounts, while nothing covers what they are of; both mounted nowhere. Then the root is mounted, over
/// the old one, and children onto their parents, of siblings the deepest first. (Onto what Firn has opened, a task may mount nothing as
/// long as it is mounted nowhere; fs/namespace.c, check_anonymous_mnt().) Propagation comes last: a new mount on a shared parent would
/// appear elsewhere too, and pivot_root(2) refuses a shared root. Overlays are made of what is mounted by then, and the last to be. Further
/// namespaces are made one after the other, of what was made before any was; a mount's propagation can only be set in its own namespace
/// (fs/namespace.c, do_mount_setattr()).
/// </remarks>
internal sealed class MountPlan
{
    private readonly Func<MountNode, string?> outside;
    private readonly bool hasOwnCgroups;
    private readonly string rootPath;
    private readonly MountForest forest;
    private readonly IReadOnlyList<MountNode> nodes;
    private readonly Dictionary<MountNode, int> placeOf = [];
    private readonly List<int> namespaces = [];
    private readonly Dictionary<MountNode, int> handles = [];
    private readonly Dictionary<uint, int> fileSystems = [];
    private readonly Dictionary<MountNode, int> taken = [];
    private readonly Dictionary<int, SortedSet<int>> terminals = [];
    private readonly List<MountStep> outsiders = [];
    private readonly List<MountStep> sources = [];
    private readonly List<MountStep> assembly = [];
    private readonly List<(int Place, MountStep Step)> propagation = [];
    private readonly List<MountStep> orderedPropagation = [];
    private readonly List<string> missing = [];
    private int handleCount;

    private MountPlan(MountForest forest, string rootPath, Func<MountNode, string?> outside, bool hasOwnCgroups)
    {
        this.forest = forest;
        nodes = forest.Nodes;
        this.rootPath = rootPath;
        this.outside = outside;
        this.hasOwnCgroups = hasOwnCgroups;
    }

    /// <summary>How many handles there are.</summary>
    public int HandleCount => handleCount;

    /// <summary>What is taken from outside, by Firn.</summary>
    public IReadOnlyList<MountStep> Outsiders => outsiders;

    /// <summary>The making of file systems. Content is put in after these.</summary>
    public IReadOnlyList<MountStep> Sources => sources;

    /// <summary>All until the tree is the namespace's.</summary>
    public IReadOnlyList<MountStep> Assembly => assembly;

    /// <summary>Groups.</summary>
    public IReadOnlyList<MountStep> Propagation => orderedPropagation;

    /// <summary>Handles of the nested namespaces, in their order.</summary>
    public IReadOnlyList<int> Namespaces => [.. namespaces.Skip(1)];

    /// <summary>Whether the namespace that the tree's root is in is made, and not only nested ones.</summary>
    public bool HasMain => forest.MainRoot is not null;

    /// <summary>A proc file system without anything mounted on it: copied before that happens.</summary>
    public int ProcHandle { get; private set; } = -1;

    /// <summary>Mount points of what is external but lies nowhere: no path is known for it.</summary>
    public IReadOnlyList<string> Missing => missing;

    /// <summary>Plans the mount tree of a single namespace.</summary>
    /// <param name="entries">Its mounts.</param>
    /// <param name="rootPath">Where the root lies outside.</param>
    /// <param name="outside">Where an external mount lies outside; null if that isn't known.</param>
    /// <param name="hasOwnCgroups">Whether the tree has a cgroup namespace of its own.</param>
    /// <exception cref="FormatException">The mounts are no tree, or one can't be made.</exception>
    public static MountPlan Make(
        IEnumerable<MntEntry> entries, string rootPath, Func<MountNode, string?> outside, bool hasOwnCgroups = false)
        => Make(new MountForest([MountNode.Build(entries)], true), rootPath, outside, hasOwnCgroups);

    /// <summary>Plans the mount trees of all namespaces of a tree.</summary>
    /// <param name="forest">All mounts.</param>
    /// <param name="rootPath">Where the root lies outside.</param>
    /// <param name="outside">Where an external mount lies outside; null if that isn't known.</param>
    /// <param name="hasOwnCgroups">Whether the tree has a cgroup namespace of its own.</param>
    /// <exception cref="FormatException">A mount can't be made.</exception>
    public static MountPlan Make(MountForest forest, string rootPath, Func<MountNode, string?> outside, bool hasOwnCgroups)
    {
        var plan = new MountPlan(forest, rootPath, outside, hasOwnCgroups);
        plan.Run();
        return plan;
    }

    private void Run()
    {
        foreach (MountNode node in nodes.Where(node => !IsLate(node)))
        {
            AddSource(node);
        }

        ProcHandle = nodes.FirstOrDefault(node => node.Type == "proc" && fileSystems.ContainsKey(node.Entry.RootDev)) is { } proc
            ? Copy(fileSystems[proc.Entry.RootDev], string.Empty)
            : NewFileSystem("proc", "proc", string.Empty, MountFlags.None, MountAttributes.None, 0);

        const MountAttributes OfProc =
            MountAttributes.MOUNT_ATTR_NOSUID | MountAttributes.MOUNT_ATTR_NODEV | MountAttributes.MOUNT_ATTR_NOEXEC;
        assembly.Add(new SetAttributes(ProcHandle, OfProc));
        assembly.AddRange(nodes.Where(handles.ContainsKey).Select(SetAttributes));

        if (forest.MainRoot is null)
        {
            OpenNamespace();
        }

        for (int i = 0; i < forest.Trees.Count; i++)
        {
            if (namespaces.Count > 0)
            {
                assembly.Add(new NewNamespace());
            }

            Assemble(forest.Trees[i]);
            if (forest.Trees.Count > 1 || namespaces.Count > 0)
            {
                OpenNamespace();
            }
        }

        AddPropagation();
        OrderPropagation();
    }

    private void Assemble(IReadOnlyList<MountNode> tree)
    {
        List<MountNode> waiting = LateOf(tree);
        assembly.Add(new MountRoot(handles[tree[0]]));
        foreach (MountNode node in tree)
        {
            placeOf.Add(node, namespaces.Count);
            assembly.AddRange(node.Children.Where(child => !waiting.Contains(child)).Select(Attach));
        }

        assembly.Add(new EnterRoot(handles[tree[0]]));
        AddOverlays(waiting);
        assembly.AddRange(waiting.Select(Attach));
    }

    private Attach Attach(MountNode node) => new(handles[node], handles[node.Parent!], node.PlaceInParent);

    private SetAttributes SetAttributes(MountNode node) => new(handles[node], MountText.Attributes(node.Flags));

    private bool IsLate(MountNode node) => node.Treatment == Treatment.Layers && forest.IsMadeAnew(node);

    // Overlays, what is mounted on them, and what then covers their places.
    private List<MountNode> LateOf(IReadOnlyList<MountNode> tree)
    {
        HashSet<MountNode> late = [];
        List<MountNode> ordered = [];
        foreach (MountNode node in tree.Skip(1))
        {
            bool covers = node.Parent!.Children.Any(
                other => other != node && late.Contains(other) && PathText.Below("/" + other.PlaceInParent, PlaceOf(node)) is not null);
            if (IsLate(node) || late.Contains(node.Parent) || covers)
            {
                late.Add(node);
                ordered.Add(node);
            }
        }

        return ordered;

        static string PlaceOf(MountNode node) => "/" + node.PlaceInParent;
    }

    // Of directories that are named by their paths in this namespace. All copies are made while nothing is mounted on it.
    private void AddOverlays(List<MountNode> waiting)
    {
        foreach (MountNode first in waiting.Where(node => IsLate(node) && !fileSystems.ContainsKey(node.Entry.RootDev)))
        {
            foreach (MountNode node in nodes.Where(node => node.Entry.RootDev == first.Entry.RootDev))
            {
                AddInside(node);
                assembly.Add(SetAttributes(node));
            }
        }
    }

    // The first is where the root is to be in the end.
    private void OpenNamespace()
    {
        namespaces.Add(NewHandle());
        assembly.Add(new OpenNamespace(namespaces[^1], ProcHandle));
    }

    private void OrderPropagation()
    {
        int place = namespaces.Count - 1;
        foreach ((int wanted, MountStep step) in propagation)
        {
            Go(wanted);
            orderedPropagation.Add(step);
        }

        Go(0);

        void Go(int wanted)
        {
            if (wanted != place && namespaces.Count > 0)
            {
                orderedPropagation.Add(new JoinNamespace(namespaces[wanted]));
                place = wanted;
            }
        }
    }

    private void AddSource(MountNode node)
    {
        MntEntry entry = node.Entry;
        bool isAnew = forest.IsMadeAnew(node);
        string? path = node == forest.MainRoot ? rootPath : node.IsExternal ? outside(node) : null;

        // Engines name masked files, and the mounts of the container's own cgroups, as if they were the host's: they stay what they were.
        bool isMask = path == "/dev/null" && isAnew && node.Treatment == Treatment.Content;
        bool isPart = entry.Root != "/" && entry.ExtKey != ExternalMounts.FoundKey;
        bool isOwnCgroup = node.Type is "cgroup" or "cgroup2" && (hasOwnCgroups || isPart);
        if (path is not null && !isMask && !isOwnCgroup)
        {
            // Something made of it would appear outside too, were it in a group from the start.
            int handle = NewHandle();
            bool hasGroup = entry.MasterId != 0 || (entry.SharedId != 0 && !entry.InternalSharing);
            outsiders.Add(new TakeOutside(
                handle,
                path,
                hasGroup ? NewHandle() : -1,
                entry.Mountpoint,
                entry.HasHiddenRoot ? (entry.HiddenRoot, entry.HiddenType) : null));
            handles.Add(node, handle);
            taken.Add(node, handle);
        }
        else if (isAnew)
        {
            AddInside(node);
        }
        else if (forest.Host(node) is { } host && taken.TryGetValue(host, out int hostHandle))
        {
            int handle = NewHandle();
            outsiders.Add(new CopyTree(hostHandle, PathText.Below(entry.Root, host.Entry.Root)!, handle));
            handles.Add(node, handle);
        }
        else
        {
            missing.Add(entry.Mountpoint);
            handles.Add(node, NewHandle());
        }
    }

    private void AddInside(MountNode node)
    {
        MntEntry entry = node.Entry;
        if (!fileSystems.TryGetValue(entry.RootDev, out int instance))
        {
            MountAttributes attributes = node.Treatment == Treatment.Content ? default : MountText.Attributes(node.Flags);
            instance = NewFileSystem(node.Type, entry.Source, entry.Options, (MountFlags)entry.SbFlags, attributes, entry.RootDev);
            fileSystems.Add(entry.RootDev, instance);
        }

        // One of them is what was made, the others are copies. Terminals are opened through it, and are then where that is mounted.
        if (entry.Root == "/" && !handles.ContainsValue(instance))
        {
            handles.Add(node, instance);
            return;
        }

        string path = entry.Root[1..];
        if (node.Type == "devpts" && int.TryParse(path, NumberStyles.None, CultureInfo.InvariantCulture, out int index))
        {
            if (!terminals.TryGetValue(instance, out SortedSet<int>? indexes))
            {
                terminals.Add(instance, indexes = []);
                assembly.Add(new OpenTerminals(instance, indexes));
            }

            indexes.Add(index);
        }

        handles.Add(node, Copy(instance, path));
    }

    private int NewFileSystem(string type, string source, string options, MountFlags flags, MountAttributes attributes, uint device)
    {
        int handle = NewHandle();
        List<uint> mounts = [.. nodes.Where(node => node.Entry.RootDev == device).Select(node => node.Entry.MntId)];
        (type == "overlay" ? assembly : sources).Add(new MakeFileSystem(handle, type, source, options, flags, attributes, device, mounts));
        return handle;
    }

    private int Copy(int from, string path)
    {
        int handle = NewHandle();
        assembly.Add(new CopyTree(from, path, handle));
        return handle;
    }

    private int NewHandle() => handleCount++;

    // Masters come before their slaves.
    private void AddPropagation()
    {
        Dictionary<uint, int> groups = [];
        Dictionary<uint, int> slavesOfOutside = [];
        List<MountNode> waiting = [.. nodes.Where(node => node.Entry.SharedId != 0 || node.Entry.MasterId != 0)
            .OrderBy(node => node.Entry.Root.Length)];
        HashSet<uint> inside = [.. nodes.Select(node => node.Entry.SharedId).Where(id => id != 0)];
        while (waiting.Count > 0)
        {
            int ready = waiting.FindIndex(node => groups.ContainsKey(node.Entry.SharedId)
                || groups.ContainsKey(node.Entry.MasterId)
                || !inside.Contains(node.Entry.MasterId));
            if (ready < 0)
            {
                throw new FormatException("peer groups are each other's masters");
            }

            AddPropagation(waiting[ready], groups, slavesOfOutside);
            waiting.RemoveAt(ready);
        }

        foreach (MountNode node in nodes.Where(node => (node.Flags & MountFlags.MS_UNBINDABLE) != 0))
        {
            Propagate(node, new SetPropagation(handles[node], MountFlags.MS_UNBINDABLE));
        }
    }

    private void Propagate(MountNode node, MountStep step) => propagation.Add((placeOf[node], step));

    private void AddPropagation(MountNode node, Dictionary<uint, int> groups, Dictionary<uint, int> slavesOfOutside)
    {
        MntEntry entry = node.Entry;
        if (entry.SharedId != 0 && groups.TryGetValue(entry.SharedId, out int peer))
        {
            Propagate(node, new JoinGroup(handles[node], peer, false));
            return;
        }

        int handle = entry.SharedId != 0 ? Leader(node) : handles[node];
        bool isOutside = outsiders.OfType<TakeOutside>().FirstOrDefault(step => step.Handle == handles[node]) is { Group: >= 0 };
        if (entry.MasterId != 0 && groups.TryGetValue(entry.MasterId, out int master))
        {
            Propagate(node, new JoinGroup(handle, master, false));
            Propagate(node, new SetPropagation(handle, MountFlags.MS_SLAVE));
        }
        else if (isOutside)
        {
            int group = outsiders.OfType<TakeOutside>().First(step => step.Handle == handles[node]).Group;
            Propagate(node, new JoinGroup(handle, group, true));
            if (entry.MasterId != 0)
            {
                Propagate(node, new SetPropagation(handle, MountFlags.MS_SLAVE));
                if (entry.SharedId == 0)
                {
                    slavesOfOutside.TryAdd(entry.MasterId, handle);
                }
            }
        }
        else if (slavesOfOutside.TryGetValue(entry.MasterId, out int fellow))
        {
            // A slave of the same master outside: to join it is to have its master.
            Propagate(node, new JoinGroup(handle, fellow, true));
        }

        if (entry.SharedId != 0)
        {
            Propagate(node, new SetPropagation(handle, MountFlags.MS_SHARED));
            groups.Add(entry.SharedId, handle);
            if (handle != handles[node])
            {
                Propagate(node, new JoinGroup(handles[node], handle, false));
            }
        }
    }

    // A mount can join a group only by one that shows at least as much (fs/namespace.c, do_set_group()). Where none of the group's own
    // shows enough for all that are to join it, or to be its slaves, a copy of the whole file system leads it, mounted nowhere.
    private int Leader(MountNode first)
    {
        uint group = first.Entry.SharedId;
        bool isWide = nodes.Where(node => node.Entry.SharedId == group || node.Entry.MasterId == group)
            .All(node => PathText.Below(node.Entry.Root, first.Entry.Root) is not null);
        if (isWide || !fileSystems.TryGetValue(first.Entry.RootDev, out int instance))
        {
            return handles[first];
        }

        int leader = NewHandle();
        int made = assembly.FindIndex(step => step is MakeFileSystem make && make.Handle == instance);
        assembly.Insert(made + 1, new CopyTree(instance, string.Empty, leader));
        return leader;
    }
}
