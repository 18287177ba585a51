using System.Globalization;
using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Action scripts: called in CRIU's order with what CRIU tells them, and heard when they say no.</summary>
public sealed class HookTests
{
    private static readonly string[] DumpHooks = ["pre-dump", "post-dump"];
    private static readonly string[] RestoreHooks =
        ["pre-restore", "setup-namespaces", "post-setup-namespaces", "post-restore", "pre-resume", "post-resume"];

    [Fact]
    public void Scripts_are_called_in_order_and_told_of_images_and_root()
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        string script = WriteScript(space);
        space.FirnMust("dump", "-t", $"{target}", "-D", images, "--action-script", script);
        Assert.Equal([.. DumpHooks.Select(name => $"{name} {target} {images}")], Calls(space));
        space.UntilEmpty();
        space.FirnMust("restore", "-D", images, "-d", "--action-script", script);
        Assert.Equal([.. RestoreHooks.Select(name => $"{name} {(name == "pre-restore" ? "" : $"{target}")} {images}")], Calls(space));
        Assert.Contains(target, space.Pids);
    }

    [Theory]
    [InlineData("pre-dump", "-v2")]
    [InlineData("post-dump", "-v2")]
    [InlineData("post-dump", "-R")]
    public void A_script_that_fails_keeps_the_tree_running(string hook, string option)
    {
        using var space = new PidNamespace();
        var target = new SelfChecking(space);
        string images = space.MakeDirectory("images");
        Outcome outcome = space.Firn(
            ["dump", "-t", target.PidText, "-D", images, "--action-script", WriteScript(space, hook), option]);
        Assert.Equal(1, outcome.Status);
        Assert.Contains($"exited with status 7 at {hook}", outcome.Error, StringComparison.Ordinal);
        Assert.Equal(hook, Calls(space)[^1].Split(' ')[0]);
        Assert.Empty(Directory.GetFileSystemEntries(images));
        target.MustGoOn();
    }

    [Theory]
    [InlineData("pre-restore")]
    [InlineData("setup-namespaces")]
    [InlineData("post-setup-namespaces")]
    [InlineData("post-restore")]
    public void A_script_that_fails_leaves_nothing_of_a_restore(string hook)
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{target}", "-D", images);
        space.UntilEmpty();
        Outcome outcome = space.Firn(
            "restore", "-D", images, "-d", "--action-script", WriteScript(space, hook), "--pidfile", "the.pid");
        Assert.Equal(1, outcome.Status);
        Assert.Contains($"exited with status 7 at {hook}", outcome.Error, StringComparison.Ordinal);
        Assert.Equal(hook, Calls(space)[^1].Split(' ')[0]);
        Assert.Empty(space.Pids);
        Assert.False(File.Exists(Path.Combine(images, "the.pid")));
        space.FirnMust("restore", "-D", images, "-d");
        Assert.Contains(target, space.Pids);
    }

    [Theory]
    [InlineData("pre-resume")]
    [InlineData("post-resume")]
    public void Past_the_point_of_no_return_a_script_is_not_heard(string hook)
    {
        using var space = new PidNamespace();
        int target = Sleeper.Start(space);
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{target}", "-D", images);
        space.UntilEmpty();
        space.FirnMust("restore", "-D", images, "-d", "--action-script", WriteScript(space, hook), "-o", "restore.log");
        Assert.Contains($"exited with status 7 at {hook}", File.ReadAllText(Path.Combine(images, "restore.log")), StringComparison.Ordinal);
        Assert.Equal("post-resume", Calls(space)[^1].Split(' ')[0]);
        Assert.Contains(target, space.Pids);
    }

    [Fact]
    public void A_script_that_is_not_there_is_named()
    {
        using var space = new PidNamespace();
        var target = new SelfChecking(space);
        Outcome outcome = space.Firn(
            "dump", "-t", target.PidText, "-D", space.MakeDirectory("images"), "--action-script", "/nowhere/script");
        Assert.Equal(1, outcome.Status);
        Assert.Contains("script /nowhere/script can't be started: ENOENT", outcome.Error, StringComparison.Ordinal);
        target.MustGoOn();
    }

    [Fact]
    public void What_a_script_prints_is_in_the_log()
    {
        using var space = new PidNamespace();
        var target = new SelfChecking(space);
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", target.PidText, "-D", images, "-R", "-o", "dump.log", "--action-script", WriteScript(space));
        Assert.Contains("the script speaks", File.ReadAllText(Path.Combine(images, "dump.log")), StringComparison.Ordinal);
    }

    private static string WriteScript(PidNamespace space, string failing = "none")
    {
        string script = Path.Combine(space.Directory, "script");
        File.Delete(CallsFile(space));
        File.WriteAllText(
            script,
            string.Create(
                CultureInfo.InvariantCulture,
                $"""
                #!/bin/sh
                echo the script speaks
                echo "$CRTOOLS_SCRIPT_ACTION $CRTOOLS_INIT_PID $CRTOOLS_IMAGE_DIR" >> {CallsFile(space)}
                if [ "$CRTOOLS_SCRIPT_ACTION" = {failing} ]; then exit 7; fi
                """));
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return script;
    }

    private static string CallsFile(PidNamespace space) => Path.Combine(space.Directory, "calls");

    private static string[] Calls(PidNamespace space)
    {
        string[] calls = File.ReadAllLines(CallsFile(space));
        File.Delete(CallsFile(space));
        return calls;
    }
}
