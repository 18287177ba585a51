using System.Globalization;
using System.Text.Json.Nodes;
using Firn.Engine.Tests.RoundTrip;
using Xunit;

namespace Firn.Engine.Tests.Containers;

/// <summary>
/// One image set, two hands: a container of runc that is saved or brought back by nothing but the command line, and by runc the other time.
/// </summary>
public sealed class ExchangeTests
{
    private static readonly string Script = "busybox ip link set lo up; echo here > /dev/shm/file; exec 3>> /tmp/held; sleep 100000 & "
        + CountedLog.Script(">> /data/log");

    private string data = string.Empty;

    [Fact]
    public void Dumped_and_restored_by_the_command_line_alone()
    {
        using RuncContainer container = Make();
        PidNamespace space = container.Space;
        container.Start();
        Log.MustGoOn();
        int init = container.InitPid;
        string before = Look(container, init);
        for (int round = 1; round <= 10; round++)
        {
            string images = space.MakeDirectory($"by-hand-{round}");
            space.FirnMust([
                "dump", "-t", $"{init}", "-D", images, "--root", container.RootFileSystem, "--external", "mnt[/data]:data",
                "--manage-cgroups=full",
            ]);
            space.UntilEmpty();
            if (round == 1)
            {
                // With runc's groups gone, Firn's are what there is.
                container.Command("delete");
                Assert.Empty(container.Groups);
            }

            space.FirnMust([
                "restore", "-d", "-D", images, "--root", container.RootFileSystem, "--external", $"mnt[data]:{data}",
                "--manage-cgroups=full", "--pidfile", "the.pid",
            ]);
            init = int.Parse(File.ReadAllText(Path.Combine(images, "the.pid")), CultureInfo.InvariantCulture);
            Log.MustGoOn();
            Assert.Equal(before, Look(container, init));
        }

        space.Kill(init, 9);
        space.UntilEmpty();
    }

    [Fact]
    public void Saved_by_runc_it_is_restored_by_the_command_line()
    {
        using RuncContainer container = Make();
        container.Start();
        Log.MustGoOn();
        string before = Look(container, container.InitPid);
        container.Checkpoint();

        // The key of a bind mount is runc's: its place in the container.
        container.Space.FirnMust([
            "restore", "-d", "-D", container.Images, "--root", container.RootFileSystem, "--external", $"mnt[/data]:{data}",
            "--manage-cgroups", "--empty-ns", "net", "--pidfile", "the.pid",
        ]);
        int init = int.Parse(File.ReadAllText(Path.Combine(container.Images, "the.pid")), CultureInfo.InvariantCulture);
        Log.MustGoOn();
        Assert.Equal(WithoutNetwork(before), WithoutNetwork(Look(container, init)));
        container.Space.Kill(init, 9);
        container.Space.UntilEmpty();
    }

    [Fact]
    public void Saved_by_the_command_line_it_is_restored_by_runc()
    {
        using RuncContainer container = Make();
        container.Start();
        Log.MustGoOn();
        int init = container.InitPid;
        string before = Look(container, init);
        string images = container.MakeImages();
        container.Space.FirnMust([
            "dump", "-t", $"{init}", "-D", images, "--root", container.RootFileSystem, "--external", "mnt[/data]:/data",
            "--manage-cgroups", "--empty-ns", "net",
        ]);
        container.Space.UntilEmpty();
        container.Command("delete");

        // What runc itself puts beside the images: which files the standard streams were.
        File.WriteAllText(Path.Combine(images, "descriptors.json"), """["/dev/null","/dev/null","/dev/null"]""");
        container.Restore();
        Log.MustGoOn();
        Assert.Equal(WithoutNetwork(before), WithoutNetwork(Look(container, container.InitPid)));
        container.Checkpoint();
        container.Restore();
        Log.MustGoOn();
    }

    private CountedLog Log => new(() => File.Exists($"{data}/log") ? File.ReadAllText($"{data}/log") : string.Empty);

    private RuncContainer Make() => new(Script, config =>
    {
        data = Path.Combine(Path.GetTempPath(), ((string)config["linux"]!["cgroupsPath"]!)[1..], "data");
        _ = Directory.CreateDirectory(data);
        config["mounts"]!.AsArray().Add((JsonNode)RuncContainer.Bind(data, "/data", "rw"));
        config["linux"]!["resources"]!["pids"] = new JsonObject { ["limit"] = 77 };
        foreach (string set in (ReadOnlySpan<string>)["bounding", "effective", "permitted"])
        {
            config["process"]!["capabilities"]![set]!.AsArray().Add("CAP_NET_ADMIN");
        }
    });

    private static string WithoutNetwork(string look) => look[..look.IndexOf("link:", StringComparison.Ordinal)];

    // All that can be seen of it from within, without what is new each time.
    private static string Look(RuncContainer container, int init)
    {
        const string Commands = "cat /proc/self/cgroup /proc/1/limits /dev/shm/file /proc/sys/kernel/hostname; b=/bin/busybox; "
            + "$b readlink /proc/1/fd/3; $b cut -d ' ' -f 4- /proc/1/mountinfo | $b sed 's/ [a-z]*:[0-9]*//' | $b sort; "
            + "$b grep -E 'Cap|Seccomp:|NoNew' /proc/1/status; echo link:; $b ip -o addr show lo";
        Outcome outcome = container.Space.Run("nsenter", "-t", $"{init}", "--all", "/bin/busybox", "sh", "-c", Commands);
        Assert.Contains("\nhere\n", outcome.Output, StringComparison.Ordinal);
        return outcome.Output + outcome.Error;
    }
}
