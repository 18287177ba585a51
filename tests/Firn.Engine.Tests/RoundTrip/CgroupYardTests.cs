using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Control groups reached by a yard (`--cgroup-yard`), and properties from a file (`--cgroup-props-file`).</summary>
public sealed class CgroupYardTests : IDisposable
{
    // What is mounted at the usual place is hidden, and only what the yard has is there.
    private const string InYard = "mkdir -p $0 && for d in /sys/fs/cgroup/*/; do "
        + "mkdir -p $0/$(basename $d) && mount --bind $d $0/$(basename $d); done; [ -z \"$1\" ] || umount $0/$1; shift; "
        + "mount -t tmpfs none /sys/fs/cgroup && exec \"$@\"";

    private readonly PidNamespace space = new();

    public void Dispose() => space.Dispose();

    [Fact]
    public void Groups_are_saved_and_made_again_where_the_yard_has_them()
    {
        using var group = new TestCgroup("pids");
        string below = group.MakeBelow("a");
        File.WriteAllText($"{below}/pids.max", "77");
        var target = new SelfChecking(space, "checking", "alone");
        TestCgroup.Enter(space, below, target.Pid);
        string images = space.MakeDirectory("images");
        Must(Within("", "dump", "-t", target.PidText, "-D", images, "--manage-cgroups", "--cgroup-yard", Yard));
        space.UntilEmpty();
        group.Dispose();

        // Without the hierarchy in it, the yard is of no use.
        Outcome outcome = Within("pids", "restore", "-D", images, "-d", "--manage-cgroups", "--cgroup-yard", Yard);
        Assert.Equal(1, outcome.Status);
        Assert.Contains("pids", outcome.Error, StringComparison.Ordinal);
        space.UntilEmpty();
        Must(Within("", "restore", "-D", images, "-d", "--manage-cgroups", "--cgroup-yard", Yard));
        Assert.Equal("77", File.ReadAllText($"{below}/pids.max").Trim());
        Assert.Contains($"pids:/{group.Name}/a\n", File.ReadAllText(space.Proc(target.Pid, "cgroup")), StringComparison.Ordinal);
        target.MustGoOn();
        space.Kill(target.Pid, 9);
        space.UntilEmpty();
        Directory.Delete(below);
        Directory.Delete(group.Path);
    }

    [Fact]
    public void A_yard_that_is_not_there_is_named()
    {
        var target = new SelfChecking(space, "checking", "alone");
        string images = space.MakeDirectory("images");
        Outcome outcome = space.Firn("dump", "-t", target.PidText, "-D", images, "--manage-cgroups", "--cgroup-yard", "/nowhere");
        Assert.Equal(1, outcome.Status);
        Assert.Contains("/nowhere", outcome.Error, StringComparison.Ordinal);
        target.MustGoOn();
    }

    [Theory]
    [InlineData("merge", "pids.max", true)]
    [InlineData("replace", "pids.max", false)]
    public void A_file_says_which_properties_are_saved(string strategy, string name, bool isSaved)
    {
        using var group = new TestCgroup("pids");
        var target = new SelfChecking(space, "checking", "alone");
        TestCgroup.Enter(space, group.Path, target.Pid);
        string images = space.MakeDirectory("images");
        string file = Path.Combine(space.Directory, "properties");
        File.WriteAllText(
            file,
            $"""
            "pids":
              - "strategy": "{strategy}"
              - "properties": ["pids.current", "pids.events"]

            """);
        space.FirnMust("dump", "-t", target.PidText, "-D", images, "-R", "--manage-cgroups", "--cgroup-props-file", file);
        string json = space.FirnMust("decode", Path.Combine(images, "cgroup.img")).Output;
        Assert.Contains("pids.events", json, StringComparison.Ordinal);
        Assert.Equal(isSaved, json.Contains(name, StringComparison.Ordinal));
        space.Kill(target.Pid, 9);
        space.UntilEmpty();
    }

    [Theory]
    [InlineData("\"pids\": - \"strategy\": \"add\"", "neither `merge` nor `replace`")]
    [InlineData(null, "does not exist")]
    public void A_file_that_can_not_be_understood_is_answered_by_one_sentence(string? text, string expected)
    {
        var target = new SelfChecking(space, "checking", "alone");
        string file = Path.Combine(space.Directory, "properties");
        if (text is not null)
        {
            File.WriteAllText(file, text);
        }

        Outcome outcome = space.Firn(
            "dump", "-t", target.PidText, "-D", space.MakeDirectory("images"), "--manage-cgroups", "--cgroup-props-file", file);
        Assert.Equal(1, outcome.Status);
        Assert.Contains(expected, outcome.Error, StringComparison.Ordinal);
        target.MustGoOn();
    }

    [Fact]
    public void Firn_does_not_freeze_itself()
    {
        using var group = new TestCgroup("freezer");
        var target = new SelfChecking(space, "checking", "alone");
        TestCgroup.Enter(space, group.Path, target.Pid);
        string images = space.MakeDirectory("images");
        group.Freeze();
        space.FirnMust("dump", "-t", target.PidText, "-D", images, "--manage-cgroups");
        space.UntilEmpty();
        group.Thaw();
        string within = $"echo $$ > {group.Path}/cgroup.procs; exec {Programs.Firn} restore -D {images} -d --manage-cgroups=full";
        Outcome outcome = space.Run("sh", "-c", within);
        Assert.Equal(1, outcome.Status);
        Assert.Contains("holds firn itself", outcome.Error, StringComparison.Ordinal);
        Assert.Equal(group.ThawedText, group.State);
        space.UntilEmpty();
        space.FirnMust("restore", "-D", images, "-d", "--manage-cgroups=full");
        Assert.Equal(group.FrozenText, group.State);
        group.Thaw();
        target.MustGoOn();
    }

    private string Yard => Path.Combine(space.Directory, "yard");

    private Outcome Within(string missing, params string[] arguments)
        => space.Run(["unshare", "--mount", "sh", "-c", InYard, Yard, missing, Programs.Firn, .. arguments]);

    private static void Must(Outcome outcome) => Assert.True(outcome.Status == 0, outcome.Error);
}
