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
        for (int round = 1; round <= 3; round++)
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
        JsonNode told = JsonNode.Parse(podman.Checkpoint("--leave-running", "--print-stats", Name))!;
        JsonNode statistics = told["container_statistics"]![0]!["criu_statistics"]!;
        foreach (string field in (ReadOnlySpan<string>)["freezing_time", "frozen_time", "memdump_time", "pages_scanned", "pages_written"])
        {
            Assert.True((long)statistics[field]! > 0, $"{field}: {statistics}");
        }

        Assert.Equal("running", podman.StatusOf(Name));
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
        podman.Knows("other");
        podman.Restore("--import", archive, "--name", "other");

        // The archive has the log, too.
        podman.LogOf("other").MustGoOn();
        Assert.True(podman.LogOf("other").Length > said);
        Assert.Equal("here\n", podman.Try("exec", "other", "cat", "/tmp/changed").Output);
        podman.Remove(Name);
        podman.Remove("other");
        podman.Restore("--import", archive);
        podman.LogOf(Name).MustGoOn();
    }

    [Fact]
    public void What_is_refused_goes_on_unharmed()
    {
        using var podman = new PodmanStore();
        CountedLog log = podman.Start(
            Name, "(nc -l -p 7 -e sleep 1000 &); (sleep 0.5; exec nc 127.0.0.1 7 < /dev/zero > /dev/null) & " + Counting);
        PidNamespace.Until(
            () => podman.Try("exec", Name, "cat", "/proc/net/tcp").Output.Contains(" 01 ", StringComparison.Ordinal), "it is connected");
        Outcome outcome = podman.Try("container", "checkpoint", Name);
        Assert.NotEqual(0, outcome.Status);
        Assert.Contains("[tcp-established]", podman.Said(), StringComparison.Ordinal);
        Assert.Equal("running", podman.StatusOf(Name));
        log.MustGoOn();
    }
}
