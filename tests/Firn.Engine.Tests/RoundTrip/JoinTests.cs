using System.Globalization;
using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Trees that are put into namespaces which exist (`--join-ns`), and the older form of an external veth (`--veth-pair`).</summary>
public sealed class JoinTests
{
    private const int SIGUSR1 = 10;
    private const int SIGKILL = 9;

    private static readonly string[] Kinds = ["net", "ipc", "uts", "time", "mnt"];

    [Fact]
    public void A_plain_tree_is_put_into_namespaces_of_a_process()
    {
        using var space = new PidNamespace();
        int holder = StartHolder(space);
        string work = space.MakeDirectory("work");
        int root = space.Start([Programs.Target("inet_listen"), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "inet_listen is ready");
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{root}", "-D", images);
        PidNamespace.Until(() => !space.Pids.Contains(root), "the tree is gone");
        space.FirnMust(
            ["restore", "-D", images, "-d", .. Kinds.SelectMany(kind => (string[])["--join-ns", $"{kind}:{Reference(holder, kind)}"])]);
        foreach (string kind in Kinds)
        {
            Assert.Equal(Namespace(space, holder, kind), Namespace(space, root, kind));
        }

        // No descriptor by which a namespace was joined is left.
        Assert.DoesNotContain(
            Directory.GetFiles(space.Proc(root, "fd")).Select(path => File.ResolveLinkTarget(path, returnFinalTarget: false)!.Name),
            link => Kinds.Any(kind => link.StartsWith($"{kind}:", StringComparison.Ordinal)));
        CheckItself(space, root, work);
    }

    [Fact]
    public void A_container_is_put_into_other_namespaces_than_its_own()
    {
        using var space = new PidNamespace();
        int holder = StartHolder(space);
        string work = space.MakeDirectory("work");
        space.Start([Programs.Target("contain"), "punit", Programs.Target("event_eventfd"), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "event_eventfd is ready");
        int root = space.Pids.Single(pid => IsInit(space, pid) && Name(space, pid) == "event_eventfd");
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{root}", "-D", images);
        PidNamespace.Until(() => !space.Pids.Contains(root), "the tree is gone");
        space.FirnMust(
            ["restore", "-D", images, "-d", "--pidfile", "pid",
                .. Kinds[..4].SelectMany(kind => (string[])["-J", $"{kind}:/proc/{holder}/ns/{kind}"])]);
        root = int.Parse(File.ReadAllText(Path.Combine(images, "pid")), CultureInfo.InvariantCulture);
        foreach (string kind in Kinds[..4])
        {
            Assert.Equal(Namespace(space, holder, kind), Namespace(space, root, kind));
        }

        Assert.NotEqual(Namespace(space, holder, "pid"), Namespace(space, root, "pid"));
        CheckItself(space, root, work);
    }

    [Theory]
    [InlineData("net:/not/there", "the net namespace to join can't be opened")]
    [InlineData("uts:4000000", "the uts namespace to join can't be opened")]
    [InlineData("ipc:/proc/self/ns/net", "is no ipc namespace")]
    [InlineData("net:/proc/self/status", "is no net namespace")]
    public void What_is_no_namespace_is_refused_before_there_is_a_tree(string join, string expected)
    {
        using var space = new PidNamespace();
        string work = space.MakeDirectory("work");
        int root = space.Start([Programs.Target("event_eventfd"), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "event_eventfd is ready");
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{root}", "-D", images);
        space.UntilEmpty();
        Outcome outcome = space.Firn("restore", "-D", images, "-d", "--join-ns", join);
        Assert.Equal(1, outcome.Status);
        Assert.Contains(expected, outcome.Error, StringComparison.Ordinal);
        Assert.Empty(space.Pids);
    }

    [Fact]
    public void The_older_form_of_an_external_veth_is_understood()
    {
        using var space = new PidNamespace();
        int holder = StartHolder(space);
        string[] inHolder = [Programs.Command("/usr/bin/nsenter"), $"--net=/proc/{holder}/ns/net"];
        string ip = Programs.Command("/sbin/ip", "/usr/sbin/ip", "/bin/ip");
        string work = space.MakeDirectory("work");
        space.Start([.. inHolder, Programs.Target("contain"), "pn", Programs.Target("event_eventfd"), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "event_eventfd is ready");
        int root = space.Pids.Single(pid => IsInit(space, pid) && Name(space, pid) == "event_eventfd");
        Must(space.Run([.. inHolder, ip, "link", "add", "v-out", "type", "veth", "peer", "name", "eth0", "netns", $"{root}"]));
        Must(space.Run([.. inHolder, ip, "link", "add", "br-out", "type", "bridge"]));
        string images = space.MakeDirectory("images");
        Must(space.Run([.. inHolder, Programs.Firn, "dump", "-t", $"{root}", "-D", images]));
        PidNamespace.Until(() => !space.Pids.Contains(root), "the tree is gone");
        Must(space.Run(
            [.. inHolder, Programs.Firn, "restore", "-D", images, "-d", "--pidfile", "pid", "--veth-pair", "eth0=v-new@br-out"]));
        root = int.Parse(File.ReadAllText(Path.Combine(images, "pid")), CultureInfo.InvariantCulture);
        Outcome outside = space.Run([.. inHolder, ip, "-o", "link", "show", "v-new"]);
        Assert.Contains("master br-out", outside.Output, StringComparison.Ordinal);
        CheckItself(space, root, work);
        space.Kill(holder, SIGKILL);
    }

    // By process id and by file, in turns.
    private static string Reference(int holder, string kind)
        => kind is "net" or "uts" ? $"{holder}" : $"/proc/{holder}/ns/{kind}";

    private static int StartHolder(PidNamespace space)
    {
        int holder = space.Start(
            [Programs.Command("/usr/bin/unshare"), "--net", "--ipc", "--uts", "--time", "--mount", "--fork", "/bin/sleep", "1000"]);
        PidNamespace.Until(() => space.Pids.Any(pid => Name(space, pid) == "sleep"), "sleep runs");
        int sleeper = space.Pids.Single(pid => Name(space, pid) == "sleep");
        space.Run(Programs.Command("/usr/bin/nsenter"), "-t", $"{sleeper}", "-n", Programs.Command("/sbin/ip", "/usr/sbin/ip", "/bin/ip"),
            "link", "set", "lo", "up");
        return sleeper;
    }

    private static string Namespace(PidNamespace space, int pid, string kind)
        => File.ResolveLinkTarget(space.Proc(pid, $"ns/{kind}"), returnFinalTarget: false)!.Name;

    private static string Name(PidNamespace space, int pid) => File.ReadAllText(space.Proc(pid, "comm")).TrimEnd('\n');

    private static bool IsInit(PidNamespace space, int pid)
        => File.ReadLines(space.Proc(pid, "status")).First(line => line.StartsWith("NSpid:", StringComparison.Ordinal))
            .EndsWith("\t1", StringComparison.Ordinal);

    private static void Must(Outcome outcome) => Assert.True(outcome.Status == 0, outcome.Error);

    private static void CheckItself(PidNamespace space, int root, string work)
    {
        string result = Path.Combine(work, "result");
        space.Kill(root, SIGUSR1);
        PidNamespace.Until(() => File.Exists(result) || !space.Pids.Contains(root), "the target has checked itself");
        Assert.True(File.Exists(result), "the target ended before it had checked itself");
        Assert.Equal("ok\n", File.ReadAllText(result));
    }
}
