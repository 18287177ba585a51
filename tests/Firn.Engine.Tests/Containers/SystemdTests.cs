using Firn.Engine.Tests.RoundTrip;
using Xunit;

namespace Firn.Engine.Tests.Containers;

/// <summary>A container whose init is systemd: services, their groups, sockets and timers, a journal, and a counter among them.</summary>
public sealed class SystemdTests
{
    private const string Name = "machine";
    private const string Init = "/usr/lib/systemd/systemd";
    private const int Rounds = 3;

    [Fact]
    public void Its_services_go_on_and_it_goes_on_to_manage_them()
    {
        _ = Programs.Command(Init);
        using var podman = new PodmanStore();
        string root = MakeMachine(podman.Space.MakeDirectory("machine"));
        string file = Path.Combine(root, "data/log");
        podman.Must(
            "run", "-d", "--name", Name, "--cgroup-parent", podman.Parent, "--network", "none", "--systemd", "always",
            "--volume", "/usr:/usr:ro", "--rootfs", root, Init, "--unit=counter.service");
        var log = new CountedLog(() => File.Exists(file) ? File.ReadAllText(file) : string.Empty);
        log.MustGoOn();
        PidNamespace.Until(() => IsActive(podman, "systemd-journald.service"), "the journal is there");
        for (int round = 1; round <= Rounds; round++)
        {
            podman.Checkpoint("--file-locks", Name);
            log.MustStandStill();
            podman.Restore("--file-locks", Name);
            log.MustGoOn();
        }

        Assert.True(IsActive(podman, "counter.service"));
        _ = podman.Exec(Name, "systemctl", "start", "another.service");
        Assert.Equal("another\n", File.ReadAllText(Path.Combine(root, "data/another")));
        _ = podman.Exec(Name, "systemctl", "restart", "systemd-journald.service");
        Assert.True(IsActive(podman, "systemd-journald.service"));
        _ = podman.Exec(Name, "systemctl", "stop", "counter.service");
        log.MustStandStill();
        Assert.Contains("counter.service: Deactivated", podman.Exec(Name, "journalctl", "--no-pager", "--boot"), StringComparison.Ordinal);
    }

    private static bool IsActive(PodmanStore podman, string unit)
        => podman.Try("exec", Name, "systemctl", "is-active", unit).Output == "active\n";

    private static string MakeMachine(string root)
    {
        EngineRoom.MakeDebianRoot(root);
        string units = Path.Combine(root, "etc/systemd/system");
        _ = Directory.CreateDirectory(units);
        File.WriteAllText(Path.Combine(root, "etc/machine-id"), string.Empty);
        File.WriteAllText(Path.Combine(root, "data/count"), CountedLog.Script(">> /data/log"));
        File.WriteAllText(
            Path.Combine(units, "counter.service"),
            """
            [Unit]
            After=systemd-journald.service
            Wants=systemd-journald.service
            [Service]
            ExecStart=/bin/sh /data/count
            """);
        File.WriteAllText(
            Path.Combine(units, "another.service"),
            """
            [Service]
            Type=oneshot
            ExecStart=/bin/sh -c "echo another > /data/another"
            """);
        return root;
    }
}
