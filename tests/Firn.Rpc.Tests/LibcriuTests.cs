using Firn.Engine.Tests.RoundTrip;

namespace Firn.Rpc.Tests;

/// <summary>Debian's libcriu, unchanged: a C program that dumps and restores through it.</summary>
public sealed class LibcriuTests
{
    [Fact]
    public void Version_and_check_are_answered()
    {
        using var space = new PidNamespace();
        Assert.Equal("result 40200\n", Client(space, "version").Output);
        Assert.Equal("result 0\n", Client(space, "check").Output);
    }

    [Theory]
    [InlineData("restore")]
    [InlineData("child")]
    public void A_tree_is_dumped_and_restored(string verb)
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        Outcome dumped = Client(space, "dump", $"{target}", images, "notify");
        Assert.True(
            dumped.Output == "notify pre-dump\nnotify query-ext-files\nnotify post-dump\nresult 0\n", dumped.Output + Log(images));
        space.UntilEmpty();
        Outcome outcome = Client(space, verb, images, "notify");
        Assert.Equal(
            $"notify pre-restore\nnotify setup-namespaces {target}\nnotify post-setup-namespaces\nnotify post-restore {target}\n"
                + $"notify pre-resume\nnotify post-resume\n{(verb == "child" ? "child yes\n" : "")}result {target}\n",
            outcome.Output);
        Assert.Equal([target], space.Pids);
    }

    [Fact]
    public void A_dump_leaves_running_what_it_shall()
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        string output = Client(space, "dump", $"{target}", images, "running").Output;
        Assert.True(output == "result 0\n", output + Log(images));
        Assert.Equal([target], space.Pids);
    }

    [Fact]
    public void A_program_that_dumps_itself_finds_its_answer_when_it_is_restored()
    {
        using var space = new PidNamespace();
        string images = space.MakeDirectory("images");
        string file = Path.Combine(space.Directory, "results");
        int target = space.Start([Programs.Target("libcriu_client"), Programs.Firn, "self", images, file]);
        space.UntilEmpty();
        Assert.True(File.Exists(Path.Combine(images, "inventory.img")), Log(images));
        Assert.False(File.Exists(file));
        Assert.Equal($"result {target}\n", Client(space, "restore", images).Output);

        // 1: it goes on after a restore (criu_dump of libcriu).
        PidNamespace.Until(() => File.Exists(file) && File.ReadAllText(file).Length > 0, "the program goes on");
        Assert.Equal("result 1\n", File.ReadAllText(file));
        Assert.Contains(target, space.Pids);
    }

    private static Outcome Client(PidNamespace space, params string[] arguments)
        => space.Run([Programs.Target("libcriu_client"), Programs.Firn, .. arguments]);

    private static string Log(string images) => File.ReadAllText(Path.Combine(images, "dump.log"));
}
