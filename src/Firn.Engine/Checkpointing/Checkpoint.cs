using Firn.Engine.Tree;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Checkpointing;

/// <summary>A checkpoint: the five phases, in order.</summary>
/// <remarks>
/// Each phase hands the next what it has made, so that none can be left out or done twice. A failure anywhere undoes what was done so
/// far: the frozen tree runs on as it was found, and no image set appears.
/// </remarks>
internal static class Checkpoint
{
    /// <summary>Dumps a tree.</summary>
    /// <exception cref="CheckpointException">It failed; the tree runs as before.</exception>
    public static DumpResult Run(DumpOptions options, ILogger log, IProgress<CheckpointProgress>? progress)
    {
        var clock = new PhaseClock(log, progress);
        using DumpPlan plan = clock.Run("pre-dump", () => PreDump.Run(options, log));
        using FrozenTree tree = clock.Run("freeze", () => Freeze.Run(plan));
        using DumpedTree dumped = clock.Run("dump", () => Dump.Run(plan, tree, clock));
        clock.Run("thaw or kill", () => ThawOrKill.Run(plan, tree, dumped));
        return clock.Run("post-dump", () => PostDump.Run(tree, dumped, clock));
    }
}
