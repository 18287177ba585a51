using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Firn killed with SIGKILL at random moments: a dumped tree runs on unharmed, of a tree under restore nothing is left.</summary>
/// <remarks>
/// The loop is in tests/Targets/killer.c. Each case is a part of the 2,000 dumps and 300 restores, with a seed of its own, which the output
/// shows with the counts.
/// </remarks>
public sealed class KillTests(ITestOutputHelper output)
{
    private const string KillsOfDump = "250";
    private const string KillsOfRestore = "50";
    private const string KillsOfTarget = "200";
    private const string KillsOfLooks = "100";
    private const string KillsInNamespaces = "40";
    private const string KillsAtTerminals = "150";
    private const string KillsAtConnections = "150";

    public static IEnumerable<TheoryDataRow<int>> Seeds => Enumerable.Range(1, 8).Select(seed => new TheoryDataRow<int>(seed));

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Killed_at_random_moments_of_a_dump_the_target_runs_on(int seed) => KillDumps("checking", KillsOfDump, seed);

    // What waits in a terminal can only be read and written back.
    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    public void Killed_at_random_moments_of_a_dump_terminals_are_as_before(int seed) => KillDumps("typing", KillsAtTerminals, seed);

    // To look into a queue takes options of the socket, which are put back in the same system call.
    [Theory]
    [InlineData(301)]
    [InlineData(302)]
    public void Killed_at_random_moments_of_a_dump_Firn_leaves_no_option_of_a_socket_changed(int seed)
    {
        using var space = new PidNamespace();
        var target = new SelfChecking(space, "queues");
        string images = space.MakeDirectory("images");
        Must(space.Run(
            Programs.Target("killer"), "dump", KillsOfLooks, $"{seed}", target.Counters,
            Programs.Firn, "dump", "-t", target.PidText, "-D", images, "-R", "-v0"));
        target.MustGoOn();
    }

    // In repair mode the program would get errors of its own connections.
    [Theory]
    [InlineData(21)]
    [InlineData(22)]
    public void Killed_at_random_moments_of_a_dump_connections_go_on(int seed)
        => KillDumps("talking", KillsAtConnections, seed, "--tcp-established");

    // What is restored whole before the signal comes runs on.
    [Theory]
    [InlineData("alone", 1, 101)]
    [InlineData("alone", 1, 102)]
    [InlineData("alone", 1, 103)]
    [InlineData("restored", 2, 104)]
    [InlineData("restored", 2, 105)]
    [InlineData("restored", 2, 106)]
    public void Killed_at_random_moments_of_a_restore_nothing_is_left(string kind, int processes, int seed)
    {
        using var space = new PidNamespace();
        var target = new SelfChecking(space, "checking", kind);
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", target.PidText, "-D", images);
        space.UntilEmpty();
        string[] before = Files(images, Path.GetDirectoryName(target.Counters)!);
        Must(space.Run(
            Programs.Target("killer"),
            "restore",
            KillsOfRestore,
            $"{seed}",
            $"{processes}",
            Programs.Firn,
            "restore",
            "-D",
            images,
            "-d",
            "-v0"));
        Assert.Equal(before, Files(images, Path.GetDirectoryName(target.Counters)!));
    }

    // In a pid namespace all goes with its init, in whatever state that is.
    [Theory]
    [InlineData("contained", 2, 103)]
    [InlineData("added", 3, 104)]
    public void Killed_at_random_moments_of_a_restore_into_namespaces_nothing_is_left(string kind, int processes, int seed)
    {
        using var space = new PidNamespace();
        string counters = Path.Combine(space.MakeDirectory("work"), "counters");
        bool isContained = kind == "contained";
        int started = space.Start(
        [
            .. isContained ? [Programs.Target("contain"), "pui"] : Array.Empty<string>(),
            Programs.Target("checking"), "restored", counters,
        ]);
        PidNamespace.Until(
            () => File.Exists(counters) && File.ReadAllBytes(counters) is [_, _, _, _, _, _, _, _, 1, ..], "checking is ready");
        int root = isContained ? space.Pids.First(pid => pid > started) : started;
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{root}", "-D", images);
        space.UntilEmpty();
        string[] before = Files(images, Path.GetDirectoryName(counters)!);
        Must(space.Run(
        [
            Programs.Target("killer"), "restore", KillsInNamespaces, $"{seed}", $"{processes}",
            Programs.Firn, "restore", "-D", images, "-d", "-v0", .. isContained ? Array.Empty<string>() : ["--new-pid-namespace"],
        ]));
        Assert.Equal(before, Files(images, Path.GetDirectoryName(counters)!));
    }

    // Their processes are in several pid namespaces, which go with their inits.
    [Theory]
    [InlineData("task_nested_pids", 105)]
    [InlineData("task_nested_users", 106)]
    public void Killed_at_random_moments_of_a_restore_of_nested_namespaces_nothing_is_left(string target, int seed)
    {
        using var space = new PidNamespace();
        string work = space.MakeDirectory("work");
        int root = space.Start([Programs.Target(target), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), $"{target} is ready");
        int processes = space.Pids.Count;
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{root}", "-D", images);
        space.UntilEmpty();
        string[] before = Files(images, work);
        Must(space.Run(
            Programs.Target("killer"), "restore", KillsInNamespaces, $"{seed}", $"{processes}",
            Programs.Firn, "restore", "-D", images, "-d", "-v0"));
        Assert.Equal(before, Files(images, work));
    }

    // Ends well or with an error, and never hangs: the driver watches over that.
    [Theory]
    [InlineData(201)]
    public void A_target_killed_at_random_moments_of_its_dump_is_no_harm_to_Firn(int seed)
    {
        using var space = new PidNamespace();
        string images = space.MakeDirectory("images");
        string counters = Path.Combine(space.Directory, "counters");
        Outcome outcome = space.Run(
            Programs.Target("killer"), "target", KillsOfTarget, $"{seed}", Programs.Target("checking"), counters, "--",
            Programs.Firn, "dump", "-t", "PID", "-D", images, "-R", "-v0");
        Must(outcome);
        Assert.DoesNotContain("mistake in Firn", outcome.Error, StringComparison.Ordinal);
    }

    private void KillDumps(string program, string kills, int seed, params string[] options)
    {
        using var space = new PidNamespace();
        var target = new SelfChecking(space, program);
        string images = space.MakeDirectory("images");
        Must(space.Run(
        [
            Programs.Target("killer"), "dump", kills, $"{seed}", target.Counters,
            Programs.Firn, "dump", "-t", target.PidText, "-D", images, "-R", "-v0", .. options,
        ]));
        target.MustGoOn();
    }

    private static string[] Files(params string[] directories)
        => [.. directories.SelectMany(directory => Directory.EnumerateFileSystemEntries(directory, "*", SearchOption.AllDirectories))
            .Where(path => Path.GetFileName(path) != "stats-restore")
            .Order(StringComparer.Ordinal)];

    private void Must(Outcome outcome)
    {
        output.WriteLine(outcome.Output);
        Assert.True(outcome.Status == 0, $"status {outcome.Status}\n{outcome.Output}\n{outcome.Error}");
    }
}
