using System.Text.Json.Nodes;
using Firn.Engine.Tests.RoundTrip;
using Xunit;

namespace Firn.Engine.Tests.Containers;

/// <summary>Redis in a container, and a client that counts over one connection, which outlives the container's checkpoints.</summary>
public sealed class ConnectionTests
{
    private const int Rounds = 10;
    private const string Address = "10.9.0.2";
    private const string Keep = "--tcp-established";
    private static readonly string[] Redis = ["redis-server", "--dir", "/data", "--save", "", "--protected-mode", "no"];

    [Fact]
    public void A_client_outside_goes_on_while_its_server_is_away()
    {
        _ = Programs.Command("/usr/bin/redis-server");
        using RuncContainer container = RuncContainer.OfDebian([.. Redis, "--bind", "0.0.0.0"]);
        PidNamespace space = container.Space;
        int here = MakeNetwork(space);
        int there = MakeNetwork(space);
        Within(space, here, $"ip link add here type veth peer name there netns {there}");
        Within(space, here, "ip addr add 10.9.0.1/24 dev here; ip link set here up");
        Within(space, there, $"ip addr add {Address}/24 dev there; ip link set there up");
        container.Change(config => config["linux"]!["namespaces"]!.AsArray()
            .Single(entry => (string?)entry!["type"] == "network")!["path"] = $"/proc/{there}/ns/net");
        container.Start();
        CountedLog heard = StartClient(space, here, Address);
        for (int round = 1; round <= Rounds; round++)
        {
            heard.MustGoOn();
            container.Checkpoint(Keep);

            // What it sends meanwhile finds no one; nobody may tell it so.
            heard.MustStandStill();
            container.Restore(Keep);
        }

        heard.MustGoOn();
        container.Checkpoint(Keep, "--leave-running");
        heard.MustGoOn();

        // One that fails lets go of the network, too.
        Assert.NotEqual(0, container.TryCheckpoint().Status);
        Assert.Contains("[tcp-established]", container.Said(), StringComparison.Ordinal);
        heard.MustGoOn();
        Assert.Empty(space.Run("nsenter", $"--net=/proc/{there}/ns/net", "nft", "list", "ruleset").Output);
    }

    [Fact]
    public void Both_ends_in_one_container_go_on()
    {
        _ = Programs.Command("/usr/bin/redis-server");
        const string Script = "redis-server --save '' --bind 127.0.0.1 > /dev/null & "
            + "until redis-cli ping | grep -q PONG; do sleep 0.1; done; "
            + "exec /usr/bin/python3 /client 127.0.0.1 6379 > /data/log 2>&1";
        using RuncContainer container = RuncContainer.OfDebian(["sh", "-c", Script], config =>
            config["mounts"]!.AsArray().Add((JsonNode)RuncContainer.Bind(Programs.Data("incrementing.py"), "/client", "ro")));
        string file = Path.Combine(container.RootFileSystem, "data/log");
        var heard = new CountedLog(() => File.Exists(file) ? File.ReadAllText(file) : string.Empty);
        container.Start();
        for (int round = 1; round <= 3; round++)
        {
            heard.MustGoOn();
            container.Checkpoint(Keep);
            container.Restore(Keep);
        }

        heard.MustGoOn();
    }

    // Podman takes the network away and makes it anew: who sends in that moment is refused by the kernel, before any checkpoint can come.
    [Fact]
    public void A_client_that_waits_goes_on_over_podmans_bridge()
    {
        _ = Programs.Command("/usr/bin/redis-server");
        using var podman = new PodmanStore();
        string[] libraries = ["--volume", "/usr:/usr:ro", "--volume", "/usr/lib:/lib:ro", "--volume", "/usr/lib64:/lib64:ro"];
        podman.Run("server", "exec /usr/bin/redis-server --save '' --protected-mode no --bind 0.0.0.0", libraries);
        string address = podman.Inspect("server", "{{.NetworkSettings.IPAddress}}");
        PidNamespace.Until(
            () => podman.RunBeside("redis-cli", "-h", address, "ping").Output == "PONG\n", "the server answers");
        string file = Path.Combine(podman.Space.Directory, "heard");
        string questions = Path.Combine(podman.Space.Directory, "questions");
        File.WriteAllText(file, string.Empty);
        _ = podman.StartBeside(
            file, "sh", "-c", $"touch {questions}; tail -f {questions} | python3 {Programs.Data("incrementing.py")} {address} 6379 asked");
        var heard = new CountedLog(() => File.ReadAllText(file));
        for (int round = 0; round <= 3; round++)
        {
            if (round > 0)
            {
                podman.Checkpoint(Keep, "server");
                podman.Restore(Keep, "server");
            }

            File.AppendAllText(questions, "next\nnext\nnext\nnext\n");
            heard.MustReach(4 * (round + 1));
        }
    }

    private static CountedLog StartClient(PidNamespace space, int network, string address)
    {
        string file = Path.Combine(space.Directory, "heard");
        Within(space, network, $"until redis-cli -h {address} ping | grep -q PONG; do sleep 0.1; done");
        File.WriteAllText(file, string.Empty);
        _ = space.Start(
            ["nsenter", $"--net=/proc/{network}/ns/net", "python3", Programs.Data("incrementing.py"), address, "6379"], file);
        return new CountedLog(() => File.ReadAllText(file));
    }

    // A network namespace that one process holds.
    private static int MakeNetwork(PidNamespace space)
    {
        string before = space.Run("readlink", "/proc/self/ns/net").Output;
        int holder = space.Start(["unshare", "--net", "sleep", "100000"]);
        PidNamespace.Until(
            () => space.Run("readlink", $"/proc/{holder}/ns/net") is { Status: 0 } outcome && outcome.Output != before,
            "it has a network namespace");
        Within(space, holder, "ip link set lo up");
        return holder;
    }

    private static void Within(PidNamespace space, int network, string line)
    {
        Outcome outcome = space.Run("nsenter", $"--net=/proc/{network}/ns/net", "sh", "-c", $"PATH=$PATH:/sbin:/usr/sbin; {line}");
        Assert.True(outcome.Status == 0, outcome.Error);
    }
}
