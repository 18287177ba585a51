using System.IO.Enumeration;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>What a target's source says about itself in comments.</summary>
/// <param name="Name">Its name, as `mem_private`.</param>
/// <param name="Options">`// options: ...`: options for dump and restore alike.</param>
/// <param name="DumpOptions">`// dump-options: ...`: options for the dump alone.</param>
/// <param name="Refusal">`// expect-refusal: identifier`: it must be refused, and unharmed.</param>
/// <param name="OnlyRestored">`// only-restored`: the target checks what only a restore changes, so that there is no run with
/// --leave-running.</param>
/// <param name="Namespaces">`// contain: letters`: the namespaces of its own that it needs, as `contain` takes them.</param>
/// <param name="MountsForItself">`// mounts-for-itself`: it mounts what is no part of an image, so that it can't have a mount namespace of
/// its own.</param>
public sealed record TargetSource(
    string Name, string[] Options, string[] DumpOptions, string? Refusal, bool OnlyRestored, string Namespaces, bool MountsForItself)
{
    private static readonly string[] Prefixes =
        ["mem_", "file_", "pipe_", "tty_", "lock_", "unix_", "inet_", "event_", "task_", "sig_", "timer_", "regs_", "tree_", "many_",
         "mnt_"];

    /// <summary>All targets that are one kind's own test.</summary>
    public static IEnumerable<TargetSource> All { get; } = ReadAll(Prefixes);

    /// <summary>All targets that are the test of namespaces.</summary>
    public static IEnumerable<TargetSource> OfNamespaces { get; } = ReadAll(["ns_"]);

    private static List<TargetSource> ReadAll(string[] prefixes) => [.. Directory.EnumerateFiles(Programs.TargetSources, "*.c")
        .Where(path => prefixes.Any(prefix => Path.GetFileName(path).StartsWith(prefix, StringComparison.Ordinal)))
        .Where(IsWanted)
        .Order(StringComparer.Ordinal)
        .Select(Read)];

    /// <summary>Whether FIRN_ONLY, names with wildcards and commas between them, leaves a target in; unset, it leaves all in.</summary>
    private static bool IsWanted(string path)
        => Environment.GetEnvironmentVariable("FIRN_ONLY") is not { Length: > 0 } only
        || only.Split(',').Any(
            name => FileSystemName.MatchesSimpleExpression(name, Path.GetFileNameWithoutExtension(path), ignoreCase: false));

    private static TargetSource Read(string path)
    {
        string[] lines = File.ReadAllLines(path);
        return new TargetSource(
            Path.GetFileNameWithoutExtension(path),
            Words(lines, "// options:"),
            Words(lines, "// dump-options:"),
            Words(lines, "// expect-refusal:").FirstOrDefault(),
            lines.Any(line => line.StartsWith("// only-restored", StringComparison.Ordinal)),
            Words(lines, "// contain:").FirstOrDefault() ?? string.Empty,
            lines.Any(line => line.StartsWith("// mounts-for-itself", StringComparison.Ordinal)));
    }

    private static string[] Words(string[] lines, string key)
        => Array.Find(
            lines, line => line.StartsWith(key, StringComparison.Ordinal))?[key.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)
            ?? [];
}
