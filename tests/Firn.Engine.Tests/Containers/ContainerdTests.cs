using System.Security.Cryptography;
using Firn.Engine.Tests.RoundTrip;
using Xunit;

namespace Firn.Engine.Tests.Containers;

/// <summary>Debian's containerd, unchanged, by its own `ctr` and over runc; a daemon that no one else talks to.</summary>
public sealed class ContainerdTests
{
    private const string Image = "localhost/busybox-of-firn:latest";
    private static readonly string Counting = CountedLog.Script(">> /tmp/log");

    [Fact]
    public void A_container_comes_back_from_an_image_of_its_checkpoint()
    {
        using var room = new EngineRoom();
        Func<string[], Outcome> ctr = StartDaemon(room);
        Run(room, ctr, "one");
        CountedLog LogOf(string name) => new(() => Must(ctr, "task", "exec", "--exec-id", "look", name, "cat", "/tmp/log"));
        LogOf("one").MustGoOn();
        Must(ctr, "container", "checkpoint", "--rw", "--image", "--task", "one", "saved");

        // It runs on meanwhile. Others get its cgroup, and so take its place.
        LogOf("one").MustGoOn();
        Stop(ctr, "one");
        foreach (string name in (ReadOnlySpan<string>)["two", "three"])
        {
            Must(ctr, "container", "restore", "--rw", "--live", name, "saved");
            LogOf(name).MustGoOn();
            string images = room.Space.MakeDirectory(name);
            Must(ctr, "task", "checkpoint", "--image-path", images, "--work-path", images, name);
            LogOf(name).MustGoOn();
            Stop(ctr, name);
        }

        Assert.Empty(room.Groups);
    }

    [Fact]
    public void A_task_ends_with_its_images_in_a_directory()
    {
        using var room = new EngineRoom();
        Func<string[], Outcome> ctr = StartDaemon(room);
        Run(room, ctr, "one");
        CountedLog log = new(() => Must(ctr, "task", "exec", "--exec-id", "look", "one", "cat", "/tmp/log"));
        log.MustGoOn();
        string images = room.Space.MakeDirectory("images");
        Must(ctr, "task", "checkpoint", "--image-path", images, "--work-path", images, "one");
        Assert.True(File.Exists(Path.Combine(images, "inventory.img")));
        log.MustGoOn();
        string last = room.Space.MakeDirectory("last");
        Must(ctr, "task", "checkpoint", "--exit", "--image-path", last, "--work-path", last, "one");
        PidNamespace.Until(() => Must(ctr, "task", "ls").Contains("STOPPED", StringComparison.Ordinal), "it has ended");
        Assert.True(File.Exists(Path.Combine(last, "inventory.img")));
    }

    private static void Run(EngineRoom room, Func<string[], Outcome> ctr, string name)
        => Must(ctr, "run", "-d", "--null-io", "--cgroup", $"/{room.Name}", Image, name, "sh", "-c", Counting);

    private static void Stop(Func<string[], Outcome> ctr, string name)
    {
        Must(ctr, "task", "kill", "--signal", "KILL", name);

        // It says by its own status how the task has ended.
        PidNamespace.Until(
            () => ctr(["task", "rm", name]).Error.Contains("exit with non-zero exit code 137", StringComparison.Ordinal), "it has ended");
        Must(ctr, "container", "rm", name);
    }

    private static string Must(Func<string[], Outcome> ctr, params string[] arguments)
    {
        Outcome outcome = ctr(arguments);
        return outcome.Status == 0
            ? outcome.Output
            : throw new InvalidOperationException($"ctr {string.Join(' ', arguments)}: status {outcome.Status}\n{outcome.Error}");
    }

    // Root, state and sockets are its own; what its shims put into /run/containerd lies in a directory of the test's.
    private static Func<string[], Outcome> StartDaemon(EngineRoom room)
    {
        string daemon = Programs.Command("/usr/bin/containerd");
        string ctr = Programs.Command("/usr/bin/ctr");
        string directory = room.Space.MakeDirectory("containerd");
        string socket = Path.Combine(directory, "socket");
        string configuration = Path.Combine(directory, "config.toml");
        File.WriteAllText(
            configuration,
            $"""
            version = 2
            root = "{directory}/root"
            state = "{directory}/state"
            disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
            [grpc]
            address = "{socket}"
            [ttrpc]
            address = "{directory}/ttrpc"
            """);
        string run = room.Space.MakeDirectory("run");
        Outcome bound = room.Space.Run(
            "sh", "-c", $"mkdir -p /run/containerd && mount --bind {run} /run/containerd && mkdir /run/containerd/fifo");
        Assert.True(bound.Status == 0, bound.Error);
        _ = room.Start($"exec {daemon} --config {configuration} > {directory}/log 2>&1");
        Outcome Ask(string[] arguments) => room.Run([ctr, "--address", socket, .. arguments]);
        PidNamespace.Until(() => File.Exists(socket) && Ask(["version"]).Status == 0, "the daemon answers");
        string archive = Path.Combine(directory, "image.tar");
        MakeImage(room, directory, archive);
        Outcome imported = Ask(["image", "import", archive]);
        return imported.Status == 0
            ? Ask
            : throw Programs.Skipped($"containerd can't store images here: {imported.Error}{File.ReadAllText($"{directory}/log")}");
    }

    // An image of one layer, in the form of `docker save`.
    private static void MakeImage(EngineRoom room, string directory, string archive)
    {
        string files = room.Space.MakeDirectory("rootfs");
        string parts = Directory.CreateDirectory(Path.Combine(directory, "image")).FullName;
        room.MakeRootFileSystem(files);
        Tar(room, Path.Combine(parts, "layer.tar"), files);
        string sum = Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(Path.Combine(parts, "layer.tar"))));
        File.WriteAllText(
            Path.Combine(parts, "config.json"),
            $$$"""{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:{{{sum}}}"]}}""");
        File.WriteAllText(
            Path.Combine(parts, "manifest.json"),
            $$"""[{"Config":"config.json","RepoTags":["{{Image}}"],"Layers":["layer.tar"]}]""");
        Tar(room, archive, parts);
    }

    private static void Tar(EngineRoom room, string archive, string directory)
    {
        Outcome outcome = room.Space.Run("tar", "-C", directory, "-cf", archive, ".");
        Assert.True(outcome.Status == 0, outcome.Error);
    }
}
