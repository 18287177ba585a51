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
            Treatment.Content => Nodes.Any(
                other => other.Entry.RootDev == node.Entry.RootDev && !other.IsExternal && other.Entry.Root == "/"),
            _ => true,
        };
    }

    /// <summary>A mount from outside that holds what this one shows; null if there is none.</summary>
    public MountNode? Host(MountNode node)
        => Nodes.FirstOrDefault(other => other != node
            && (other == MainRoot || (other.IsExternal && other.Entry.ExtKey != ExternalMounts.FoundKey))
            && other.Entry.RootDev == node.Entry.RootDev
            && PathText.Below(node.Entry.Root, other.Entry.Root) is not null);
}
