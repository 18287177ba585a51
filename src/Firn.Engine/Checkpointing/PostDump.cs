using Firn.Engine.Freezing;
using Firn.Engine.Tree;

namespace Firn.Engine.Checkpointing;

/// <summary>The fifth phase: the books are closed. The image set appears, if it hasn't yet, and the account is made.</summary>
internal static class PostDump
{
    /// <summary>Publishes the image set and sums up.</summary>
    public static DumpResult Run(FrozenTree tree, DumpedTree dumped, PhaseClock clock)
    {
        dumped.Commit();
        DumpContext context = dumped.Context;
        return new DumpResult(
            context.Tasks.Count,
            tree.ThreadCount,
            tree.StoodStill,
            clock.Phases,
            context.PageStatistics.Scanned,
            context.PageStatistics.Written,
            context.PageStatistics.Shared,
            dumped.MessageBytes + (context.PageStatistics.Written * Linux.Kernel.PageSize));
    }
}
