using Firn.Engine.Tests.RoundTrip;
using Firn.Rpc.Messages;
using Google.Protobuf;

namespace Firn.Rpc.Tests;

/// <summary>Whole conversations with the program, over a socket, as a container engine has them.</summary>
public sealed class ConversationTests
{
    private static readonly string[] DumpHooks = ["pre-dump", "query-ext-files", "post-dump"];
    private static readonly string[] RestoreHooks =
        ["pre-restore", "setup-namespaces", "post-setup-namespaces", "post-restore", "pre-resume", "post-resume"];

    [Fact]
    public void Version_and_features_are_answered_byte_for_byte()
    {
        using var space = new PidNamespace();
        Peer peer = Peer.Talk(space, [], Convert.FromHexString("080a"));
        Assert.Equal("080a1001520408041002", Convert.ToHexStringLower(peer.Answer.ToByteArray()));
        Assert.Equal(0, peer.Status);

        // What was recorded of CRIU on a kernel that tracks nothing.
        peer = Peer.Talk(space, [], Convert.FromHexString("08092a020801"));
        Assert.Equal("080910014206080010001800", Convert.ToHexStringLower(peer.Answer.ToByteArray()));
        Assert.Equal(0, peer.Status);
    }

    [Fact]
    public void A_connection_is_kept_open_for_those_that_may()
    {
        using var space = new PidNamespace();
        Request version = new() { Type = RequestType.Version, KeepOpen = true };
        Request features = new() { Type = RequestType.FeatureCheck, KeepOpen = true, Features = new Features { LazyPages = true } };
        Request check = new() { Type = RequestType.Check };
        Peer peer = Peer.Talk(space, [], version, features, version, check);
        Assert.Equal(
            [RequestType.Version, RequestType.FeatureCheck, RequestType.Version, RequestType.Check],
            peer.Replies.Select(reply => reply.Type));
        Assert.True(peer.Answer.Success);
        Assert.Equal(0, peer.Status);
        Assert.Equal(0, Peer.Talk(space, [], version).Status);

        Peer dropped = Peer.Talk(space, [], new Request { Type = RequestType.Check, KeepOpen = true });
        Assert.Empty(dropped.Replies);
        Assert.Equal(1, dropped.Status);
    }

    [Fact]
    public void A_tree_is_dumped_and_restored_with_all_notifications()
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        Peer peer = Peer.Talk(space, ["--dir", images], Dump(target));
        Assert.Equal(DumpHooks, peer.Hooks);
        Assert.True(peer.Answer.Success, peer.Answer.CrErrmsg);
        Assert.Equal("080610012a0a0a087072652d64756d70", Convert.ToHexStringLower(peer.Replies[0].ToByteArray()));
        Assert.Equal("08011001 1a020800".Replace(" ", "", StringComparison.Ordinal), Convert.ToHexStringLower(peer.Answer.ToByteArray()));
        Assert.Equal(0, peer.Status);
        space.UntilEmpty();
        Assert.True(File.Exists(Path.Combine(images, "stats-dump")));
        Assert.Contains("Dumping finished successfully", File.ReadAllText(Path.Combine(images, "dump.log")), StringComparison.Ordinal);

        peer = Peer.Talk(space, ["--dir", images], Restore());
        Assert.Equal(RestoreHooks, peer.Hooks);
        Assert.True(peer.Answer.Success, peer.Answer.CrErrmsg);
        Assert.Equal(target, peer.Answer.Restore.Pid);
        Assert.Equal($"08021001220208{target:x2}", Convert.ToHexStringLower(peer.Answer.ToByteArray()));
        Assert.Equal(0, peer.Status);
        Assert.False(peer.IsChild);
        Assert.Contains(target, space.Pids);
        Assert.True(File.Exists(Path.Combine(images, "stats-restore")));

        // The pid goes with two of the notifications, and with no other.
        Assert.Equal(
            ["setup-namespaces", "post-restore"],
            peer.Replies.Where(reply => reply.Notify is { HasPid: true }).Select(reply => reply.Notify.Script));
        Assert.All(peer.Replies.Where(reply => reply.Notify is { HasPid: true }), reply => Assert.Equal(target, reply.Notify.Pid));
    }

    [Fact]
    public void A_restored_sibling_is_a_child_of_the_engine()
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        Assert.True(Peer.Talk(space, ["--dir", images], Dump(target)).Answer.Success);
        space.UntilEmpty();
        Request restore = Restore();
        restore.Opts.RstSibling = true;
        Peer peer = Peer.Talk(space, ["--dir", images], restore);
        Assert.True(peer.Answer.Success, peer.Answer.CrErrmsg);
        Assert.True(peer.IsChild);
    }

    [Theory]
    [InlineData("--refuse", "pre-dump")]
    [InlineData("--refuse", "query-ext-files")]
    [InlineData("--refuse", "post-dump")]
    [InlineData("--vanish", "pre-dump")]
    [InlineData("--vanish", "query-ext-files")]
    [InlineData("--vanish", "post-dump")]
    public void An_engine_that_says_no_or_dies_keeps_its_tree(string how, string hook)
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        if (how == "--vanish")
        {
            _ = space.Run([Programs.Target("rpc_peer"), how, hook, "--dir", images, Programs.Firn, Hex(Dump(target))]);
            PidNamespace.Until(() => space.Pids.Count == 1, "only the target is left");
        }
        else
        {
            Peer peer = Peer.Talk(space, [how, hook, "--dir", images], Dump(target));
            Assert.Equal(hook, peer.Hooks.Last());
            Assert.False(peer.Answer.Success);
            Assert.Equal(RequestType.Dump, peer.Answer.Type);
            Assert.Contains(hook, peer.Answer.CrErrmsg, StringComparison.Ordinal);
            Assert.Equal(1, peer.Status);
        }

        Assert.Equal([target], space.Pids);
        Assert.False(File.Exists(Path.Combine(images, "inventory.img")));
        Assert.Contains("Error (firn/dump): ", File.ReadAllText(Path.Combine(images, "dump.log")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--refuse", "pre-restore")]
    [InlineData("--refuse", "setup-namespaces")]
    [InlineData("--refuse", "post-setup-namespaces")]
    [InlineData("--refuse", "post-restore")]
    [InlineData("--vanish", "setup-namespaces")]
    [InlineData("--vanish", "post-restore")]
    public void An_engine_that_says_no_or_dies_finds_nothing_restored(string how, string hook)
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        Assert.True(Peer.Talk(space, ["--dir", images], Dump(target)).Answer.Success);
        space.UntilEmpty();
        if (how == "--vanish")
        {
            _ = space.Run([Programs.Target("rpc_peer"), how, hook, "--dir", images, Programs.Firn, Hex(Restore())]);
        }
        else
        {
            Peer peer = Peer.Talk(space, [how, hook, "--dir", images], Restore());
            Assert.False(peer.Answer.Success);
            Assert.Equal(-1, peer.Answer.Restore.Pid);
            Assert.Equal(1, peer.Status);
        }

        space.UntilEmpty();
        Assert.True(Peer.Talk(space, ["--dir", images], Restore()).Answer.Success);
    }

    [Fact]
    public void A_task_that_is_not_there_is_answered_with_its_error_number()
    {
        using var space = new PidNamespace();
        string images = space.MakeDirectory("images");
        Peer peer = Peer.Talk(space, ["--dir", images], Dump(30000));
        Assert.Equal((RequestType.Dump, false, 3), (peer.Answer.Type, peer.Answer.Success, peer.Answer.CrErrno));
        Assert.StartsWith("Error (firn/dump): there is no process 30000", peer.Answer.CrErrmsg, StringComparison.Ordinal);
        Reply withoutText = peer.Answer.Clone();
        withoutText.ClearCrErrmsg();
        Assert.Equal("080110001a0208003803", Convert.ToHexStringLower(withoutText.ToByteArray()));
        Assert.Matches(
            @"(?m)^\(\d\d\.\d{6}\) Error \(firn/dump\): there is no process 30000", File.ReadAllText(Path.Combine(images, "dump.log")));
    }

    [Fact]
    public void A_pid_that_is_taken_is_answered_with_its_error_number()
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        Request dump = Dump(target);
        dump.Opts.LeaveRunning = true;
        Assert.True(Peer.Talk(space, ["--dir", images], dump).Answer.Success);
        Peer peer = Peer.Talk(space, ["--dir", images], Restore());
        Assert.Equal(
            (RequestType.Restore, false, 17, -1),
            (peer.Answer.Type, peer.Answer.Success, peer.Answer.CrErrno, peer.Answer.Restore.Pid));
        Assert.Contains("taken by sleep", peer.Answer.CrErrmsg, StringComparison.Ordinal);
    }

    [Fact]
    public void An_option_that_is_not_there_is_refused_by_name_before_anything_happens()
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        Request dump = Dump(target);
        dump.Opts.LazyPages = true;
        Peer peer = Peer.Talk(space, ["--dir", images], dump);
        Reply only = Assert.Single(peer.Replies);
        Assert.Equal((false, 56), (only.Success, only.CrErrno));
        Assert.Contains("--lazy-pages", only.CrErrmsg, StringComparison.Ordinal);
        Assert.Contains("--lazy-pages", File.ReadAllText(Path.Combine(images, "dump.log")), StringComparison.Ordinal);
        Assert.Equal([target], space.Pids);
    }

    [Fact]
    public void A_configuration_file_wins_over_the_request_and_need_not_be_there()
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        string configuration = Path.Combine(space.Directory, "runc.conf");
        Request dump = Dump(target);
        dump.Opts.ConfigFile = configuration;
        dump.Opts.LeaveRunning = true;
        Assert.True(Peer.Talk(space, ["--dir", images], dump).Answer.Success);
        File.WriteAllText(configuration, "# of the machine\nlog-file other.log\n");
        Peer peer = Peer.Talk(space, ["--dir", images], dump);
        Assert.True(peer.Answer.Success, peer.Answer.CrErrmsg);
        Assert.Contains(
            $"Would overwrite RPC settings with values from {configuration}",
            File.ReadAllText(Path.Combine(images, "other.log")),
            StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_name_the_log_has_the_one_that_is_known()
    {
        using var space = new PidNamespace();
        string images = space.MakeDirectory("images");
        Request dump = Dump(30000);
        dump.Opts.ClearLogFile();
        _ = Peer.Talk(space, ["--dir", images], dump);
        Assert.True(File.Exists(Path.Combine(images, "criu.log")));
    }

    [Fact]
    public void An_engine_names_what_is_external_when_it_is_asked()
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        string Answer(string external) => Hex(new Request
        {
            Type = RequestType.Notify,
            NotifySuccess = true,
            Opts = new Opts { ImagesDirFd = -1, External = { external } },
        });
        Request dump = Dump(target);
        dump.Opts.LeaveRunning = true;
        Peer peer = Peer.Talk(space, ["--dir", images, "--answer", "query-ext-files", Answer("file[1:2]")], dump);
        Assert.True(peer.Answer.Success, peer.Answer.CrErrmsg);
        peer = Peer.Talk(space, ["--dir", images, "--answer", "query-ext-files", Answer("nonsense")], dump);
        Assert.False(peer.Answer.Success);
        Assert.Contains("`nonsense` is not of the form", peer.Answer.CrErrmsg, StringComparison.Ordinal);
    }

    // `external`, `unix_sk_ino` and `inherit_fd`; `ext_mnt` is in FailureWalk.
    [Fact]
    public void All_that_is_outside_of_the_tree_can_be_named_and_handed_in()
    {
        using var space = new PidNamespace();
        string images = space.MakeDirectory("images");
        Outcome outcome = space.Run(Programs.Command("/usr/bin/python3"), Programs.Data("rpc_outside.py"), Programs.Firn, images);
        Assert.True(outcome.Status == 0, outcome.Error);
    }

    [Fact]
    public void A_long_list_of_what_stands_in_the_way_fits_into_an_answer()
    {
        using var space = new PidNamespace();
        string images = space.MakeDirectory("images");
        Request dump = Dump(30000);
        dump.Opts.External.Add(new string('ä', 20000));
        Peer peer = Peer.Talk(space, ["--dir", images], dump);
        Assert.False(peer.Answer.Success);
        Assert.InRange(peer.Answer.CalculateSize(), 7000, 8191);
        Assert.DoesNotContain('\uFFFD', peer.Answer.CrErrmsg);
    }

    [Fact]
    public void The_processor_is_written_down_and_compared()
    {
        using var space = new PidNamespace();
        string images = space.MakeDirectory("images");
        var opts = new Opts { ImagesDirFd = 5 };
        Peer peer = Peer.Talk(
            space,
            ["--dir", images],
            new Request { Type = RequestType.CpuinfoDump, Opts = opts, KeepOpen = true },
            new Request { Type = RequestType.CpuinfoCheck, Opts = opts });
        Assert.All(peer.Replies, reply => Assert.True(reply.Success, reply.CrErrmsg));
        Assert.True(File.Exists(Path.Combine(images, "cpuinfo.img")));
        Assert.Equal(0, peer.Status);
    }

    private static string Hex(Request request) => Convert.ToHexStringLower(request.ToByteArray());

    private static Request Dump(int pid) => new()
    {
        Type = RequestType.Dump,
        Opts = new Opts { ImagesDirFd = 5, WorkDirFd = 5, Pid = pid, LogFile = "dump.log", LogLevel = 4, NotifyScripts = true },
    };

    private static Request Restore() => new()
    {
        Type = RequestType.Restore,
        Opts = new Opts { ImagesDirFd = 5, WorkDirFd = 5, LogFile = "restore.log", LogLevel = 4, NotifyScripts = true },
    };
}
