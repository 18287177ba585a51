using Firn.Engine.Kinds.Files;

namespace Firn.Engine.Kinds;

/// <summary>The list of kinds of task state.</summary>
internal static class TaskKinds
{
    /// <summary>All kinds, in the order in which they act.</summary>
    public static IReadOnlyList<TaskKind> All { get; } =
    [
        new WorkingDirectory(),
    ];
}
