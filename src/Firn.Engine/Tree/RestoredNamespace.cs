using Firn.Linux;

namespace Firn.Engine.Tree;

/// <summary>A namespace that the root of a restored tree gets, instead of Firn's.</summary>
internal sealed class RestoredNamespace
{
    /// <summary>What kind of namespace it is.</summary>
    public required NamespaceKind Kind { get; init; }

    /// <summary>Its id in the ids of tasks, and in the names of its images; 0 for one that the tree did not have.</summary>
    public required uint Id { get; init; }

    /// <summary>Whether the tree did not have it: it was asked for, and has no image. The kind is told nothing of it.</summary>
    public bool IsAdded { get; init; }

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
