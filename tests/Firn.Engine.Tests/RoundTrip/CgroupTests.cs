using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>
/// Control groups, version 1 and 2 side by side: where tasks and threads sit, what limits them, in all modes; and nothing left behind.
/// </summary>
public sealed class CgroupTests
{
    private const int SIGUSR1 = 10;
    private static readonly string[] Hierarchies = ["unified", "pids", "memory", "cpu", "cpuset", "devices", "freezer"];

    private static readonly (string Hierarchy, string File)[] Files =
    [
        ("memory", "a/memory.limit_in_bytes"), ("pids", "a/pids.max"), ("cpu", "a/cpu.shares"), ("unified", "a/cgroup.max.depth"),
        ("devices", "a/devices.list"), ("cpuset", "a/cpuset.cpus"), ("cpuset", "cpuset.cpus"),
    ];

    // A group of each hierarchy with a limit of each kind; a child and a thread sit deeper.
    private sealed class Placed : IDisposable
    {
        private readonly List<TestCgroup> groups = [];

        public Placed(string mode = "--manage-cgroups")
        {
            Space = new PidNamespace();
            try
            {
                string name = string.Empty;
                foreach (string hierarchy in Hierarchies)
                {
                    groups.Add(new TestCgroup(hierarchy, groups.Count == 0 ? null : name));
                    name = groups[0].Name;
                    groups[^1].MakeBelow("a");
                }

                Name = name;
                foreach (string file in (ReadOnlySpan<string>)["cpuset.cpus", "cpuset.mems"])
                {
                    string all = File.ReadAllText($"/sys/fs/cgroup/cpuset/{file}");
                    File.WriteAllText($"/sys/fs/cgroup/cpuset/{Name}/{file}", all);
                    File.WriteAllText($"/sys/fs/cgroup/cpuset/{Name}/a/{file}", all.Split(',', '-')[0].Trim());
                }

                Set("memory", "a/memory.limit_in_bytes", "268435456");
                Set("pids", "a/pids.max", "77");
                Set("cpu", "a/cpu.shares", "512");
                Set("unified", "a/cgroup.max.depth", "7");
                Set("devices", "a/devices.deny", "a");
                Set("devices", "a/devices.allow", "c 1:3 rwm");
                Set("devices", "a/devices.allow", "c 5:* rw");
                Directory.CreateDirectory(PathOf("pids", "a/deep"));
                Directory.CreateDirectory(PathOf("cpu", "a/thread"));
                Directory.CreateDirectory(PathOf("unified", "a/empty"));
                Target = new SelfChecking(Space, "checking", "restored");
                foreach (int pid in Space.Pids)
                {
                    foreach (string hierarchy in Hierarchies)
                    {
                        TestCgroup.Enter(Space, PathOf(hierarchy, "a"), pid);
                    }
                }

                TestCgroup.Enter(Space, PathOf("pids", "a/deep"), Target.Pid + 1);
                Thread = Space.Run("sh", "-c", $"ls /proc/{Target.Pid}/task | tail -1").Output.Trim();
                Assert.Equal(0, Space.Run("sh", "-c", $"echo {Thread} > {PathOf("cpu", "a/thread/tasks")}").Status);
                Images = Space.MakeDirectory("images");
                Before = State;
                Space.FirnMust("dump", "-t", Target.PidText, "-D", Images, mode);
                Space.UntilEmpty();
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        public PidNamespace Space { get; }

        public SelfChecking Target { get; } = null!;

        public string Images { get; } = string.Empty;

        public string Name { get; } = string.Empty;

        public string Before { get; } = string.Empty;

        private string Thread { get; } = "0";

        /// <summary>Where all sit.</summary>
        public string Seats => Space.Run(
            "sh", "-c", $"cat /proc/{Target.Pid}/cgroup /proc/{Target.Pid + 1}/cgroup /proc/{Target.Pid}/task/{Thread}/cgroup").Output;

        /// <summary>Where all sit, and all that was set.</summary>
        public string State => string.Join(
            '\n',
            [
                Seats,
                .. Files.Select(file => File.ReadAllText(PathOf(file.Hierarchy, file.File))),
                $"{Directory.Exists(PathOf("unified", "a/empty"))}",
            ]);

        public static string PathOf(string hierarchy, string name, string path) => $"/sys/fs/cgroup/{hierarchy}/{name}/{path}";

        public string PathOf(string hierarchy, string path) => PathOf(hierarchy, Name, path);

        public void Set(string hierarchy, string file, string value) => File.WriteAllText(PathOf(hierarchy, file), value);

        public void RemoveGroups()
        {
            groups.ForEach(group => group.Dispose());

            // A root for all hierarchies is one for those, too, in which the target had no group.
            Array.ForEach(Directory.GetDirectories("/sys/fs/cgroup"), mount => TestCgroup.Remove(Path.Combine(mount, groups[0].Name)));
        }

        public bool Exist => Hierarchies.Any(hierarchy => Directory.Exists($"/sys/fs/cgroup/{hierarchy}/{Name}/a"));

        public Outcome Restore(params string[] options) => Space.Firn(["restore", "-D", Images, "-d", .. options]);

        public void EndTree()
        {
            foreach (int pid in Space.Pids)
            {
                Space.TryKill(pid, 9);
            }

            Space.UntilEmpty();
        }

        public void Dispose()
        {
            RemoveGroups();
            Space.Dispose();
        }
    }

    [Theory]
    [InlineData("--manage-cgroups")]
    [InlineData("--manage-cgroups=soft")]
    [InlineData("--manage-cgroups=full")]
    [InlineData("--manage-cgroups=strict")]
    public void Groups_that_are_gone_are_made_again_with_all_that_was_set(string mode)
    {
        using var placed = new Placed();
        placed.RemoveGroups();
        Outcome outcome = placed.Restore(mode);
        Assert.True(outcome.Status == 0, outcome.Error);
        Assert.Equal(placed.Before, placed.State);
        placed.Target.MustGoOn();
    }

    [Theory]
    [InlineData("none", "99")]
    [InlineData("soft", "99")]
    [InlineData("props", "77")]
    [InlineData("full", "77")]
    public void Groups_that_exist_keep_or_get_their_limits_as_the_mode_says(string mode, string limit)
    {
        using var placed = new Placed();
        placed.Set("pids", "a/pids.max", "99");
        Outcome outcome = placed.Restore($"--manage-cgroups={mode}");
        Assert.True(outcome.Status == 0, outcome.Error);
        Assert.Equal(limit, File.ReadAllText(placed.PathOf("pids", "a/pids.max")).Trim());
        Assert.Equal(placed.Before.Replace("\n77\n", $"\n{limit}\n", StringComparison.Ordinal), placed.State);
        placed.Target.MustGoOn();
    }

    [Theory]
    [InlineData("none")]
    [InlineData("props")]
    public void A_mode_that_makes_no_groups_says_which_is_absent(string mode)
    {
        using var placed = new Placed();
        placed.RemoveGroups();
        Outcome outcome = placed.Restore($"--manage-cgroups={mode}");
        Assert.Equal(1, outcome.Status);
        Assert.Contains("does not exist", outcome.Error, StringComparison.Ordinal);
        Assert.Empty(placed.Space.Pids);
    }

    [Fact]
    public void Strict_says_which_group_exists()
    {
        using var placed = new Placed();
        Outcome outcome = placed.Restore("--manage-cgroups=strict");
        Assert.Equal(1, outcome.Status);
        Assert.Contains("--manage-cgroups=strict wants to make it", outcome.Error, StringComparison.Ordinal);
        Assert.Empty(placed.Space.Pids);
    }

    [Fact]
    public void Ignored_they_are_left_alone_and_the_tree_sits_where_Firn_does()
    {
        using var placed = new Placed();
        placed.RemoveGroups();
        Outcome outcome = placed.Restore();
        Assert.True(outcome.Status == 0, outcome.Error);
        Assert.False(placed.Exist);
        Assert.Equal(
            placed.Space.Run("cat", "/proc/self/cgroup").Output, placed.Space.Run("cat", $"/proc/{placed.Target.Pid}/cgroup").Output);
        placed.Target.MustGoOn();
    }

    [Fact]
    public void A_restore_that_fails_takes_away_the_groups_that_it_made()
    {
        using var placed = new Placed();
        placed.RemoveGroups();

        // The pid of the child is taken: that is found out when all groups are there and the root is in them.
        string script = $"echo {placed.Target.Pid} > /proc/sys/kernel/ns_last_pid; exec sleep 1000 & echo $!";
        Assert.Equal($"{placed.Target.Pid + 1}", placed.Space.Run("sh", "-c", script).Output.Trim());
        Outcome outcome = placed.Restore("--manage-cgroups");
        Assert.Equal(1, outcome.Status);
        Assert.Contains("is taken", outcome.Error, StringComparison.Ordinal);
        foreach (string hierarchy in Hierarchies)
        {
            Assert.False(Directory.Exists($"/sys/fs/cgroup/{hierarchy}/{placed.Name}"));
        }
    }

    [Fact]
    public void Another_root_takes_the_place_of_the_group_of_the_tree()
    {
        using var placed = new Placed();
        placed.RemoveGroups();
        using var other = new TestCgroup("pids");
        string[] roots = ["--cgroup-root", $"/{placed.Name}/b", "--cgroup-root", $"pids:/{other.Name}/c"];
        Outcome outcome = placed.Restore(["--manage-cgroups", .. roots]);
        Assert.True(outcome.Status == 0, outcome.Error);
        string sits = placed.Seats.Replace($"/{other.Name}/c", $"/{placed.Name}/b", StringComparison.Ordinal);
        Assert.Contains($":pids:/{placed.Name}/b/deep\n", sits, StringComparison.Ordinal);
        Assert.Contains($"0::/{placed.Name}/b\n", sits, StringComparison.Ordinal);
        Assert.Equal("77", File.ReadAllText($"{other.Path}/c/pids.max").Trim());
        placed.Target.MustGoOn();
        placed.EndTree();
    }

    [Fact]
    public void Properties_can_be_added_and_controllers_left_out()
    {
        using var placed = new Placed("--manage-cgroups");
        placed.EndTree();
        placed.RemoveGroups();
        placed.Restore("--manage-cgroups");
        string images = placed.Space.MakeDirectory("more");
        placed.Space.FirnMust(
            "dump", "-t", placed.Target.PidText, "-D", images, "--manage-cgroups", "-R", "--cgroup-dump-controller", "pids",
            "--cgroup-props", "\"pids\":\n - \"strategy\": \"merge\"\n - \"properties\": [ \"pids.events\" ]");
        string json = placed.Space.FirnMust("decode", Path.Combine(images, "cgroup.img")).Output;
        Assert.Contains("pids.events", json, StringComparison.Ordinal);
        Assert.Contains("pids.max", json, StringComparison.Ordinal);
        Assert.DoesNotContain("cpu.shares", json, StringComparison.Ordinal);
        placed.EndTree();
    }

    [Fact]
    public void A_cgroup_namespace_has_its_root_where_it_was()
    {
        using var space = new PidNamespace();
        using var group = new TestCgroup("unified");
        using var freezer = new TestCgroup("freezer");
        string work = space.MakeDirectory("work");
        string counters = Path.Combine(work, "counters");
        string script = $"echo $$ > {group.Path}/cgroup.procs; echo $$ > {freezer.Path}/cgroup.procs; "
            + $"exec unshare -C {Programs.Target("checking")} alone {counters}";
        int pid = space.Start(["sh", "-c", script]);
        PidNamespace.Until(() => File.Exists(counters) && File.ReadAllBytes(counters) is { Length: > 8 } bytes && bytes[8] == 1, "ready");
        TestCgroup.Enter(space, group.MakeBelow("inner"), pid);
        string view = $"nsenter -C -t {pid} cat /proc/{pid}/cgroup";
        string before = space.Run("sh", "-c", view).Output;
        Assert.Contains("0::/inner\n", before, StringComparison.Ordinal);
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{pid}", "-D", images, "--manage-cgroups");
        space.UntilEmpty();
        group.Dispose();
        freezer.Dispose();
        space.FirnMust("restore", "-D", images, "-d", "--manage-cgroups");
        Assert.Equal(before, space.Run("sh", "-c", view).Output);
    }

    [Fact]
    public void Files_of_groups_that_were_made_again_are_open_at_their_places()
    {
        using var space = new PidNamespace();
        using var unified = new TestCgroup("unified");
        using var memory = new TestCgroup("memory");
        string work = space.MakeDirectory("work");
        string script = $"echo $$ > {unified.Path}/cgroup.procs; echo $$ > {memory.Path}/cgroup.procs; "
            + $"echo 268435456 > {memory.Path}/memory.limit_in_bytes; exec {Programs.Target("file_cgroup")} {work}";
        int pid = space.Start(["sh", "-c", script]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "file_cgroup is ready");
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{pid}", "-D", images, "--manage-cgroups");
        space.UntilEmpty();
        unified.Dispose();
        memory.Dispose();
        space.FirnMust("restore", "-D", images, "-d", "--manage-cgroups");
        space.Kill(pid, SIGUSR1);
        string result = Path.Combine(work, "result");
        PidNamespace.Until(() => File.Exists(result) || !space.Pids.Contains(pid), "the target has checked itself");
        Assert.Equal("ok\n", File.ReadAllText(result));
    }

    [Fact]
    public void A_tree_that_was_frozen_when_it_was_dumped_is_restored_frozen()
    {
        using var space = new PidNamespace();
        using var group = new TestCgroup("freezer");
        var target = new SelfChecking(space, "checking", "alone");
        TestCgroup.Enter(space, group.Path, target.Pid);
        group.Freeze();
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", target.PidText, "-D", images, "--manage-cgroups");
        space.UntilEmpty();
        Assert.Equal(group.FrozenText, group.State);
        group.Dispose();
        byte[] counters = File.ReadAllBytes(target.Counters);
        space.FirnMust("restore", "-D", images, "-d", "--manage-cgroups");
        Thread.Sleep(50);
        Assert.Equal(counters, File.ReadAllBytes(target.Counters));
        Assert.Equal(group.FrozenText, group.State);
        space.FirnMust("thaw", "-t", target.PidText);
        target.MustGoOn();
    }

    [Fact]
    public void A_group_that_is_frozen_takes_no_tree()
    {
        using var placed = new Placed();
        File.WriteAllText(placed.PathOf("freezer", "freezer.state"), "FROZEN");
        Outcome outcome = placed.Restore("--manage-cgroups");
        Assert.Equal(1, outcome.Status);
        Assert.Contains("is frozen, so that no task can be restored in it", outcome.Error, StringComparison.Ordinal);
        Assert.Empty(placed.Space.Pids);
    }
}
