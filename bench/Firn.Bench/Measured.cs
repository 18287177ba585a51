using System.Globalization;

namespace Firn.Bench;

/// <summary>A target of the measurements.</summary>
/// <param name="Name">What the table calls it.</param>
/// <param name="Kind">Which of `clocked`'s.</param>
/// <param name="Number">How many, or how much.</param>
/// <param name="Mebibytes">How much memory the plain write and read have to move.</param>
internal sealed record Measured(string Name, string Kind, int Number, int Mebibytes)
{
    public static IReadOnlyList<Measured> All { get; } =
    [
        new("`sleep`", "memory", 0, 0),
        new("200 processes, forked after 1 MiB was filled", "processes", 200, 3),
        new("1,000 processes that share 64 MiB by fork", "sharers", 1000, 80),
        new("200 threads", "threads", 200, 1),
        new("1,000 threads", "threads", 1000, 5),
        new("65,000 mappings", "mappings", 65000, 254),
        new("256 MiB", "memory", 256, 256),
        new("2 GiB", "memory", 2048, 2048),
    ];
}

/// <summary>A program that dumps and restores.</summary>
internal sealed record Tool(string Name, string Program)
{
    public static Tool Firn { get; } = new("Firn", Engine.Tests.RoundTrip.Programs.Firn);

    /// <summary>CRIU, if one is on the path that says it works here.</summary>
    public static Tool? Criu { get; } = (Environment.GetEnvironmentVariable("PATH") ?? string.Empty).Split(':')
        .Select(directory => Path.Combine(directory, "criu"))
        .Where(path => File.Exists(path) && Works(path))
        .Select(path => new Tool("CRIU", path))
        .FirstOrDefault();

    private static bool Works(string criu)
    {
        using var space = new Engine.Tests.RoundTrip.PidNamespace();
        return space.Run(criu, "check").Status == 0;
    }
}

/// <summary>The times of one tool with one target.</summary>
internal sealed class Samples
{
    private readonly List<double> dump = [];
    private readonly List<double> restore = [];
    private readonly List<double> still = [];
    private long images;

    public string Dump => Median(dump);

    public string Restore => Median(restore);

    public string Still => Median(still);

    public string Images => images < 1 << 20 ? $"{images >> 10} KiB" : $"{images >> 20} MiB";

    public void Add(double dumped, double restored, double stood, long bytes)
    {
        dump.Add(dumped);
        restore.Add(restored);
        still.Add(stood);
        images = bytes;
    }

    public static string Median(List<double> samples)
    {
        if (samples.Count == 0)
        {
            return "failed";
        }

        double[] sorted = [.. samples.Order()];
        double median = (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
        return median.ToString(median < 20 ? "0.0" : "0", CultureInfo.InvariantCulture);
    }
}
