using Firn.Engine.Tests.RoundTrip;
using Firn.Rpc.Messages;
using Google.Protobuf;

namespace Firn.Rpc.Tests;

/// <summary>`firn service`, and the program under the name `criu`.</summary>
public sealed class ServiceTests
{
    [Fact]
    public void Clients_that_connect_are_served()
    {
        using var space = new PidNamespace();
        string work = space.MakeDirectory("work");
        string socket = Path.Combine(work, "criu_service.socket");
        string file = Path.Combine(work, "the.pid");
        space.FirnMust("service", "-d", "-W", work, "--pidfile", "the.pid");
        int service = Assert.Single(space.Pids);
        Assert.Equal($"{service}", File.ReadAllText(file));
        for (int times = 0; times < 3; times++)
        {
            Outcome outcome = Peer.Connect(space, socket, [], new Request { Type = RequestType.Version });
            Assert.Equal("packet 080a1001520408041002\nend 0\n", outcome.Output);
        }

        // What a service that was killed has left is no hindrance, and one that lives is.
        Outcome second = space.Firn("service", "-d", "-W", work);
        Assert.Equal(1, second.Status);
        Assert.Contains("address in use", second.Error, StringComparison.Ordinal);
        space.Kill(service, 9);
        space.UntilEmpty();
        space.FirnMust("service", "-d", "-W", work);
    }

    [Fact]
    public void A_tree_is_dumped_and_restored()
    {
        using var space = new PidNamespace();
        string work = space.MakeDirectory("work");
        string images = space.MakeDirectory("images");
        string socket = Path.Combine(work, "s");
        space.FirnMust("service", "-d", "-W", work, "--address", socket);
        int service = Assert.Single(space.Pids);
        int target = Sleeper.Start(space);
        Opts opts = new() { ImagesDirFd = 5, LogLevel = 4, LogFile = "log" };
        Request dump = new() { Type = RequestType.Dump, Opts = new Opts(opts) { Pid = target } };
        Assert.Equal("packet 080110011a020800\nend 0\n", Peer.Connect(space, socket, ["--dir", images], dump).Output);
        PidNamespace.Until(() => space.Pids.SequenceEqual([service]), "the target is gone");
        Request sibling = new() { Type = RequestType.Restore, Opts = new Opts(opts) { RstSibling = true } };
        Assert.StartsWith("packet 08021000", Peer.Connect(space, socket, ["--dir", images], sibling).Output, StringComparison.Ordinal);
        Request restore = new() { Type = RequestType.Restore, Opts = opts };
        Assert.StartsWith("packet 08021001", Peer.Connect(space, socket, ["--dir", images], restore).Output, StringComparison.Ordinal);
        Assert.Contains(target, space.Pids);
    }

    [Theory]
    [InlineData("setpriv --reuid 65534 --regid 65534 --clear-groups")]
    [InlineData("setpriv --bounding-set -sys_ptrace --inh-caps -sys_ptrace")]
    public void A_client_with_less_rights_is_refused(string command)
    {
        using var space = new PidNamespace();
        string work = space.MakeDirectory("work");
        File.SetUnixFileMode(work, (UnixFileMode)0x1FF);
        File.SetUnixFileMode(space.Directory, (UnixFileMode)0x1ED);
        string socket = Path.Combine(work, "s");
        space.FirnMust("service", "-d", "-W", work, "--address", socket);
        int target = Sleeper.Start(space);
        Request dump = new() { Type = RequestType.Dump, Opts = new Opts { ImagesDirFd = 5, Pid = target } };
        string peer = Path.Combine(work, "peer");
        File.Copy(Programs.Target("rpc_peer"), peer);
        string hex = Convert.ToHexStringLower(dump.ToByteArray());
        Outcome outcome = space.Run(["sh", "-c", $"exec {command} {peer} --dir {work} --socket {socket} {hex}"]);
        Reply reply = Reply.Parser.ParseFrom(Convert.FromHexString(outcome.Output.Split('\n')[0].Split(' ')[1]));
        Assert.Equal((RequestType.Dump, false, 1), (reply.Type, reply.Success, reply.CrErrno));
        Assert.Contains("rights", reply.CrErrmsg, StringComparison.Ordinal);
        Assert.Contains(target, space.Pids);
    }

    [Fact]
    public void Installed_as_criu_it_is_taken_for_it()
    {
        using var space = new PidNamespace();
        string prefix = space.MakeDirectory("prefix");
        space.FirnMust("install", "--prefix", prefix, "--as-criu");
        space.FirnMust("install", "--prefix", prefix, "--as-criu");
        string criu = Path.Combine(prefix, "bin/criu");
        if (!Programs.Firn.Contains("/bin/Debug/", StringComparison.Ordinal))
        {
            // The program of a development build is not whole by itself.
            Outcome outcome = space.Run(criu, "--version");
            Assert.Equal((0, "Version: 4.2\n"), (outcome.Status, outcome.Output));
            Assert.Equal(0, space.Run(criu, "check").Status);
        }

        File.Delete(criu);
        File.WriteAllText(criu, "another");
        Outcome refused = space.Firn("install", "--prefix", prefix, "--as-criu");
        Assert.Equal(1, refused.Status);
        Assert.Contains("--force", refused.Error, StringComparison.Ordinal);
        Assert.Equal("another", File.ReadAllText(criu));
        space.FirnMust("install", "--prefix", prefix, "--as-criu", "--force");
        Assert.Equal("firn", new FileInfo(criu).LinkTarget);
    }

    [Fact]
    public void Swrk_without_a_socket_is_answered_by_one_sentence()
    {
        using var space = new PidNamespace();
        foreach (string[] arguments in (string[][])[["swrk"], ["swrk", "x"], ["swrk", "77"], ["swrk", "0"]])
        {
            Outcome outcome = space.Firn(arguments);
            Assert.Equal(1, outcome.Status);
            Assert.Single(outcome.Error.TrimEnd('\n').Split('\n'));
        }
    }

    [Fact]
    public void A_program_is_executed_after_the_restore_in_place_of_the_command()
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{target}", "-D", images);
        space.UntilEmpty();
        Outcome outcome = space.Firn(
            "restore", "-D", images, "--exec-cmd", "--", "sh", "-c", "ps -o ppid= -p $0; echo $$; exit 5", $"{target}");
        string[] lines = outcome.Output.Split('\n');
        Assert.Equal((5, lines[1]), (outcome.Status, lines[0].Trim()));
        Assert.Equal(1, space.Firn("restore", "-D", images, "--exec-cmd").Status);
    }

    [Fact]
    public void A_program_is_executed_after_the_restore_in_place_of_the_server()
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        Opts opts = new() { ImagesDirFd = 5, LogFile = "log" };
        Request dump = new() { Type = RequestType.Dump, Opts = new Opts(opts) { Pid = target } };
        Assert.True(Peer.Talk(space, ["--dir", images], dump).Answer.Success);
        space.UntilEmpty();

        // It is the parent of what was restored, and can wait for it.
        string file = Path.Combine(images, "parent.of");
        opts.ExecCmd.AddRange(["sh", "-c", $"echo the command speaks; ps -o ppid= -p $0 > {file}; echo $$ >> {file}; exit 5", $"{target}"]);
        Peer peer = Peer.Talk(space, ["--dir", images], new Request { Type = RequestType.Restore, Opts = opts });
        Assert.True(peer.Answer.Success, peer.Answer.CrErrmsg);
        Assert.Equal(5, peer.Status);
        string[] lines = File.ReadAllLines(file);
        Assert.Equal(lines[0].Trim(), lines[1].Trim());
        Assert.Contains("the command speaks", File.ReadAllText(Path.Combine(images, "log")), StringComparison.Ordinal);
    }
}
