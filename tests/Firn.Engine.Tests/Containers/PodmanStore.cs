using Firn.Engine.Tests.RoundTrip;
using Xunit;

namespace Firn.Engine.Tests.Containers;

/// <summary>
/// Podman with storage, locks, configuration and a network namespace of its own, as on a machine of its own, and one image: busybox.
/// </summary>
internal sealed class PodmanStore : IDisposable
{
    private const string Image = "busybox-of-firn";
    private readonly string podman = Programs.Command("/usr/bin/podman");
    private readonly EngineRoom room = new();
    private readonly string configuration;
    private readonly int network;

    /// <summary>A machine.</summary>
    /// <param name="twin">Another, whose image this one has, too: a container goes only to where its image is.</param>
    public PodmanStore(PodmanStore? twin = null)
    {
        try
        {
            // A runc without CAP_SYS_RESOURCE can't set podman's own limits, which are higher.
            configuration = Path.Combine(room.Space.Directory, "containers.conf");
            File.WriteAllText(
                configuration,
                $"""
                [containers]
                default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
                [engine]
                cgroup_manager = "cgroupfs"
                events_logger = "file"
                lock_type = "file"
                runtime = "runc"
                tmp_dir = "{room.Space.MakeDirectory("tmp")}"
                [network]
                network_config_dir = "{room.Space.MakeDirectory("net")}"
                """);
            string ready = Path.Combine(room.Space.Directory, "network");
            network = room.Space.Start(
                ["unshare", "--net", "sh", "-c", $"/sbin/ip link set lo up && touch {ready}; exec sleep 100000"]);
            PidNamespace.Until(() => File.Exists(ready), "it has a network namespace");
            if (twin is null)
            {
                MakeImage();
            }
            else
            {
                string archive = Path.Combine(room.Space.Directory, "image.tar");
                twin.Must("save", "-o", archive, Image);
                Must("load", "-i", archive);
            }
        }
        catch
        {
            room.Dispose();
            throw;
        }
    }

    /// <summary>Where all of it runs.</summary>
    public PidNamespace Space => room.Space;

    /// <summary>The cgroup that its containers belong below, so that they are gone with it.</summary>
    public string Parent => $"/{room.Name}";

    /// <summary>Starts a container that counts to its output, with a loopback and nothing else of a network.</summary>
    public CountedLog Start(string name, string script, params string[] options)
    {
        Run(name, script, ["--network", "none", .. options]);
        return LogOf(name);
    }

    /// <summary>Starts a container that runs a script.</summary>
    public void Run(string name, string script, params string[] options)
        => Must(["run", "-d", "--name", name, "--cgroup-parent", Parent, .. options, Image, "sh", "-c", script]);

    /// <summary>Makes and starts a pod, and gives its whole id, by which alone this version of podman restores into it.</summary>
    public string MakePod(string name)
    {
        Must("pod", "create", "--name", name, "--network", "none", "--cgroup-parent", Parent,
            "--infra-image", Image, "--infra-command", "/bin/sleep 100000");
        Must("pod", "start", name);
        return Must("pod", "ps", "--quiet", "--no-trunc", "--filter", $"name={name}").Output.Trim();
    }

    /// <summary>What a container said.</summary>
    /// <param name="name">The container.</param>
    /// <param name="first">The number that its log begins with.</param>
    public CountedLog LogOf(string name, int first = 0) => new(() => Must("logs", name).Output, first);

    /// <summary>`running`, `exited`, as podman sees it.</summary>
    public string StatusOf(string name) => Inspect(name, "{{.State.Status}}");

    /// <summary>One thing that podman knows of a container.</summary>
    public string Inspect(string name, string template) => Must("inspect", "--format", template, name).Output.Trim();

    /// <summary>`podman container checkpoint`.</summary>
    public string Checkpoint(params string[] arguments) => Must(["container", "checkpoint", .. arguments]).Output;

    /// <summary>`podman container restore`.</summary>
    public string Restore(params string[] arguments) => Must(["container", "restore", .. arguments]).Output;

    /// <summary>Removes a container.</summary>
    public void Remove(string name) => Must("rm", "-f", "-t", "0", name);

    /// <summary>Runs something in a container.</summary>
    public string Exec(string name, params string[] command) => Must(["exec", name, .. command]).Output;

    /// <summary>Any command of podman.</summary>
    public Outcome Try(params string[] arguments) => RunBeside([
        "env", "CONTAINERS_CONF=" + configuration, podman,
        "--root", Path.Combine(room.Space.Directory, "storage"), "--runroot", Path.Combine(room.Space.Directory, "run"),
        .. arguments]);

    /// <summary>Any command of podman, or the test fails.</summary>
    public Outcome Must(params string[] arguments)
    {
        Outcome outcome = Try(arguments);
        return outcome.Status == 0
            ? outcome
            : throw new InvalidOperationException(
                $"podman {string.Join(' ', arguments)}: status {outcome.Status}\n{outcome.Output}{outcome.Error}{Said()}");
    }

    /// <summary>Runs a program on this machine: in its network namespace.</summary>
    public Outcome RunBeside(params string[] command) => room.Run([.. Beside, .. command]);

    /// <summary>Starts a program as <see cref="RunBeside"/> does, and does not wait for its end.</summary>
    public int StartBeside(string output, params string[] command) => room.Space.Start([.. Beside, .. command], output);

    /// <summary>The errors that Firn wrote down for podman, beside the images of each container.</summary>
    public string Said() => string.Join(
        '\n',
        Directory.EnumerateFiles(room.Space.Directory, "*.log", SearchOption.AllDirectories)
            .Where(file => Path.GetFileName(file) is "dump.log" or "restore.log")
            .SelectMany(File.ReadLines)
            .Where(line => line.Contains("Error", StringComparison.Ordinal)));

    public void Dispose()
    {
        try
        {
            _ = Try("pod", "rm", "-f", "-t", "0", "--all");
            _ = Try("rm", "-f", "-t", "0", "--all");
        }
        finally
        {
            room.Dispose();
        }
    }

    private string[] Beside => ["nsenter", $"--net=/proc/{network}/ns/net"];

    private void MakeImage()
    {
        string files = room.Space.MakeDirectory("rootfs");
        string archive = Path.Combine(room.Space.Directory, "rootfs.tar");
        room.MakeRootFileSystem(files);
        Outcome outcome = room.Space.Run("tar", "-C", files, "-cf", archive, ".");
        Assert.True(outcome.Status == 0, outcome.Error);
        outcome = Try("import", archive, Image);
        if (outcome.Status != 0)
        {
            throw Programs.Skipped($"podman can't store images here: {outcome.Error}");
        }
    }
}
