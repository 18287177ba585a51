using System.Globalization;
using Firn.Images;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>The order in which a mount tree is made. Nothing here asks the kernel.</summary>
/// <remarks>
/// All file systems first, then bind mounts, while nothing covers what they are of; both mounted nowhere. Then the root is mounted, over
/// the old one, and children onto their parents, of siblings the deepest first. (Onto what Firn has opened, a task may mount nothing as
/// long as it is mounted nowhere; fs/namespace.c, check_anonymous_mnt().) Propagation comes last: a new mount on a shared parent would
/// appear elsewhere too, and pivot_root(2) refuses a shared root.
/// </remarks>
internal sealed class MountPlan
{
    private readonly Func<MountNode, string?> outside;
    private readonly bool hasOwnCgroups;
    private readonly string rootPath;
    private readonly IReadOnlyList<MountNode> nodes;
    private readonly Dictionary<MountNode, int> handles = [];
    private readonly Dictionary<uint, int> fileSystems = [];
    private readonly Dictionary<MountNode, int> taken = [];
    private readonly Dictionary<int, SortedSet<int>> terminals = [];
    private readonly List<MountStep> outsiders = [];
    private readonly List<MountStep> sources = [];
    private readonly List<MountStep> assembly = [];
    private readonly List<MountStep> propagation = [];
    private readonly List<string> missing = [];
    private int handleCount;

    private MountPlan(IEnumerable<MntEntry> entries, string rootPath, Func<MountNode, string?> outside, bool hasOwnCgroups)
    {
        nodes = MountNode.Build(entries);
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
    public IReadOnlyList<MountStep> Propagation => propagation;

    /// <summary>A proc file system without anything mounted on it: copied before that happens.</summary>
    public int ProcHandle { get; private set; } = -1;

    /// <summary>Mount points of what is external but lies nowhere: no path is known for it.</summary>
    public IReadOnlyList<string> Missing => missing;

    /// <summary>Plans the mount tree of a namespace.</summary>
    /// <param name="entries">Its mounts.</param>
    /// <param name="rootPath">Where the root lies outside.</param>
    /// <param name="outside">Where an external mount lies outside; null if that isn't known.</param>
    /// <param name="hasOwnCgroups">Whether the tree has a cgroup namespace of its own.</param>
    /// <exception cref="FormatException">The mounts are no tree, or one can't be made.</exception>
    public static MountPlan Make(
        IEnumerable<MntEntry> entries, string rootPath, Func<MountNode, string?> outside, bool hasOwnCgroups = false)
    {
        var plan = new MountPlan(entries, rootPath, outside, hasOwnCgroups);
        plan.Run();
        return plan;
    }

    /// <summary>The mounts that no one could make: neither external, nor of a file system that is made anew or is there anyway.</summary>
    /// <exception cref="FormatException">The mounts are no tree.</exception>
    public static IReadOnlyList<MountNode> FindUnmakeable(IEnumerable<MntEntry> entries)
    {
        IReadOnlyList<MountNode> nodes = MountNode.Build(entries);
        return [.. nodes.Where(node => IsUnmakeable(nodes, node))];
    }

    /// <summary>Whether a mount could be made by no one.</summary>
    public static bool IsUnmakeable(IReadOnlyList<MountNode> nodes, MountNode node)
        => node.Parent is not null && !node.IsExternal && !IsMadeAnew(nodes, node) && Host(nodes, node) is null;

    /// <summary>Whether the file system of a mount is made anew.</summary>
    public static bool IsMadeAnew(IReadOnlyList<MountNode> nodes, MountNode node)
    {
        if (node.Entry.RootDev == nodes[0].Entry.RootDev)
        {
            return false;
        }

        // The content of a tmpfs can only be saved whole.
        return node.Treatment switch
        {
            Treatment.Outside => false,
            Treatment.Content => nodes.Any(
                other => other.Entry.RootDev == node.Entry.RootDev && !other.IsExternal && other.Entry.Root == "/"),
            _ => true,
        };
    }

    // A mount from outside that holds what this one shows.
    private static MountNode? Host(IReadOnlyList<MountNode> nodes, MountNode node)
        => nodes.FirstOrDefault(other => other != node
            && (other.Parent is null || (other.IsExternal && other.Entry.ExtKey != ExternalMounts.FoundKey))
            && other.Entry.RootDev == node.Entry.RootDev
            && PathText.Below(node.Entry.Root, other.Entry.Root) is not null);

    private void Run()
    {
        foreach (MountNode node in nodes)
        {
            AddSource(node);
        }

        ProcHandle = nodes.FirstOrDefault(node => node.Type == "proc" && handles.ContainsKey(node)) is { } proc
            ? Copy(fileSystems[proc.Entry.RootDev], string.Empty)
            : NewFileSystem("proc", "proc", string.Empty, MountFlags.None, MountAttributes.None, 0);

        const MountAttributes OfProc =
            MountAttributes.MOUNT_ATTR_NOSUID | MountAttributes.MOUNT_ATTR_NODEV | MountAttributes.MOUNT_ATTR_NOEXEC;
        assembly.Add(new SetAttributes(ProcHandle, OfProc));
        assembly.AddRange(nodes.Select(node => new SetAttributes(handles[node], MountText.Attributes(node.Flags))));

        assembly.Add(new MountRoot(handles[nodes[0]]));
        foreach (MountNode node in nodes)
        {
            assembly.AddRange(node.Children.Select(child => new Attach(handles[child], handles[node], child.PlaceInParent)));
        }

        assembly.Add(new EnterRoot(handles[nodes[0]]));
        AddPropagation();
    }

    private void AddSource(MountNode node)
    {
        MntEntry entry = node.Entry;
        bool isAnew = IsMadeAnew(nodes, node);
        string? path = node.Parent is null ? rootPath : node.IsExternal ? outside(node) : null;

        // Engines name masked files, and the mounts of the container's own cgroups, as if they were the host's: they stay what they were.
        bool isMask = path == "/dev/null" && isAnew && node.Treatment == Treatment.Content;
        bool isOwnCgroup = node.Type is "cgroup" or "cgroup2" && (hasOwnCgroups || entry.Root != "/");
        if (path is not null && !isMask && !isOwnCgroup)
        {
            // Something made of it would appear outside too, were it in a group from the start.
            int handle = NewHandle();
            bool hasGroup = entry.MasterId != 0 || (entry.SharedId != 0 && !entry.InternalSharing);
            outsiders.Add(new TakeOutside(handle, path, hasGroup ? NewHandle() : -1, entry.Mountpoint));
            handles.Add(node, handle);
            taken.Add(node, handle);
        }
        else if (isAnew)
        {
            AddInside(node);
        }
        else if (Host(nodes, node) is { } host && taken.TryGetValue(host, out int hostHandle))
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
        sources.Add(new MakeFileSystem(handle, type, source, options, flags, attributes, device, mounts));
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

            AddPropagation(waiting[ready], groups);
            waiting.RemoveAt(ready);
        }

        propagation.AddRange(nodes.Where(node => (node.Flags & MountFlags.MS_UNBINDABLE) != 0)
            .Select(node => new SetPropagation(handles[node], MountFlags.MS_UNBINDABLE)));
    }

    private void AddPropagation(MountNode node, Dictionary<uint, int> groups)
    {
        MntEntry entry = node.Entry;
        if (entry.SharedId != 0 && groups.TryGetValue(entry.SharedId, out int peer))
        {
            propagation.Add(new JoinGroup(handles[node], peer, false));
            return;
        }

        int handle = entry.SharedId != 0 ? Leader(node) : handles[node];
        bool isOutside = outsiders.OfType<TakeOutside>().FirstOrDefault(step => step.Handle == handles[node]) is { Group: >= 0 };
        if (entry.MasterId != 0 && groups.TryGetValue(entry.MasterId, out int master))
        {
            propagation.Add(new JoinGroup(handle, master, false));
            propagation.Add(new SetPropagation(handle, MountFlags.MS_SLAVE));
        }
        else if (isOutside)
        {
            int group = outsiders.OfType<TakeOutside>().First(step => step.Handle == handles[node]).Group;
            propagation.Add(new JoinGroup(handle, group, true));
            if (entry.MasterId != 0)
            {
                propagation.Add(new SetPropagation(handle, MountFlags.MS_SLAVE));
            }
        }

        if (entry.SharedId != 0)
        {
            propagation.Add(new SetPropagation(handle, MountFlags.MS_SHARED));
            groups.Add(entry.SharedId, handle);
            if (handle != handles[node])
            {
                propagation.Add(new JoinGroup(handles[node], handle, false));
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
        assembly.Insert(0, new CopyTree(instance, string.Empty, leader));
        return leader;
    }
}
