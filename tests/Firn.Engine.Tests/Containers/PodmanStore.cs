using Firn.Engine.Tests.RoundTrip;
using Xunit;

namespace Firn.Engine.Tests.Containers;

/// <summary>Podman with storage, locks and configuration of its own, and one image in it: busybox, made here.</summary>
internal sealed class PodmanStore : IDisposable
{
    private const string Image = "busybox-of-firn";

    // A runc without CAP_SYS_RESOURCE can't set podman's own limits, which are higher.
    private static readonly string[] Limits = ["--ulimit", "nofile=20000:20000", "--ulimit", "nproc=20000:20000"];
    private readonly string podman = Programs.Command("/usr/bin/podman");
    private readonly EngineRoom room = new();
    private readonly string configuration;
    private readonly List<string> names = [];

    public PodmanStore()
    {
        try
        {
            configuration = Path.Combine(room.Space.Directory, "containers.conf");
            File.WriteAllText(
                configuration,
                $"""
                [engine]
                cgroup_manager = "cgroupfs"
                events_logger = "file"
                lock_type = "file"
                runtime = "runc"
                tmp_dir = "{room.Space.MakeDirectory("tmp")}"
                [network]
                network_config_dir = "{room.Space.MakeDirectory("net")}"
                """);
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
        catch
        {
            room.Dispose();
            throw;
        }
    }

    /// <summary>Where all of it runs.</summary>
    public PidNamespace Space => room.Space;

    /// <summary>Starts a container that counts to its output, with a loopback and nothing else of a network.</summary>
    public CountedLog Start(string name, string script)
    {
        names.Add(name);
        Must(["run", "-d", "--name", name, "--network", "none", "--cgroup-parent", $"/{room.Name}", .. Limits, Image, "sh", "-c", script]);
        return LogOf(name);
    }

    /// <summary>What a container said.</summary>
    public CountedLog LogOf(string name) => new(() => Must("logs", name).Output);

    /// <summary>`running`, `exited`, as podman sees it.</summary>
    public string StatusOf(string name) => Inspect(name, "{{.State.Status}}");

    /// <summary>One thing that podman knows of a container.</summary>
    public string Inspect(string name, string template) => Must("inspect", "--format", template, name).Output.Trim();

    /// <summary>`podman container checkpoint`.</summary>
    public string Checkpoint(params string[] arguments) => Must(["container", "checkpoint", .. arguments]).Output;

    /// <summary>`podman container restore`.</summary>
    public void Restore(params string[] arguments) => Must(["container", "restore", .. arguments]);

    /// <summary>A container that was restored under another name.</summary>
    public void Knows(string name) => names.Add(name);

    /// <summary>Removes a container.</summary>
    public void Remove(string name) => Must("rm", "-f", "-t", "0", name);

    /// <summary>Any command.</summary>
    public Outcome Try(params string[] arguments) => room.Run([
        "CONTAINERS_CONF=" + configuration, podman,
        "--root", Path.Combine(room.Space.Directory, "storage"), "--runroot", Path.Combine(room.Space.Directory, "run"),
        .. arguments]);

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
            names.ForEach(name => Try("rm", "-f", "-t", "0", name));
        }
        finally
        {
            room.Dispose();
        }
    }

    private Outcome Must(params string[] arguments)
    {
        Outcome outcome = Try(arguments);
        return outcome.Status == 0
            ? outcome
            : throw new InvalidOperationException(
                $"podman {string.Join(' ', arguments)}: status {outcome.Status}\n{outcome.Output}{outcome.Error}{Said()}");
    }
}
