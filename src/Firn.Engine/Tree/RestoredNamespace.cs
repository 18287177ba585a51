using Firn.Linux;

namespace Firn.Engine.Tree;

/// <summary>A namespace of a restored tree that isn't just Firn's: the root's own, or a nested one, which the root is not in.</summary>
internal sealed class RestoredNamespace
{
    /// <summary>What kind of namespace it is.</summary>
    public required NamespaceKind Kind { get; init; }

    /// <summary>Its id in the ids of tasks, and in the names of its images; 0 for one that the tree did not have.</summary>
    public required uint Id { get; init; }

    /// <summary>Whether the tree did not have it: it was asked for, and has no image. The kind is told nothing of it.</summary>
    public bool IsAdded { get; init; }

    /// <summary>Of a nested one: whether it is Firn's own, while the root's is another.</summary>
    public bool IsFirns { get; init; }

    /// <summary>The user namespace below that of the tree's root that owns it; null for the root's.</summary>
    public RestoredNamespace? Owner { get; set; }

    /// <summary>Of a nested one, once it is there: the way into it for tasks that are born, and for Firn's thread.</summary>
    public Fd? Entrance { get; set; }

    /// <summary>
    /// The same in the first task, until mounts are made: some file systems show the namespace in which they are mounted.
    /// </summary>
    public int NumberInFirst { get; set; } = -1;

    /// <summary>The file that stands for the namespace which the tree is put into in place of its own; null for none.</summary>
    public string? JoinedPath { get; init; }

    /// <summary>Whether its kind makes and fills it from what the tree had.</summary>
    public bool IsFromImages => !IsAdded && JoinedPath is null;

    /// <summary>
    /// The namespace, if it exists already and is to be joined: the root inherits the descriptor, so it is open across exec. Firn closes
    /// it.
    /// </summary>
    public Fd? Joined { get; set; }
}
