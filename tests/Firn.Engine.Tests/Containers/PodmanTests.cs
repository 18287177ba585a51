using System.Text.Json.Nodes;
using Firn.Engine.Tests.RoundTrip;
using Xunit;

namespace Firn.Engine.Tests.Containers;

/// <summary>Debian's podman, unchanged, over runc, with Firn as the `criu` that both find.</summary>
public sealed class PodmanTests
{
    private const string Name = "counter";
    private static readonly string Counting = CountedLog.Script(string.Empty);

    [Theory]
    [InlineData]
    [InlineData("--keep")]
    public void Its_log_goes_on_without_a_gap(params string[] options)
    {
        using var podman = new PodmanStore();
        CountedLog log = podman.Start(Name, Counting);
        for (int round = 1; round <= 5; round++)
        {
            log.MustGoOn();
            podman.Checkpoint([.. options, Name]);
            Assert.Equal("exited", podman.StatusOf(Name));
            podman.Restore([.. options, Name]);
            Assert.Equal("running", podman.StatusOf(Name));
            string images = Path.Combine(podman.Inspect(Name, "{{.StaticDir}}"), "checkpoint");
            Assert.Equal(options.Length > 0, Directory.Exists(images));
        }

        log.MustGoOn();
    }

    [Fact]
    public void Left_running_it_goes_on_and_the_statistics_are_told()
    {
        using var podman = new PodmanStore();
        CountedLog log = podman.Start(Name, Counting);
        log.MustGoOn();
        MustHaveStatistics(
            podman.Checkpoint("--leave-running", "--print-stats", Name),
            "freezing_time", "frozen_time", "memdump_time", "pages_scanned", "pages_written");
        Assert.Equal("running", podman.StatusOf(Name));
        log.MustGoOn();
        podman.Checkpoint(Name);
        MustHaveStatistics(podman.Restore("--print-stats", Name), "forking_time", "restore_time", "pages_restored");
        log.MustGoOn();
    }

    [Fact]
    public void Exported_it_comes_back_from_the_file_and_under_another_name()
    {
        using var podman = new PodmanStore();
        string script = Counting.Replace("done", "[ $i = 20 ] && echo here > /tmp/changed; done", StringComparison.Ordinal);
        CountedLog log = podman.Start(Name, script);
        PidNamespace.Until(() => log.Length > 30, "it has changed its files");
        string archive = Path.Combine(podman.Space.Directory, "exported.tar.gz");
        podman.Checkpoint("--export", archive, Name);
        int said = log.Length;
        podman.Restore("--import", archive, "--name", "other");

        // The archive has the log, too.
        podman.LogOf("other").MustGoOn();
        Assert.True(podman.LogOf("other").Length > said);
        Assert.Equal("here\n", podman.Exec("other", "cat", "/tmp/changed"));
        podman.Remove(Name);
        podman.Remove("other");
        podman.Restore("--import", archive);
        podman.LogOf(Name).MustGoOn();
    }

    [Theory]
    [InlineData("none")]
    [InlineData("gzip", "--ignore-volumes")]
    [InlineData("zstd", "--ignore-rootfs")]
    public void It_goes_on_on_another_machine(string compression, params string[] options)
    {
        using var podman = new PodmanStore();
        CountedLog log = podman.Start(
            Name,
            "echo kept > /volume/file; echo shared > /dev/shm/file; echo here > /tmp/file; " + Counting,
            "--volume", "/volume");
        log.MustGoOn();
        string archive = Path.Combine(podman.Space.Directory, "exported");
        podman.Checkpoint(["--export", archive, "--compress", compression, .. options, Name]);
        int said = log.Length;
        using var other = new PodmanStore(twin: podman);
        other.Restore(["--import", archive, "--name", "moved", .. options]);
        other.LogOf("moved").MustGoOn();
        Assert.True(other.LogOf("moved").Length > said);
        string Look(string file) => other.Try("exec", "moved", "cat", file).Output;
        Assert.Equal("shared\n", Look("/dev/shm/file"));
        Assert.Equal(options is ["--ignore-rootfs"] ? string.Empty : "here\n", Look("/tmp/file"));
        if (options is not ["--ignore-volumes"])
        {
            Assert.Equal("kept\n", Look("/volume/file"));
        }

        // And home again.
        other.Checkpoint(["--export", archive, .. options, "moved"]);
        podman.Remove(Name);
        podman.Must("volume", "prune", "--force");
        podman.Restore(["--import", archive, "--name", "back", .. options]);
        podman.LogOf("back").MustGoOn();
    }

    [Fact]
    public void An_image_of_a_checkpoint_is_as_good_as_a_file()
    {
        using var podman = new PodmanStore();
        CountedLog log = podman.Start(Name, Counting);
        log.MustGoOn();
        podman.Checkpoint("--create-image", "saved", Name);
        podman.Restore("--name", "other", "saved");

        // Such an image does not have the log: it begins where the other ended.
        podman.LogOf("other", log.Length).MustGoOn();
    }

    [Fact]
    public void All_at_once()
    {
        using var podman = new PodmanStore();
        CountedLog[] logs = [podman.Start("one", Counting), podman.Start("two", Counting)];
        for (int round = 1; round <= 2; round++)
        {
            Array.ForEach(logs, log => log.MustGoOn());
            podman.Checkpoint("--all");
            Array.ForEach(logs, log => log.MustStandStill());
            podman.Restore("--all");
        }

        Array.ForEach(logs, log => log.MustGoOn());
    }

    [Fact]
    public void A_member_of_a_pod_goes_into_another_pod()
    {
        using var podman = new PodmanStore();
        podman.MakePod("first");
        string second = podman.MakePod("second");
        podman.Run(Name, Counting, "--pod", "first");
        podman.LogOf(Name).MustGoOn();
        string archive = Path.Combine(podman.Space.Directory, "exported");
        podman.Checkpoint("--export", archive, Name);
        podman.Restore("--import", archive, "--pod", second, "--name", "moved");
        podman.LogOf("moved").MustGoOn();
        string infra = podman.Must("ps", "--filter", "pod=second", "--filter", "name=infra", "--format", "{{.Names}}").Output.Trim();
        foreach (string name in (ReadOnlySpan<string>)["net", "ipc", "uts"])
        {
            string link = $"/proc/self/ns/{name}";
            Assert.Equal(podman.Exec(infra, "busybox", "readlink", link), podman.Exec("moved", "busybox", "readlink", link));
        }

        // There it is one like the others.
        podman.Checkpoint("moved");
        podman.Restore("moved");
        podman.LogOf("moved").MustGoOn();
    }

    [Theory]
    [InlineData]
    [InlineData("--cgroupns", "private")]
    public void With_ids_of_its_own_it_has_them_and_all_its_mounts_again(params string[] options)
    {
        const string Look = "busybox cut -d ' ' -f 4-6 /proc/1/mountinfo | busybox sort; cat /proc/1/uid_map /proc/1/gid_map /dev/shm/file";
        using var podman = new PodmanStore();
        CountedLog log = podman.Start(
            Name, "echo shared > /dev/shm/file; " + Counting, ["--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536", .. options]);
        log.MustGoOn();
        string before = podman.Exec(Name, "sh", "-c", Look);
        Assert.Contains(" 200000 ", before, StringComparison.Ordinal);
        Assert.EndsWith("shared\n", before, StringComparison.Ordinal);
        for (int round = 1; round <= 3; round++)
        {
            podman.Checkpoint(Name);
            podman.Restore(Name);
            log.MustGoOn();
            Assert.Equal(before, podman.Exec(Name, "sh", "-c", Look));
        }
    }

    [Fact]
    public void A_terminal_and_its_limits_are_there_again()
    {
        const string Look = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/memory/memory.limit_in_bytes /scratch/file; busybox id -u; "
            + "busybox grep -E 'Cap|Seccomp:|NoNew' /proc/1/status; busybox readlink /proc/1/fd/0";
        using var podman = new PodmanStore();
        podman.Run(
            Name,
            "echo here > /scratch/file; " + Counting,
            "--tty", "--network", "none", "--memory", "20m", "--pids-limit", "50", "--read-only", "--tmpfs", "/scratch:size=1m",
            "--user", "1000:1000", "--cap-drop", "all");
        var log = new CountedLog(
            () => podman.Must("logs", Name).Output.Replace("\r", string.Empty, StringComparison.Ordinal));
        log.MustGoOn();
        string before = podman.Exec(Name, "sh", "-c", Look);
        for (int round = 1; round <= 3; round++)
        {
            podman.Checkpoint(Name);
            podman.Restore(Name);
            log.MustGoOn();
            Assert.Equal(before, podman.Exec(Name, "sh", "-c", Look));
        }
    }

    [Fact]
    public void File_locks_are_held_again_where_that_is_asked_for()
    {
        using var podman = new PodmanStore();
        CountedLog log = podman.Start(
            Name, $"exec /bin/hold /tmp/lock sh -c '{Counting}'", "--volume", $"{Programs.Target("hold_lock")}:/bin/hold:ro");
        log.MustGoOn();
        Outcome outcome = podman.Try("container", "checkpoint", Name);
        Assert.NotEqual(0, outcome.Status);
        Assert.Contains("--file-locks", podman.Said(), StringComparison.Ordinal);
        log.MustGoOn();
        podman.Checkpoint("--file-locks", Name);
        podman.Restore("--file-locks", Name);
        log.MustGoOn();
        Assert.Equal(1, podman.Try("exec", Name, "/bin/hold", "/tmp/lock", "true").Status);
    }

    [Fact]
    public void On_podmans_own_bridge_it_is_found_at_its_address()
    {
        const string Format = "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.MacAddress}}";
        using var podman = new PodmanStore();
        podman.Run("web", "echo a page > /tmp/index.html; exec busybox httpd -f -p 80 -h /tmp", "--publish", "8080:80");
        string place = podman.Inspect("web", Format);
        string address = place.Split(' ')[0];
        void MustAnswer(string url)
            => PidNamespace.Until(() => podman.RunBeside("curl", "-s", url).Output == "a page\n", $"the server answers at {url}");
        string Look() => podman.Exec("web", "busybox", "ip", "-o", "addr") + podman.Exec("web", "busybox", "ip", "route");
        MustAnswer($"http://{address}/");
        string before = Look();
        for (int round = 1; round <= 3; round++)
        {
            podman.Checkpoint("web");
            podman.Restore("web");
            Assert.Equal(place, podman.Inspect("web", Format));
            MustAnswer($"http://{address}/");
        }

        Assert.Equal(WithoutPeers(before), WithoutPeers(Look()));

        // What it can reach, and by which port it is reached from outside.
        Assert.Equal("0\n", podman.Exec("web", "sh", "-c", "busybox ping -c 1 -W 5 10.88.0.1 > /dev/null; echo $?"));
        MustAnswer("http://10.88.0.1:8080/");
        string archive = Path.Combine(podman.Space.Directory, "exported");
        podman.Checkpoint("--export", archive, "web");
        podman.Restore("--import", archive, "--name", "moved", "--publish", "8081:80");
        MustAnswer("http://10.88.0.1:8081/");
    }

    [Fact]
    public void What_is_refused_goes_on_unharmed()
    {
        using var podman = new PodmanStore();
        CountedLog log = podman.Start(
            Name, "(nc -l -p 7 -e sleep 1000 &); (sleep 0.5; exec nc 127.0.0.1 7 < /dev/zero > /dev/null) & " + Counting);
        PidNamespace.Until(
            () => podman.Exec(Name, "cat", "/proc/net/tcp").Contains(" 01 ", StringComparison.Ordinal), "it is connected");
        Outcome outcome = podman.Try("container", "checkpoint", Name);
        Assert.NotEqual(0, outcome.Status);
        Assert.Contains("[tcp-established]", podman.Said(), StringComparison.Ordinal);
        Assert.Equal("running", podman.StatusOf(Name));
        log.MustGoOn();
    }

    // The number of the other end of a veth is another each time.
    private static string WithoutPeers(string text)
        => System.Text.RegularExpressions.Regex.Replace(text, "@if[0-9]+", string.Empty);

    private static void MustHaveStatistics(string told, params string[] fields)
    {
        JsonNode statistics = JsonNode.Parse(told)!["container_statistics"]![0]!["criu_statistics"]!;
        foreach (string field in fields)
        {
            Assert.True((long)statistics[field]! > 0, $"{field}: {statistics}");
        }
    }
}
