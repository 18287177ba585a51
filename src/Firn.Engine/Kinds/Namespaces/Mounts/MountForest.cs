namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>The mounts of all mount namespaces of a tree. What they are of may be seen in several, and is one all the same.</summary>
/// <param name="trees">The mounts of each namespace, parents before children.</param>
/// <param name="hasMain">Whether the first is that of the tree's root.</param>
internal sealed class MountForest(IReadOnlyList<IReadOnlyList<MountNode>> trees, bool hasMain)
{
    /// <summary>The mounts of each namespace, parents before children.</summary>
    public IReadOnlyList<IReadOnlyList<MountNode>> Trees { get; } = trees;

    /// <summary>All mounts.</summary>
    public IReadOnlyList<MountNode> Nodes { get; } = [.. trees.SelectMany(tree => tree)];

    /// <summary>
    /// The root that is taken from where --root says: that of the namespace that the tree's root is in; null if that is Firn's.
    /// </summary>
    public MountNode? MainRoot { get; } = hasMain && trees.Count > 0 ? trees[0][0] : null;

    /// <summary>Overlays, by their devices, that can't be made anew, though their options read as if they could.</summary>
    public HashSet<uint> Foreign { get; } = [];

    /// <summary>
    /// Whether a mount could be made by no one: it is not external, nor of a file system that is made anew or is there anyway.
    /// </summary>
    public bool IsUnmakeable(MountNode node)
        => node != MainRoot && !node.IsExternal && !IsMadeAnew(node) && Host(node) is null;

    /// <summary>Whether the file system of a mount is made anew.</summary>
    public bool IsMadeAnew(MountNode node)
    {
        if (node.Entry.RootDev == MainRoot?.Entry.RootDev)
        {
            return false;
        }

        // The content of a tmpfs can only be saved whole.
        return node.Treatment switch
        {
            Treatment.Outside => false,
            Treatment.Layers => HasLayers(node),
            Treatment.Content => Nodes.Any(
                other => other.Entry.RootDev == node.Entry.RootDev && !other.IsExternal && other.Entry.Root == "/"),
            _ => true,
        };
    }

    /// <summary>The mount of an overlay in whose namespace its layers are found, and the root of that.</summary>
    public (MountNode Root, MountNode Overlay) FirstOf(MountNode overlay)
    {
        MountNode first = Nodes.First(node => node.Entry.RootDev == overlay.Entry.RootDev);
        return (Trees.First(tree => tree.Contains(first))[0], first);
    }

    // One overlay on another would depend on which was there first.
    private bool HasLayers(MountNode node)
    {
        uint device = node.Entry.RootDev;
        (MountNode root, MountNode first) = FirstOf(node);
        return !Foreign.Contains(device) && !Nodes.Any(other => other.Entry.RootDev == device && (other.IsExternal || other.Parent is null))
            && OverlayLayers.Paths(first.Entry.Options) is { } paths
            && paths.All(path => OverlayLayers.Find(root, path, device) is { } host
                && IsThereFirst(host) && !IsUnmakeable(host));
    }

    // Whether a mount can be mounted before any overlay: it is none, nor on one, nor covers the place of one.
    private bool IsThereFirst(MountNode node)
    {
        for (MountNode? at = node; at is not null && at != MainRoot; at = at.Parent)
        {
            bool covers = at.Parent is not null && at.Parent.Children.Exists(
                other => other != at && other.Treatment == Treatment.Layers
                    && PathText.Below("/" + other.PlaceInParent, "/" + at.PlaceInParent) is not null);
            if (covers || (at.Treatment == Treatment.Layers && !at.IsExternal && at.Entry.RootDev != MainRoot?.Entry.RootDev))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>A mount from outside that holds what this one shows; null if there is none.</summary>
    public MountNode? Host(MountNode node)
        => Nodes.FirstOrDefault(other => other != node
            && (other == MainRoot || (other.IsExternal && other.Entry.ExtKey != ExternalMounts.FoundKey))
            && other.Entry.RootDev == node.Entry.RootDev
            && PathText.Below(node.Entry.Root, other.Entry.Root) is not null);
}
