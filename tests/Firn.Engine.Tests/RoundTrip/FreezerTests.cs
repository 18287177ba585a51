using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>The freezer of control groups, version 1 and 2: stops a tree at one instant; what was frozen stays frozen, what was not,
/// not.</summary>
public sealed class FreezerTests(ITestOutputHelper output)
{
    private const string Kills = "60";
    private const int SIGUSR1 = 10;

    [Theory]
    [InlineData("unified")]
    [InlineData("freezer")]
    public void A_tree_that_forks_all_the_time_is_stopped_by_the_freezer_of_its_cgroup(string hierarchy)
    {
        using var space = new PidNamespace();
        using var group = new TestCgroup(hierarchy);
        var target = new SelfChecking(space, "restless");
        TestCgroup.Enter(space, group.MakeBelow("inner"), target.Pid);
        string images = space.MakeDirectory("images");
        for (int time = 1; time <= 3; time++)
        {
            space.FirnMust("dump", "-t", target.PidText, "-D", images, "-R", "-v4", "-o", "log");
            Assert.Contains($"cgroup {group.Path} is frozen", File.ReadAllText(Path.Combine(images, "log")), StringComparison.Ordinal);
            Assert.Equal(group.ThawedText, group.State);
            target.MustGoOn();
        }

        space.FirnMust("dump", "-t", target.PidText, "-D", images);
        space.UntilEmpty();
        Assert.Equal(group.ThawedText, group.State);
        space.FirnMust("restore", "-D", images, "-d");
        target.MustGoOn();
    }

    [Theory]
    [InlineData("unified")]
    [InlineData("freezer")]
    public void A_named_cgroup_is_used(string hierarchy)
    {
        using var space = new PidNamespace();
        using var group = new TestCgroup(hierarchy);
        var target = new SelfChecking(space);
        int other = space.Start(["/bin/sleep", "1000"]);
        TestCgroup.Enter(space, group.Path, target.Pid);
        TestCgroup.Enter(space, group.Path, other);
        string images = space.MakeDirectory("images");
        string log = Path.Combine(images, "log");
        space.FirnMust("dump", "-t", target.PidText, "-D", images, "-R", "-v4", "-o", "log");
        Assert.DoesNotContain("is frozen", File.ReadAllText(log), StringComparison.Ordinal);
        space.FirnMust("dump", "-t", target.PidText, "-D", images, "-R", "-v4", "-o", "log", "--freeze-cgroup", group.Path);
        Assert.Contains($"cgroup {group.Path} is frozen", File.ReadAllText(log), StringComparison.Ordinal);
        Assert.Equal(group.ThawedText, group.State);
        target.MustGoOn();
    }

    [Theory]
    [InlineData("unified")]
    [InlineData("freezer")]
    public void A_cgroup_that_holds_Firn_is_refused(string hierarchy)
    {
        using var space = new PidNamespace();
        using var group = new TestCgroup(hierarchy);
        var target = new SelfChecking(space);
        string images = space.MakeDirectory("images");
        string script = $"echo $$ > {group.Path}/cgroup.procs; exec {Programs.Firn} dump -t {target.Pid} -D {images} "
            + $"--freeze-cgroup {group.Path}";
        Outcome outcome = space.Run("sh", "-c", script);
        Assert.Equal(1, outcome.Status);
        Assert.Contains("holds firn itself", outcome.Error, StringComparison.Ordinal);
        target.MustGoOn();
    }

    [Theory]
    [InlineData("unified")]
    [InlineData("freezer")]
    public void What_was_frozen_before_stays_frozen(string hierarchy)
    {
        using var space = new PidNamespace();
        using var group = new TestCgroup(hierarchy);
        var target = new SelfChecking(space, "restless");
        TestCgroup.Enter(space, group.MakeBelow("inner"), target.Pid);
        group.Freeze();
        byte[] before = File.ReadAllBytes(target.Counters);
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", target.PidText, "-D", images, "-R");
        Assert.Equal(group.FrozenText, group.State);

        // A dump that fails, too.
        string missing = Path.Combine(space.Directory, "missing");
        Assert.Equal(1, space.Firn("dump", "-t", target.PidText, "-D", missing, "-R").Status);
        string full = $"mount -t tmpfs -o size=4k none {images} || exit 99; exec {Programs.Firn} dump -t {target.Pid} -D {images} -R";
        Assert.Equal(1, space.Run("sh", "-c", full).Status);
        Assert.Equal(group.FrozenText, group.State);
        Assert.Equal(before, File.ReadAllBytes(target.Counters));
        group.Thaw();
        target.MustGoOn();
    }

    // A tracer that seizes what a signal has stopped waits until that moves, which it doesn't while its group is frozen.
    [Theory]
    [InlineData("unified", false)]
    [InlineData("freezer", false)]
    [InlineData("unified", true)]
    [InlineData("freezer", true)]
    public void A_job_that_is_stopped_by_a_signal_is_no_obstacle(string hierarchy, bool isFrozen)
    {
        using var space = new PidNamespace();
        using var group = new TestCgroup(hierarchy);
        string work = space.MakeDirectory("work");
        string images = space.MakeDirectory("images");
        int pid = space.Start([Programs.Target("task_stopped"), work]);
        TestCgroup.Enter(space, group.Path, pid);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "the target is ready");
        TestCgroup.Enter(space, group.Path, space.Pids.Single(other => other > pid));
        if (isFrozen)
        {
            group.Freeze();
        }

        space.FirnMust("dump", "-t", $"{pid}", "-D", images, "-R");
        Assert.Equal(isFrozen ? group.FrozenText : group.ThawedText, group.State);
        space.FirnMust("dump", "-t", $"{pid}", "-D", images);
        space.UntilEmpty();
        space.FirnMust("restore", "-D", images, "-d");
        group.Thaw();
        string result = Path.Combine(work, "result");
        space.Kill(pid, SIGUSR1);
        PidNamespace.Until(() => File.Exists(result), "the target has checked itself");
        Assert.Equal("ok\n", File.ReadAllText(result));
    }

    [Theory]
    [InlineData("unified")]
    [InlineData("freezer")]
    public void A_frozen_cgroup_that_others_share_is_left_alone(string hierarchy)
    {
        using var space = new PidNamespace();
        using var group = new TestCgroup(hierarchy);
        var target = new SelfChecking(space, "restless");
        int other = space.Start(["/bin/sleep", "1000"]);
        TestCgroup.Enter(space, group.Path, target.Pid);
        TestCgroup.Enter(space, group.Path, other);
        target.MustGoOn();
        group.Freeze();
        byte[] before = File.ReadAllBytes(target.Counters);
        Outcome outcome = space.Firn("dump", "-t", target.PidText, "-D", space.MakeDirectory("images"), "-R");
        Assert.Equal(1, outcome.Status);
        Assert.Contains($"also holds task {other}", outcome.Error, StringComparison.Ordinal);
        Assert.Equal(group.FrozenText, group.State);
        Assert.Equal(before, File.ReadAllBytes(target.Counters));
        group.Thaw();
        target.MustGoOn();
    }

    [Theory]
    [InlineData("unified", false)]
    [InlineData("freezer", false)]
    [InlineData("unified", true)]
    [InlineData("freezer", true)]
    public void Killed_at_random_moments_of_a_dump_it_leaves_the_cgroup_as_it_was(string hierarchy, bool frozen)
    {
        using var space = new PidNamespace();
        using var group = new TestCgroup(hierarchy);
        var target = new SelfChecking(space, "checking", "alone");
        TestCgroup.Enter(space, group.Path, target.Pid);
        if (frozen)
        {
            group.Freeze();
        }

        string images = space.MakeDirectory("images");
        Outcome outcome = space.Run(
            Programs.Target("killer"), "state", Kills, "7", group.FreezerFile, frozen ? group.FrozenText : group.ThawedText,
            Programs.Firn, "dump", "-t", target.PidText, "-D", images, "-R", "-v0");
        output.WriteLine(outcome.Output);
        Assert.True(outcome.Status == 0, $"{outcome.Output}\n{outcome.Error}");
        if (frozen)
        {
            group.Thaw();
        }

        target.MustGoOn();
    }

    [Theory]
    [InlineData("unified")]
    [InlineData("freezer")]
    [InlineData(null)]
    public void Freeze_and_thaw_do_it_for_a_tree_that_runs(string? hierarchy)
    {
        using var space = new PidNamespace();
        using TestCgroup? group = hierarchy is null ? null : new TestCgroup(hierarchy);
        var target = new SelfChecking(space, "restless");
        if (group is not null)
        {
            TestCgroup.Enter(space, group.Path, target.Pid);
        }

        target.MustGoOn();
        string before = File.ReadAllText(space.Proc(target.Pid, "cgroup"));
        space.FirnMust("freeze", "-t", target.PidText);
        byte[] counters = File.ReadAllBytes(target.Counters);
        space.FirnMust("dump", "-t", target.PidText, "-D", space.MakeDirectory("images"), "-R");
        Thread.Sleep(50);
        Assert.Equal(counters, File.ReadAllBytes(target.Counters));
        if (group is not null)
        {
            Assert.Equal(group.FrozenText, group.State);
        }

        space.FirnMust("thaw", "-t", target.PidText);
        target.MustGoOn();
        Assert.Equal(before, File.ReadAllText(space.Proc(target.Pid, "cgroup")));
        Outcome again = space.Firn("thaw", "-t", target.PidText);
        Assert.Equal(1, again.Status);
        Assert.Contains("isn't frozen", again.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_restart_ends_at_the_frozen_state_and_the_thaw_is_a_step_of_its_own()
    {
        using var space = new PidNamespace();
        var target = new SelfChecking(space, "checking", "restored");
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", target.PidText, "-D", images);
        space.UntilEmpty();
        byte[] counters = File.ReadAllBytes(target.Counters);
        space.FirnMust("restore", "-D", images, "-d", "--leave-frozen");
        Thread.Sleep(50);
        Assert.Equal(counters, File.ReadAllBytes(target.Counters));
        space.FirnMust("thaw", "-t", target.PidText);
        target.MustGoOn();
    }
}
