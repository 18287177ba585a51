namespace Firn.Engine.Kinds;

/// <summary>The list of kinds of open files.</summary>
internal static class FileKinds
{
    /// <summary>All kinds, in the order in which they are asked whether a file is theirs.</summary>
    public static IReadOnlyList<FileKind> All { get; } =
    [
    ];
}
