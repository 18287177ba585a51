using Firn.Engine.Tree;
using Firn.Images;

namespace Firn.Engine.Checkpointing;

/// <summary>The fifth phase: the books are closed. The image set appears, if it hasn't yet, and the statistics are written.</summary>
internal static class PostDump
{
    /// <summary>Publishes the image set and sums up.</summary>
    public static DumpResult Run(FrozenTree tree, DumpedTree dumped, PhaseClock clock)
    {
        dumped.Commit();
        DumpContext context = dumped.Context;
        DumpStatsEntry statistics = new()
        {
            FreezingTime = Microseconds(clock, "freeze"),
            FrozenTime = (uint)tree.StoodStill.TotalMicroseconds,
            MemdumpTime = (uint)context.PageStatistics.ScanTime.TotalMicroseconds,
            MemwriteTime = (uint)context.PageStatistics.WriteTime.TotalMicroseconds,
            PagesScanned = (ulong)context.PageStatistics.Scanned,
            PagesSkippedParent = (ulong)context.PageStatistics.Shared,
            PagesWritten = (ulong)context.PageStatistics.Written,
            PagesLazy = 0,
        };
        dumped.WriteExtra(ImageKind.StatsDump, new StatsEntry { Dump = statistics });
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

    private static uint Microseconds(PhaseClock clock, string phase)
        => (uint)(clock.Phases.FirstOrDefault(time => time.Name == phase)?.Duration.TotalMicroseconds ?? 0);
}
