using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>A round trip for each kind: a target sets a state up, is dumped, killed and restored, and then checks itself.</summary>
public sealed class KindTests
{
    private const int SIGUSR1 = 10;
    private const int Times = 10;

    public static IEnumerable<TheoryDataRow<string>> Saved
        => TargetSource.All.Where(target => target.Refusal is null).Select(target => new TheoryDataRow<string>(target.Name));

    public static IEnumerable<TheoryDataRow<string>> SavedAndLeftRunning
        => TargetSource.All.Where(
            target => target.Refusal is null && !target.OnlyRestored).Select(target => new TheoryDataRow<string>(target.Name));

    public static IEnumerable<TheoryDataRow<string>> Refused
        => TargetSource.All.Where(target => target.Refusal is not null).Select(target => new TheoryDataRow<string>(target.Name));

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Saved))]
    public void Is_whole_after_dump_kill_and_restore(string name)
    {
        TargetSource target = Find(name);
        using var space = new PidNamespace();
        int pid = StartTarget(space, name, out string work);
        string images = space.MakeDirectory("images");
        IReadOnlyList<int> before = space.Pids;
        space.FirnMust(["dump", "-t", $"{pid}", "-D", images, "-v4", "-o", "dump.log", .. target.Options, .. target.DumpOptions]);
        space.UntilEmpty();
        space.FirnMust(["restore", "-D", images, "-d", "-v4", "-o", "restore.log", .. target.Options]);
        Assert.Equal(before, space.Pids);
        CheckItself(space, pid, work);
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(SavedAndLeftRunning))]
    public void Goes_on_unharmed_after_ten_dumps(string name)
    {
        TargetSource target = Find(name);
        using var space = new PidNamespace();
        int pid = StartTarget(space, name, out string work);
        for (int time = 1; time <= Times; time++)
        {
            string images = space.MakeDirectory($"images-{time}");
            space.FirnMust(["dump", "-t", $"{pid}", "-D", images, "-R", .. target.Options, .. target.DumpOptions]);
        }

        CheckItself(space, pid, work);
    }

    // What a look at a queue changes, the next dump must not miss.
    [Theory]
    [InlineData("unix_empty")]
    [InlineData("unix_fds_in_flight")]
    [InlineData("inet_udp_queue")]
    public void Is_whole_after_its_third_dump(string name)
    {
        using var space = new PidNamespace();
        int pid = StartTarget(space, name, out string work);
        for (int time = 1; time < 3; time++)
        {
            space.FirnMust(["dump", "-t", $"{pid}", "-D", space.MakeDirectory($"images-{time}"), "-R"]);
        }

        string images = space.MakeDirectory("images");
        space.FirnMust(["dump", "-t", $"{pid}", "-D", images]);
        space.UntilEmpty();
        space.FirnMust(["restore", "-D", images, "-d"]);
        CheckItself(space, pid, work);
    }

    // A Firn that is killed when the tree is dead leaves a set without what comes last.
    [Fact]
    public void Data_of_connections_not_accepted_that_is_lost_resets_them_alone()
    {
        using var space = new PidNamespace();
        int pid = StartTarget(space, "early_lost", out string work);
        string images = space.MakeDirectory("images");
        space.FirnMust(["dump", "-t", $"{pid}", "-D", images]);
        space.UntilEmpty();
        File.Delete(Path.Combine(images, "sk-late.img"));
        Outcome restored = space.FirnMust(["restore", "-D", images, "-d"]);
        Assert.Contains("sk-late.img", restored.Error, StringComparison.Ordinal);
        CheckItself(space, pid, work);
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Refused), DisableDiscoveryEnumeration = true)]
    public void Is_refused_by_name_and_unharmed(string name)
    {
        TargetSource target = Find(name);
        using var space = new PidNamespace();
        int pid = StartTarget(space, name, out string work);
        string images = space.MakeDirectory("images");
        Outcome outcome = space.Firn(["dump", "-t", $"{pid}", "-D", images, .. target.Options, .. target.DumpOptions]);
        Assert.Equal(1, outcome.Status);
        Assert.Contains($"[{target.Refusal}]", outcome.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(images, "*.img"));
        CheckItself(space, pid, work);
    }

    private static TargetSource Find(string name) => TargetSource.All.Single(target => target.Name == name);

    private static int StartTarget(PidNamespace space, string name, out string work)
    {
        string directory = work = space.MakeDirectory("work");
        int pid = space.Start([Programs.Target(name), directory]);
        string skipped = Path.Combine(directory, "skipped");
        PidNamespace.Until(() => File.Exists(Path.Combine(directory, "ready")) || File.Exists(skipped), $"{name} is ready");
        return File.Exists(skipped) ? throw Programs.Skipped(File.ReadAllText(skipped)) : pid;
    }

    private static void CheckItself(PidNamespace space, int pid, string work)
    {
        string result = Path.Combine(work, "result");
        space.Kill(pid, SIGUSR1);
        PidNamespace.Until(() => File.Exists(result) || !space.Pids.Contains(pid), "the target has checked itself");
        Assert.True(File.Exists(result), "the target ended before it had checked itself");
        Assert.Equal("ok\n", File.ReadAllText(result));
    }
}
