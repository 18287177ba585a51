namespace Firn.Engine.Tests.RoundTrip;

/// <summary>What a target's source says about itself in comments.</summary>
/// <param name="Name">Its name, as `mem_private`.</param>
/// <param name="Options">`// options: ...`: options for dump and restore alike.</param>
/// <param name="DumpOptions">`// dump-options: ...`: options for the dump alone.</param>
/// <param name="Refusal">`// expect-refusal: identifier`: it must be refused, and unharmed.</param>
/// <param name="OnlyRestored">`// only-restored`: the target checks what only a restore changes, so that there is no run with
/// --leave-running.</param>
public sealed record TargetSource(string Name, string[] Options, string[] DumpOptions, string? Refusal, bool OnlyRestored)
{
    private static readonly string[] Prefixes =
        ["mem_", "file_", "pipe_", "tty_", "lock_", "unix_", "inet_", "event_", "task_", "sig_", "timer_", "regs_", "tree_", "many_",
         "mnt_"];

    /// <summary>All targets that are one kind's own test.</summary>
    public static IEnumerable<TargetSource> All { get; } = [.. Directory.EnumerateFiles(Programs.TargetSources, "*.c")
        .Where(path => Prefixes.Any(prefix => Path.GetFileName(path).StartsWith(prefix, StringComparison.Ordinal)))
        .Order(StringComparer.Ordinal)
        .Select(Read)];

    private static TargetSource Read(string path)
    {
        string[] lines = File.ReadAllLines(path);
        return new TargetSource(
            Path.GetFileNameWithoutExtension(path),
            Words(lines, "// options:"),
            Words(lines, "// dump-options:"),
            Words(lines, "// expect-refusal:").FirstOrDefault(),
            lines.Any(line => line.StartsWith("// only-restored", StringComparison.Ordinal)));
    }

    private static string[] Words(string[] lines, string key)
        => Array.Find(
            lines, line => line.StartsWith(key, StringComparison.Ordinal))?[key.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)
            ?? [];
}
