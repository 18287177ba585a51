using System.Globalization;
using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Round trips of trees in namespaces of their own, whose root is the init of a pid namespace.</summary>
public sealed class NamespaceTests
{
    private const int SIGUSR1 = 10;
    private const int SIGKILL = 9;
    private const int Times = 10;
    private const string Basic = "pui";
    private const string WithMounts = "puim";

    public static IEnumerable<TheoryDataRow<string>> OwnTargets
        => TargetSource.OfNamespaces.Select(target => new TheoryDataRow<string>(target.Name));

    public static IEnumerable<TheoryDataRow<string>> AllTargets
        => TargetSource.All.Where(target => target.Refusal is null && !target.MountsForItself)
            .Select(target => new TheoryDataRow<string>(target.Name));

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(OwnTargets))]
    public void A_namespace_is_whole_after_dump_kill_and_restore(string name)
    {
        TargetSource target = TargetSource.OfNamespaces.Single(target => target.Name == name);
        RoundTrip(target, target.Namespaces);
    }

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(AllTargets))]
    public void A_kind_is_whole_within_namespaces(string name)
        => RoundTrip(TargetSource.All.Single(target => target.Name == name), WithMounts);

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(OwnTargets))]
    public void A_namespace_is_unharmed_by_ten_dumps(string name)
    {
        TargetSource target = TargetSource.OfNamespaces.Single(target => target.Name == name);
        using var space = new PidNamespace();
        int root = Start(space, target, target.Namespaces, out string work);
        for (int time = 1; time <= Times; time++)
        {
            string images = space.MakeDirectory($"images-{time}");
            space.FirnMust(["dump", "-t", $"{root}", "-D", images, "-R", .. target.Options, .. target.DumpOptions]);
        }

        CheckItself(space, root, work);
    }

    [Fact]
    public void A_failed_restore_leaves_nothing()
    {
        using var space = new PidNamespace();
        TargetSource target = TargetSource.OfNamespaces.Single(target => target.Name == "ns_ids");
        int root = Start(space, target, Basic, out _);
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{root}", "-D", images);
        space.UntilEmpty();
        foreach (string core in Directory.GetFiles(images, "core-*.img").Order().Skip(1))
        {
            string kept = core + ".kept";
            File.Move(core, kept);
            Assert.Equal(1, space.Firn("restore", "-D", images, "-d").Status);
            Assert.Empty(space.Pids);
            File.Move(kept, core);
        }

        // A pid file that can't be written is noticed when all is there but the thaw.
        Assert.Equal(1, space.Firn("restore", "-D", images, "-d", "--pidfile", "/proc/no-such-file").Status);
        Assert.Empty(space.Pids);
    }

    [Fact]
    public void A_part_of_a_pid_namespace_is_refused_by_name()
    {
        using var space = new PidNamespace();
        TargetSource target = TargetSource.OfNamespaces.Single(target => target.Name == "ns_ids");
        int root = Start(space, target, Basic, out string work);
        int child = space.Pids.First(pid => pid > root && InnerPid(space, pid) > 1);
        Outcome outcome = space.Firn("dump", "-t", $"{child}", "-D", space.MakeDirectory("images"));
        Assert.Equal(1, outcome.Status);
        Assert.Contains("[pid-namespace-part]", outcome.Error, StringComparison.Ordinal);
        CheckItself(space, root, work);
    }

    [Fact]
    public void A_process_that_came_into_the_namespace_from_outside_is_refused_by_name()
    {
        string nsenter = Programs.Command("/usr/bin/nsenter");
        using var space = new PidNamespace();
        TargetSource target = TargetSource.OfNamespaces.Single(target => target.Name == "ns_ids");
        int root = Start(space, target, Basic, out string work);
        space.Start([nsenter, "-t", $"{root}", "-p", "/bin/sleep", "1000"]);
        PidNamespace.Until(() => space.Pids.Any(pid => Name(space, pid) == "sleep"), "sleep runs");
        int stranger = space.Pids.Single(pid => Name(space, pid) == "sleep");
        Outcome outcome = space.Firn("dump", "-t", $"{root}", "-D", space.MakeDirectory("images"));
        Assert.Equal(1, outcome.Status);
        Assert.Contains($"{stranger}", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("[pid-namespace-stranger]", outcome.Error, StringComparison.Ordinal);
        CheckItself(space, root, work);
    }

    // An inner container: the init of a pid namespace, within that of the tree, which has mounts of its own. And below a plain program.
    [Theory]
    [InlineData("pm", "p")]
    [InlineData("pm", "puim")]
    [InlineData("", "puim")]
    public void A_container_within_a_tree_is_whole_after_dump_kill_and_restore(string outer, string inner)
    {
        using var space = new PidNamespace();
        string work = space.MakeDirectory("work");
        string contain = Programs.Target("contain");
        string[] within = outer.Length == 0 ? [] : [contain, outer];
        int started = space.Start([.. within, contain, inner, Programs.Target("ns_ids"), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "ns_ids is ready");
        int root = outer.Length == 0 ? started : space.Pids.Single(pid => Name(space, pid) == "contain" && InnerPid(space, pid) == 1);
        string images = space.MakeDirectory("images");
        string[] before = AllLevels(space);
        space.FirnMust("dump", "-t", $"{root}", "-D", images, "-v4", "-o", "dump.log");
        space.UntilEmpty();
        space.FirnMust("restore", "-D", images, "-d", "-v4", "-o", "restore.log");
        Assert.Equal(before, AllLevels(space));
        CheckItself(space, space.Pids.Single(pid => Name(space, pid) == "ns_ids" && InnerPid(space, pid) == 1), work);
    }

    // Programs that make a user namespace and all others in it, below a shell that is in none of them; and within a container.
    [Theory]
    [InlineData("", "/usr/bin/unshare", "-Ur")]
    [InlineData("", "/usr/bin/unshare", "-UrC")]
    [InlineData("", "/usr/bin/unshare", "-Urpf --mount-proc")]
    [InlineData("", "/usr/bin/unshare", "-Urmiun --propagation private")]
    [InlineData("", "/usr/bin/unshare", "-Ur /usr/bin/unshare -Urpf")]
    [InlineData("", "/usr/bin/bwrap", "--ro-bind / / --dev /dev --proc /proc --tmpfs /tmp --unshare-all --new-session")]
    [InlineData("", "/usr/bin/bwrap", "--ro-bind / / --dev /dev --proc /proc --tmpfs /tmp --unshare-all --uid 1000 --gid 1000")]
    [InlineData(
        "",
        "/usr/bin/setpriv",
        "--reuid 1000 --regid 1000 --clear-groups /usr/bin/bwrap --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp --unshare-all")]
    [InlineData("puim", "/usr/bin/unshare", "-Urpf --mount-proc")]
    [InlineData("puim", "/usr/bin/bwrap", "--bind / / --dev /dev --proc /proc --tmpfs /tmp --unshare-all --uid 1000")]
    [InlineData("puiU", "/usr/bin/unshare", "-Urpf")]
    public void A_sandbox_below_a_shell_is_whole_after_dump_kill_and_restore(string container, string program, string options)
    {
        string sandbox = Programs.Command(program);
        _ = options.Contains("bwrap", StringComparison.Ordinal) ? Programs.Command("/usr/bin/bwrap") : sandbox;
        using var space = new PidNamespace();
        string[] outer = container.Length == 0 ? [] : [Programs.Target("contain"), container];
        int root = space.Start([.. outer, "/bin/sh", "-c", $"{sandbox} {options} /bin/sh -c 'sleep 1000 & sleep 1001; true'; true"]);
        PidNamespace.Until(() => space.Pids.Count(pid => Name(space, pid) == "sleep") == 2, "the sandbox has begun");
        if (container.Length > 0)
        {
            root = space.Pids.Single(pid => Levels(space, pid) is [_, "1"]);
        }

        string images = space.MakeDirectory("images");
        string[] before = DescribeAll(space, container.Length > 0, options.Contains("proc", StringComparison.Ordinal));
        space.FirnMust("dump", "-t", $"{root}", "-D", images, "-v4", "-o", "dump.log");
        space.UntilEmpty();
        space.FirnMust("restore", "-D", images, "-d", "-v4", "-o", "restore.log");
        Assert.Equal(before, DescribeAll(space, container.Length > 0, options.Contains("proc", StringComparison.Ordinal)));
    }

    // Of a container's processes the ids outside of it are new ones.
    private static string[] DescribeAll(PidNamespace space, bool isContained, bool showsOwn)
        => [.. space.Pids.Where(pid => !isContained || Levels(space, pid).Length > 1)
            .Select(pid => Describe(space, pid, isContained ? 1 : 0, showsOwn)).Order(StringComparer.Ordinal)];

    // Ids at all levels, credentials, maps, what is mounted where, and the processes that /proc shows.
    private static string Describe(PidNamespace space, int pid, int levelsOutside, bool showsOwn)
    {
        string[] status = File.ReadAllLines(space.Proc(pid, "status"));
        IEnumerable<string> ids = status.Where(line => line.StartsWith("NS", StringComparison.Ordinal))
            .Select(line => string.Join(' ', line.Split('\t').Skip(1 + levelsOutside)));
        IEnumerable<string> mounts = File.ReadAllLines(space.Proc(pid, "mountinfo")).Select(line => line.Split(' '))
            .Select(words => string.Join(' ', words[3..6].Concat(words.SkipWhile(word => word != "-")))).Order(StringComparer.Ordinal);
        IEnumerable<string> shown = Directory.EnumerateDirectories(space.Proc(pid, "root/proc")).Select(path => Path.GetFileName(path)!)
            .Where(name => char.IsAsciiDigit(name[0])).Order(StringComparer.Ordinal);
        return string.Join(
            '\n',
            [
                .. ids,
                .. status.Where(line => line.StartsWith("Uid", StringComparison.Ordinal) || line.StartsWith("Gid", StringComparison.Ordinal)
                    || line.StartsWith("Cap", StringComparison.Ordinal) || line.StartsWith("Groups", StringComparison.Ordinal)),
                File.ReadAllText(space.Proc(pid, "uid_map")), File.ReadAllText(space.Proc(pid, "setgroups")),
                .. mounts,
                showsOwn && Levels(space, pid).Length > 1 + levelsOutside ? string.Join(' ', shown) : string.Empty,
            ]);
    }

    // Ids in the namespaces below that of the tests; all where the tree is in that itself.
    private static string[] AllLevels(PidNamespace space)
        => [.. space.Pids.Select(pid => Levels(space, pid)).Where(levels => levels.Length > 1)
            .Select(levels => string.Join(' ', levels[1..])).Order(StringComparer.Ordinal)];

    [Fact]
    public void A_plain_tree_is_restored_beside_itself_in_a_new_pid_namespace()
    {
        using var space = new PidNamespace();
        string work = space.MakeDirectory("work");
        int pid = space.Start([Programs.Target("mem_private"), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "mem_private is ready");
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{pid}", "-D", images, "-R");
        IReadOnlyList<int> first = space.Pids;
        Assert.Equal(1, space.Firn("restore", "-D", images, "-d").Status);
        Assert.Equal(first, space.Pids);
        space.FirnMust("restore", "-D", images, "-d", "--new-pid-namespace", "--pidfile", "pid");
        int root = int.Parse(File.ReadAllText(Path.Combine(images, "pid")), CultureInfo.InvariantCulture);
        Assert.NotEqual(pid, root);
        Assert.Equal(pid, InnerPid(space, root));
        string self = File.ResolveLinkTarget($"{space.Proc(root, "root")}/proc/{pid}/exe", returnFinalTarget: false)!.FullName;
        Assert.Equal(Programs.Target("mem_private"), self);
        CheckItself(space, root, work);

        // Its init has reaped it, and ended with the last of the tree.
        PidNamespace.Until(() => space.Pids.SequenceEqual(first), "the second tree has ended, and the first is there");
    }

    [Fact]
    public void The_init_of_a_new_pid_namespace_tells_how_the_root_has_ended()
    {
        using var space = new PidNamespace();
        string work = space.MakeDirectory("work");
        int pid = space.Start([Programs.Target("event_timerfd"), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "event_timerfd is ready");
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{pid}", "-D", images);
        int firn = space.Start([Programs.Firn, "restore", "-D", images, "--new-pid-namespace", "--pidfile", "pid"]);
        string file = Path.Combine(images, "pid");
        PidNamespace.Until(() => File.Exists(file) && File.ReadAllText(file).Length > 0, "the tree is restored");
        PidNamespace.Until(() => Runs(space, int.Parse(File.ReadAllText(file), CultureInfo.InvariantCulture)), "the tree is thawed");
        space.Kill(int.Parse(File.ReadAllText(file), CultureInfo.InvariantCulture), SIGKILL);
        Assert.Equal(128 + SIGKILL, space.Wait(firn).Status);
    }

    private static bool Runs(PidNamespace space, int pid)
        => File.ReadAllText(space.Proc(pid, "status")).Contains("TracerPid:\t0\n", StringComparison.Ordinal);

    private static void RoundTrip(TargetSource target, string namespaces)
    {
        using var space = new PidNamespace();
        int root = Start(space, target, namespaces, out string work);
        string images = space.MakeDirectory("images");
        IReadOnlyList<int> before = InnerPids(space);
        space.FirnMust(["dump", "-t", $"{root}", "-D", images, "-v4", "-o", "dump.log", .. target.Options, .. target.DumpOptions]);
        space.UntilEmpty();
        space.FirnMust(["restore", "-D", images, "-d", "-v4", "-o", "restore.log", "--pidfile", "pid", .. target.Options]);
        Assert.Equal(before, InnerPids(space));
        CheckItself(space, int.Parse(File.ReadAllText(Path.Combine(images, "pid")), CultureInfo.InvariantCulture), work);
    }

    private static int Start(PidNamespace space, TargetSource target, string namespaces, out string work)
    {
        string directory = work = space.MakeDirectory("work");
        if (namespaces.Contains('U', StringComparison.Ordinal))
        {
            // Its root within: of the maps that `contain` writes.
            Assert.Equal(0, space.Run(Programs.Command("/bin/chown", "/usr/bin/chown"), "100000:200000", directory).Status);
        }

        space.Start([Programs.Target("contain"), namespaces, Programs.Target(target.Name), directory]);
        string skipped = Path.Combine(directory, "skipped");
        PidNamespace.Until(() => File.Exists(Path.Combine(directory, "ready")) || File.Exists(skipped), $"{target.Name} is ready");
        if (File.Exists(skipped))
        {
            throw Programs.Skipped(File.ReadAllText(skipped));
        }

        return space.Pids.Single(pid => Levels(space, pid) is [_, "1"] && Name(space, pid) != "contain");
    }

    // Of all that are in a namespace below that of the tests.
    private static List<int> InnerPids(PidNamespace space)
        => [.. space.Pids.Where(pid => Levels(space, pid).Length > 1).Select(pid => InnerPid(space, pid)).Order()];

    private static int InnerPid(PidNamespace space, int pid) => Levels(space, pid) is [_, .., string inner]
        ? int.Parse(inner, CultureInfo.InvariantCulture)
        : 0;

    private static string[] Levels(PidNamespace space, int pid)
        => File.ReadLines(space.Proc(pid, "status")).First(line => line.StartsWith("NSpid:", StringComparison.Ordinal))[6..]
            .Split('\t', StringSplitOptions.RemoveEmptyEntries);

    private static string Name(PidNamespace space, int pid) => File.ReadAllText(space.Proc(pid, "comm")).TrimEnd('\n');

    private static void CheckItself(PidNamespace space, int root, string work)
    {
        string result = Path.Combine(work, "result");
        space.Kill(root, SIGUSR1);
        PidNamespace.Until(() => File.Exists(result) || !space.Pids.Contains(root), "the target has checked itself");
        Assert.True(File.Exists(result), "the target ended before it had checked itself");
        Assert.Equal("ok\n", File.ReadAllText(result));
    }
}
