using Firn.Images;

namespace Firn.Engine;

/// <summary>The account of a run as CRIU keeps it: the files `stats-dump` and `stats-restore`, which container engines read.</summary>
public static class Statistics
{
    /// <summary>Writes `stats-dump`.</summary>
    /// <param name="result">The account.</param>
    /// <param name="directory">The work directory.</param>
    /// <exception cref="IOException">It can't be written.</exception>
    public static void Write(DumpResult result, string directory)
    {
        ArgumentNullException.ThrowIfNull(result);
        Write(
            directory,
            ImageKind.StatsDump,
            new StatsEntry
            {
                Dump = new DumpStatsEntry
                {
                    FreezingTime = Microseconds(result.Phases, "freeze"),
                    FrozenTime = Microseconds(result.Stopped),
                    MemdumpTime = Microseconds(result.Phases, "dump"),
                    MemwriteTime = Microseconds(result.Phases, "post-dump"),
                    PagesScanned = (ulong)result.PagesScanned,
                    PagesSkippedParent = (ulong)result.PagesShared,
                    PagesWritten = (ulong)result.PagesWritten,
                    PagesLazy = 0,
                },
            });
    }

    /// <summary>Writes `stats-restore`.</summary>
    /// <inheritdoc cref="Write(DumpResult, string)"/>
    public static void Write(RestoreResult result, string directory)
    {
        ArgumentNullException.ThrowIfNull(result);
        TimeSpan whole = TimeSpan.FromTicks(result.Phases.Sum(phase => phase.Duration.Ticks));
        Write(
            directory,
            ImageKind.StatsRestore,
            new StatsEntry
            {
                Restore = new RestoreStatsEntry
                {
                    PagesCompared = 0,
                    PagesSkippedCow = 0,
                    ForkingTime = Microseconds(result.Phases, "forking"),
                    RestoreTime = Microseconds(whole),
                    PagesRestored = (ulong)result.PagesRestored,
                },
            });
    }

    private static void Write(string directory, ImageKind kind, StatsEntry entry)
        => File.WriteAllBytes(Path.Combine(directory, kind.FileName()), ImageFile.Encode(kind, entry));

    private static uint Microseconds(IReadOnlyList<PhaseTime> phases, string name)
        => Microseconds(phases.FirstOrDefault(phase => phase.Name == name)?.Duration ?? TimeSpan.Zero);

    private static uint Microseconds(TimeSpan duration) => (uint)Math.Clamp(duration.TotalMicroseconds, 0, uint.MaxValue);
}
