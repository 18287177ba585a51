using System.Globalization;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>A control group of this machine's for one test, with its freezer if it has one; removed at the end, with all below it.</summary>
internal sealed class TestCgroup : IDisposable
{
    private static int made;
    private readonly bool isUnified;

    /// <summary>Makes one in a hierarchy: `unified`, `freezer`, `memory` and so on.</summary>
    /// <param name="hierarchy">The name of its directory below /sys/fs/cgroup.</param>
    /// <param name="name">The name of the group; one that no other has, if null.</param>
    public TestCgroup(string hierarchy, string? name = null)
    {
        isUnified = hierarchy == "unified";
        Mount = $"/sys/fs/cgroup/{hierarchy}";
        if (!File.Exists($"{Mount}/cgroup.procs"))
        {
            throw Programs.Skipped($"{Mount} is not mounted here");
        }

        Name = name ?? string.Create(CultureInfo.InvariantCulture, $"firn-test-{Environment.ProcessId}-{Interlocked.Increment(ref made)}");
        Path = $"{Mount}/{Name}";
        try
        {
            Directory.CreateDirectory(Path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw Programs.Skipped($"no cgroup can be made here: {exception.Message}");
        }
    }

    /// <summary>Where the hierarchy is mounted.</summary>
    public string Mount { get; }

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>Its directory.</summary>
    public string Path { get; }

    /// <summary>The file that freezes it.</summary>
    public string FreezerFile => System.IO.Path.Combine(Path, isUnified ? "cgroup.freeze" : "freezer.state");

    /// <summary>What the file says of a frozen group.</summary>
    public string FrozenText => isUnified ? "1" : "FROZEN";

    /// <summary>What the file says of one that is not.</summary>
    public string ThawedText => isUnified ? "0" : "THAWED";

    /// <summary>What the file says now.</summary>
    public string State => File.ReadAllText(FreezerFile).Trim();

    /// <summary>Makes a group below it.</summary>
    public string MakeBelow(string name) => Directory.CreateDirectory(System.IO.Path.Combine(Path, name)).FullName;

    /// <summary>Moves a process of a pid namespace into a group.</summary>
    public static void Enter(PidNamespace space, string group, int pid)
    {
        Outcome outcome = space.Run("sh", "-c", $"echo {pid} > {group}/cgroup.procs");
        if (outcome.Status != 0)
        {
            throw new InvalidOperationException($"{group}: {outcome.Error}");
        }
    }

    /// <summary>Freezes it, and waits until all of it stands still.</summary>
    public void Freeze()
    {
        File.WriteAllText(FreezerFile, FrozenText);
        PidNamespace.Until(
            () => isUnified
                ? File.ReadAllText(System.IO.Path.Combine(Path, "cgroup.events")).Contains("frozen 1", StringComparison.Ordinal)
                : State == FrozenText,
            $"{Name} is frozen");
    }

    /// <summary>Thaws it.</summary>
    public void Thaw() => File.WriteAllText(FreezerFile, ThawedText);

    public void Dispose()
    {
        Remove(Path);
    }

    private static void Remove(string group)
    {
        if (!Directory.Exists(group))
        {
            return;
        }

        foreach ((string file, string text) in (ReadOnlySpan<(string, string)>)[("cgroup.freeze", "0"), ("freezer.state", "THAWED")])
        {
            if (File.Exists(System.IO.Path.Combine(group, file)))
            {
                File.WriteAllText(System.IO.Path.Combine(group, file), text);
            }
        }

        foreach (string below in Directory.GetDirectories(group))
        {
            Remove(below);
        }

        PidNamespace.Until(() => TryRemove(group), $"{group} has no tasks any more");
    }

    private static bool TryRemove(string group)
    {
        // What is still in it is of the test: its pid namespace is on its way out.
        try
        {
            foreach (string task in File.ReadAllLines(System.IO.Path.Combine(group, "cgroup.procs")).Where(task => task != "0"))
            {
                try
                {
                    using var process = System.Diagnostics.Process.GetProcessById(int.Parse(task, CultureInfo.InvariantCulture));
                    process.Kill();
                }
                catch (Exception exception) when (exception is ArgumentException or InvalidOperationException)
                {
                    // Gone by itself.
                    continue;
                }
            }

            Directory.Delete(group);
            return true;
        }
        catch (IOException)
        {
            return !Directory.Exists(group);
        }
    }
}
