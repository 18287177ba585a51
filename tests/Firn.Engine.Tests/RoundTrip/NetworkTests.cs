using System.Globalization;
using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Round trips of trees in network namespaces of their own. `ip` looks, and fills them.</summary>
public sealed class NetworkTests
{
    private const int SIGUSR1 = 10;
    private const int SIGKILL = 9;
    private const string TargetName = "ns_names";

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
        string unshare = Programs.Command("/usr/bin/unshare");
        int holder = space.Start([unshare, "--net", "/bin/sleep", "1000"]);
        PidNamespace.Until(() => Name(space, holder) == "sleep", "sleep runs");
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

    private static readonly string[] NetworkImages = ["netns", "netdev", "ifaddr", "route", "rule", "iptables", "ip6tables", "nftables"];

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
