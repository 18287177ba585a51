using Firn.Engine.Hooks;
using Firn.Engine.Tree;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Restoring;

/// <summary>What the stages of a restore share.</summary>
internal sealed class RestoreContext
{
    /// <summary>What was asked for.</summary>
    public required RestoreOptions Options { get; init; }

    /// <summary>Where log lines go.</summary>
    public required ILogger Log { get; init; }

    /// <summary>The image set, read and verified.</summary>
    public required LoadedImages Images { get; init; }

    /// <summary>All processes, parents before children.</summary>
    public List<RestoredTask> Tasks { get; } = [];

    /// <summary>The open file descriptions, as far as they exist.</summary>
    public required RestoredFiles Files { get; init; }

    /// <summary>Who takes part.</summary>
    public required HookCaller Hooks { get; init; }

    /// <summary>Tells how far the restore has come.</summary>
    public PhaseClock? Clock { get; set; }

    /// <summary>
    /// What to take back, in reverse, should the restore fail: files, sockets' paths. Not processes: those die with their tracer.
    /// </summary>
    public Stack<Action> Undo { get; } = new();
}
