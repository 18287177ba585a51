using Firn.Images;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>A mount in the tree of its namespace.</summary>
internal sealed class MountNode(MntEntry entry)
{
    /// <summary>What the image has of it.</summary>
    public MntEntry Entry { get; } = entry;

    /// <summary>The mount that it is mounted on; null for the namespace's root.</summary>
    public MountNode? Parent { get; private set; }

    /// <summary>What is mounted on it.</summary>
    public List<MountNode> Children { get; } = [];

    /// <summary>Its place, from the parent's root: empty where it covers the whole parent.</summary>
    public string PlaceInParent { get; private set; } = string.Empty;

    /// <summary>Whether it is somebody else's business.</summary>
    public bool IsExternal => Entry.HasExtKey || Entry.ExtMount;

    /// <summary>Its flags, as of mount(2).</summary>
    public MountFlags Flags => (MountFlags)Entry.Flags;

    /// <summary>How its file system comes back.</summary>
    public Treatment Treatment => Entry.Fstype == (uint)Fstype.Auto ? Treatment.Fresh : FileSystems.Treat(Type);

    /// <summary>The type of its file system; empty if the image doesn't say.</summary>
    public string Type => FileSystems.Name(Entry);

    /// <summary>Joins the mounts of a namespace, and gives all: parents before children, the root first.</summary>
    /// <exception cref="FormatException">They are no tree.</exception>
    public static IReadOnlyList<MountNode> Build(IEnumerable<MntEntry> entries)
    {
        Dictionary<uint, MountNode> byId = [];
        foreach (MntEntry entry in entries)
        {
            if (!entry.Mountpoint.StartsWith('/') || !entry.Root.StartsWith('/') || !byId.TryAdd(entry.MntId, new MountNode(entry)))
            {
                throw new FormatException($"mount {entry.MntId} stands there twice, or has no absolute paths");
            }
        }

        List<MountNode> roots = [];
        foreach (MountNode node in byId.Values)
        {
            if (node.Entry.ParentMntId == node.Entry.MntId || !byId.TryGetValue(node.Entry.ParentMntId, out MountNode? parent))
            {
                roots.Add(node);
                continue;
            }

            node.Parent = parent;
            node.PlaceInParent = PathText.Below(node.Entry.Mountpoint, parent.Entry.Mountpoint)
                ?? throw new FormatException($"mount {node.Entry.MntId} at {node.Entry.Mountpoint} isn't below its parent");
            parent.Children.Add(node);
        }

        if (roots.Count != 1 || roots[0].Entry.Mountpoint != "/")
        {
            throw new FormatException($"there are {roots.Count} mounts without a parent, where there must be one, at /");
        }

        List<MountNode> ordered = [roots[0]];
        for (int i = 0; i < ordered.Count; i++)
        {
            // What is mounted deeper comes first: it may lie under a sibling that covers it.
            ordered[i].Children.Sort((a, b) => b.PlaceInParent.Length.CompareTo(a.PlaceInParent.Length));
            ordered.AddRange(ordered[i].Children);
        }

        return ordered.Count == byId.Count ? ordered : throw new FormatException("some mounts are their own ancestors");
    }
}
