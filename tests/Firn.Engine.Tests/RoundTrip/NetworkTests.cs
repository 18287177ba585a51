using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Round trips of trees in network namespaces of their own. `ip` looks, and fills them.</summary>
public sealed class NetworkTests
{
    private const int SIGUSR1 = 10;
    private const int SIGKILL = 9;
    private const string TargetName = "ns_names";

    private static readonly string[] Content =
    [
        "link set lo up",
        "addr add 10.255.0.1/32 dev lo",
        "addr add 10.7.0.2/24 dev eth0 label eth0:one",
        "addr add 10.7.0.3/24 dev eth0",
        "addr add fd00:7::2/64 dev eth0",
        "link set eth0 mtu 1400 txqueuelen 500 up",
        "link add va index 21 type veth peer name vb index 25",
        "link add br1 index 30 type bridge stp_state 0 ageing_time 12345 mcast_snooping 0",
        "link set va master br1 up",
        "link set vb up",
        "link add mv index 33 link vb type macvlan mode bridge",
        "link set mv up",
        "addr add 192.168.9.1/24 dev br1",
        "link set br1 up",
        "link add ifb7 index 50 type ifb",
        "route add default via 10.7.0.1",
        "route add 10.99.0.0/16 via 10.7.0.9 metric 7 table 100",
        "route add 10.98.0.0/16 nexthop via 10.7.0.9 weight 2 nexthop via 192.168.9.7 weight 1",
        "route add blackhole 10.97.0.0/16",
        "-6 route add fd00:8::/64 via fd00:7::1",
        "nexthop add id 5 via 10.7.0.9 dev eth0",
        "nexthop add id 6 via 192.168.9.7 dev br1",
        "nexthop add id 4 group 5,3/6,2",
        "nexthop add id 9 blackhole",
        "nexthop add id 11 via fd00:7::9 dev eth0",
        "route add 10.96.0.0/16 nhid 4",
        "route add 10.95.0.0/16 nhid 5 metric 5",
        "-6 route add fd00:9::/64 nhid 11",
        "rule add from 10.7.0.0/24 table 100 pref 700",
        "rule del pref 32767",
        "neigh add 10.7.0.77 lladdr 02:aa:bb:cc:dd:ee dev eth0 nud permanent",
    ];

    private static readonly string[] Settings =
    [
        "ipv4/conf/all/forwarding=1", "ipv4/conf/eth0/rp_filter=2", "ipv4/conf/eth0/accept_redirects=0", "ipv4/conf/default/log_martians=1",
        "ipv4/ip_unprivileged_port_start=80", "ipv4/ping_group_range=0	5", "ipv6/conf/br1/disable_ipv6=1", "ipv6/conf/eth0/accept_ra=0",
        "unix/max_dgram_qlen=33",
    ];

    private static readonly string[] NetworkImages = ["netns", "netdev", "ifaddr", "route", "rule", "iptables", "ip6tables", "nftables"];

    [Fact]
    public void An_empty_namespace_has_no_image_and_its_loopback_is_as_it_was()
    {
        using var space = new PidNamespace();
        foreach (bool isUp in (ReadOnlySpan<bool>)[true, false])
        {
            int root = Start(space, $"work-{isUp}", out string work, Programs.Target("contain"), "pun");
            if (isUp)
            {
                IpMust(space, root, "link set lo up");
            }

            string images = space.MakeDirectory($"images-{isUp}");
            space.FirnMust("dump", "-t", $"{root}", "-D", images, "--empty-ns", "net");
            space.UntilEmpty();
            Assert.DoesNotContain(Directory.GetFiles(images), path => NetworkImages.Any(Path.GetFileName(path).StartsWith));
            root = Restore(space, images, "--empty-ns", "net");
            Assert.NotEqual(OwnNetwork(), Network(space, root));
            Assert.Equal(isUp, IpMust(space, root, "link show lo").Contains(",UP", StringComparison.Ordinal));
            Assert.Equal(isUp, IpMust(space, root, "addr show lo").Contains("inet 127.0.0.1/8", StringComparison.Ordinal));
            CheckItself(space, root, work);
            space.UntilEmpty();
        }
    }

    [Fact]
    public void An_external_namespace_is_joined()
    {
        using var space = new PidNamespace();
        int holder = StartHolder(space);
        string network = Network(space, holder);
        string inode = network.Split('[', ']')[1];
        int root = Start(space, "work", out string work, Nsenter, $"--net=/proc/{holder}/ns/net", Programs.Target("contain"), "pu");
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{root}", "-D", images, "--external", $"net[{inode}]:outside");
        PidNamespace.Until(() => !space.Pids.Contains(root), "the tree is gone");
        string[] written = [.. Directory.GetFiles(images).Select(path => Path.GetFileName(path))];
        Assert.Equal(["netns-10.img"], written.Where(name => NetworkImages.Any(name.StartsWith)));

        Outcome outcome = space.Firn("restore", "-D", images, "-d");
        Assert.Equal(1, outcome.Status);
        Assert.Contains("--inherit-fd fd[N]:outside", outcome.Error, StringComparison.Ordinal);

        root = Restore(space, images, "--external", $"net[outside]:/proc/{holder}/ns/net");
        Assert.Equal(network, Network(space, root));
        space.Kill(root, SIGKILL);
        PidNamespace.Until(() => !space.Pids.Contains(root), "the tree is gone");

        outcome = space.Run(
            "/bin/sh", "-c", $"exec {Programs.Firn} restore -D {images} -d --inherit-fd 'fd[7]:outside' 7</proc/{holder}/ns/net");
        Assert.True(outcome.Status == 0, outcome.Error);
        root = space.Pids.Single(pid => InnerPid(space, pid) == 1);
        Assert.Equal(network, Network(space, root));
        Assert.DoesNotContain(
            Directory.GetFiles(space.Proc(root, "fd")),
            path => File.ResolveLinkTarget(path, returnFinalTarget: false)!.Name.StartsWith("net:", StringComparison.Ordinal));
        CheckItself(space, root, work);
    }

    [Fact]
    public void Devices_addresses_routes_rules_and_settings_are_as_they_were()
    {
        using var space = new PidNamespace();
        int holder = StartHolder(space);
        string[] inHolder = [Nsenter, $"--net=/proc/{holder}/ns/net"];
        int root = Start(space, "work", out string work, [.. inHolder, Programs.Target("contain"), "pun"]);
        IpMust(space, holder, "link add br-out type bridge");
        IpMust(space, holder, "link set br-out up");
        IpMust(space, holder, $"link add v-out index 40 type veth peer name eth0 index 17 address 02:11:22:33:44:55 netns {root}");
        IpMust(space, holder, "link set v-out master br-out up");
        foreach (string line in Content)
        {
            IpMust(space, root, line);
        }

        foreach (string setting in Settings)
        {
            string[] parts = setting.Split('=');
            Outcome set = space.Run(Nsenter, "-t", $"{root}", "-n", "/bin/sh", "-c", $"echo '{parts[1]}' > /proc/sys/net/{parts[0]}");
            Assert.True(set.Status == 0, set.Error);
        }

        // Until all addresses are probed.
        PidNamespace.Until(
            () => !IpMust(space, root, "addr").Contains("tentative", StringComparison.Ordinal), "addresses have been probed");
        string before = Describe(space, root);
        string images = space.MakeDirectory("images");
        Must(space.Run([.. inHolder, Programs.Firn, "dump", "-t", $"{root}", "-D", images]));
        PidNamespace.Until(() => !space.Pids.Contains(root), "the tree is gone");
        PidNamespace.Until(
            () => !IpMust(space, holder, "link").Contains("v-out", StringComparison.Ordinal), "the kernel has taken its devices down");
        string[] restore = [.. inHolder, Programs.Firn, "restore", "-D", images, "-d", "--pidfile", "pid"];
        Must(space.Run([.. restore, "--external", "veth[eth0]:v-new@br-out"]));
        root = int.Parse(File.ReadAllText(Path.Combine(images, "pid")), CultureInfo.InvariantCulture);

        // Routes of one prefix and metric, as each device has to its neighbours, come in the order in which devices were set up.
        // The kernel sees in its own time that a device has its other end.
        string[] after = Sorted(Describe(space, root));
        for (int attempt = 0; attempt < 50 && !after.SequenceEqual(Sorted(before)); attempt++)
        {
            Thread.Sleep(100);
            after = Sorted(Describe(space, root));
        }

        Assert.Equal(Sorted(before), after);
        string outer = IpMust(space, holder, "-o link show v-new");
        Assert.Contains("master br-out", outer, StringComparison.Ordinal);
        Assert.Contains(",UP", outer, StringComparison.Ordinal);
        CheckItself(space, root, work);
    }

    [Fact]
    public void What_can_not_be_saved_is_refused_by_name()
    {
        using var space = new PidNamespace();
        int root = Start(space, "work", out string work, Programs.Target("contain"), "pun");
        IpMust(space, root, "link add br0 type bridge");
        IpMust(space, root, "link set br0 up");
        IpMust(space, root, "link add vx type vxlan id 7 dev br0 dstport 4789");
        IpMust(space, root, "addr add 10.1.0.1/24 dev br0");
        Outcome outcome = space.Firn("dump", "-t", $"{root}", "-D", space.MakeDirectory("images"));
        Assert.Equal(1, outcome.Status);
        Assert.Contains("[net-device]", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("vx of kind vxlan", outcome.Error, StringComparison.Ordinal);
        CheckItself(space, root, work);
    }

    private static int StartHolder(PidNamespace space)
    {
        int holder = space.Start([Programs.Command("/usr/bin/unshare"), "--net", "/bin/sleep", "1000"]);
        PidNamespace.Until(() => Name(space, holder) == "sleep", "sleep runs");
        return holder;
    }

    private static string[] Sorted(string text) => [.. text.Split('\n').Order(StringComparer.Ordinal)];

    private static void Must(Outcome outcome) => Assert.True(outcome.Status == 0, outcome.Error);

    // All that ip tells, but what it counts: identifiers of peers' namespaces, timers.
    private static string Describe(PidNamespace space, int root)
    {
        var text = new StringBuilder();
        string[] lists = ["-d link", "addr", "route show table all", "-6 route show table all", "rule", "-6 rule", "neigh", "nexthop"];
        foreach (string list in lists)
        {
            string all = IpMust(space, root, list);
            all = Regex.Replace(all, @"link-netnsid \d+|if\d+|[a-z_]+_timer +[\d.]+|root_[a-z_]+ +\S+|expires \d+sec", "*");
            text.AppendLine($"{list}:").AppendLine(all);
        }

        foreach (string setting in Settings)
        {
            string path = $"/proc/sys/net/{setting.Split('=')[0]}";
            text.AppendLine($"{path} = {space.Run(Nsenter, "-t", $"{root}", "-n", "/bin/cat", path).Output}");
        }

        return text.ToString();
    }

    private static string Nsenter => Programs.Command("/usr/bin/nsenter");

    private static int Start(PidNamespace space, string name, out string work, params string[] prefix)
    {
        string directory = work = space.MakeDirectory(name);
        space.Start([.. prefix, Programs.Target(TargetName), directory]);
        PidNamespace.Until(() => File.Exists(Path.Combine(directory, "ready")), $"{TargetName} is ready");
        return space.Pids.Single(pid => InnerPid(space, pid) == 1 && Name(space, pid) == TargetName);
    }

    private static int Restore(PidNamespace space, string images, params string[] options)
    {
        File.Delete(Path.Combine(images, "pid"));
        space.FirnMust(["restore", "-D", images, "-d", "--pidfile", "pid", "-v4", "-o", "restore.log", .. options]);
        return int.Parse(File.ReadAllText(Path.Combine(images, "pid")), CultureInfo.InvariantCulture);
    }

    private static string IpMust(PidNamespace space, int root, string arguments)
    {
        string ip = Programs.Command("/sbin/ip", "/usr/sbin/ip", "/bin/ip");
        Outcome outcome = space.Run([Nsenter, "-t", $"{root}", "-n", ip, .. arguments.Split(' ')]);
        Assert.True(outcome.Status == 0, $"ip {arguments}: {outcome.Error}");
        return outcome.Output;
    }

    private static string OwnNetwork() => File.ResolveLinkTarget("/proc/self/ns/net", returnFinalTarget: false)!.Name;

    private static string Network(PidNamespace space, int pid)
        => File.ResolveLinkTarget(space.Proc(pid, "ns/net"), returnFinalTarget: false)!.Name;

    private static int InnerPid(PidNamespace space, int pid)
    {
        string[] levels = File.ReadLines(space.Proc(pid, "status")).First(line => line.StartsWith("NSpid:", StringComparison.Ordinal))[6..]
            .Split('\t', StringSplitOptions.RemoveEmptyEntries);
        return levels.Length > 1 ? int.Parse(levels[^1], CultureInfo.InvariantCulture) : 0;
    }

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
