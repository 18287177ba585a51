using System.Globalization;
using System.Text;
using System.Text.Json;
using Firn.Engine;

namespace Firn.Cli.Talk;

/// <summary>The short account at the end of a dump or restore: for people on standard error, or as JSON on standard output.</summary>
internal static class Account
{
    /// <summary>Two lines for people.</summary>
    public static string Of(DumpResult result, string directory)
    {
        string shared = result.PagesShared == 0 ? string.Empty : $", {Count(result.PagesShared)} shared with a parent";
        return $"dump: {Tasks(result.Tasks, result.Threads)}, {Count(result.PagesWritten)} pages of {Count(result.PagesScanned)} "
            + $"written{shared}, "
            + $"{Size(result.ImageBytes)} in {directory}\n      {Phases(result.Phases)}; stood still {Milliseconds(result.Stopped)}";
    }

    /// <inheritdoc cref="Of(DumpResult, string)"/>
    public static string Of(RestoreResult result)
        => $"restore: pid {result.RootPid}, {Tasks(result.Tasks, result.Threads)}, {Count(result.PagesRestored)} pages, "
            + $"{Size(result.Bytes)} read\n"
            + $"         {Phases(result.Phases)}";

    /// <summary>The account for programs.</summary>
    public static void WriteJson(DumpResult result, string directory) => WriteJson(json =>
    {
        json.WriteString("imagesDirectory", directory);
        json.WriteNumber("tasks", result.Tasks);
        json.WriteNumber("threads", result.Threads);
        json.WriteNumber("stoppedMilliseconds", result.Stopped.TotalMilliseconds);
        WritePhases(json, result.Phases);
        json.WriteNumber("pagesScanned", result.PagesScanned);
        json.WriteNumber("pagesWritten", result.PagesWritten);
        json.WriteNumber("pagesShared", result.PagesShared);
        json.WriteNumber("imageBytes", result.ImageBytes);
    });

    /// <inheritdoc cref="WriteJson(DumpResult, string)"/>
    public static void WriteJson(RestoreResult result) => WriteJson(json =>
    {
        json.WriteNumber("rootPid", result.RootPid);
        json.WriteNumber("tasks", result.Tasks);
        json.WriteNumber("threads", result.Threads);
        WritePhases(json, result.Phases);
        json.WriteNumber("pagesRestored", result.PagesRestored);
        json.WriteNumber("bytes", result.Bytes);
    });

    /// <summary>Writes one JSON object and a line's end on standard output.</summary>
    public static void WriteJson(Action<Utf8JsonWriter> members)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            members(json);
            json.WriteEndObject();
        }

        buffer.WriteByte((byte)'\n');
        StandardError.Write(1, buffer.GetBuffer().AsSpan(0, (int)buffer.Length));
    }

    /// <summary>A duration for people.</summary>
    public static string Milliseconds(TimeSpan duration)
        => duration.TotalMilliseconds.ToString(duration.TotalMilliseconds < 100 ? "0.0" : "0", CultureInfo.InvariantCulture) + " ms";

    /// <summary>A number of bytes for people.</summary>
    public static string Size(long bytes) => bytes switch
    {
        < 1 << 10 => $"{bytes} B",
        < 1 << 20 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0:0.0} KiB"),
        < 1 << 30 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:0.0} MiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1073741824.0:0.00} GiB"),
    };

    /// <summary>A number for people, with its thousands set apart.</summary>
    public static string Count(long number) => number.ToString("#,0", CultureInfo.InvariantCulture);

    private static string Tasks(int tasks, int threads)
        => $"{tasks} {(tasks == 1 ? "process" : "processes")} with {threads} {(threads == 1 ? "thread" : "threads")}";

    private static string Phases(IReadOnlyList<PhaseTime> phases)
    {
        var text = new StringBuilder();
        foreach (PhaseTime phase in phases)
        {
            _ = text.Append(phase.Name).Append(' ').Append(Milliseconds(phase.Duration)).Append(", ");
        }

        TimeSpan all = TimeSpan.FromTicks(phases.Sum(phase => phase.Duration.Ticks));
        return text.Append("in all ").Append(Milliseconds(all)).ToString();
    }

    private static void WritePhases(Utf8JsonWriter json, IReadOnlyList<PhaseTime> phases)
    {
        json.WriteStartArray("phases");
        foreach (PhaseTime phase in phases)
        {
            json.WriteStartObject();
            json.WriteString("name", phase.Name);
            json.WriteNumber("milliseconds", phase.Duration.TotalMilliseconds);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
