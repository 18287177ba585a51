namespace Firn.Engine;

/// <summary>A namespace that exists, and that a restored tree is put into (`--join-ns`). setns(2).</summary>
/// <param name="Name">The kind, by its name in /proc/PID/ns: one of <see cref="Names"/>.</param>
/// <param name="Path">The file that stands for it, as /proc/812/ns/net, or one that such a file is mounted on.</param>
public sealed record JoinedNamespace(string Name, string Path)
{
    /// <summary>The kinds that can be joined.</summary>
    public static IReadOnlyList<string> Names { get; } = ["net", "ipc", "uts", "time", "mnt"];
}
