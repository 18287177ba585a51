using Firn.Engine.Tests.RoundTrip;

namespace Firn.Cli.Tests;

/// <summary>The first command of the README.</summary>
public sealed class DemoTests
{
    private const int SIGKILL = 9;
    private const int SIGINT = 2;

    [Fact]
    public void Shows_five_phases_and_leaves_nothing()
    {
        using var space = new PidNamespace();
        string temporary = space.MakeDirectory("tmp");

        // As from a careless caller: with a descriptor open that leads out of the tree, and a child that is not the demo's.
        Outcome outcome = space.Run("/bin/bash", "-c", $"TMPDIR={temporary} exec {Programs.Firn} demo 7< <(sleep 1000)");
        Assert.Equal(string.Empty, outcome.Error);
        Assert.Equal(0, outcome.Status);
        Assert.All(
            (string[])["pre-dump", "freeze", "dump", "thaw or kill", "post-dump", "It goes on", "none was lost"],
            part => Assert.Contains(part, outcome.Output, StringComparison.Ordinal));
        Assert.DoesNotContain('\x1b', outcome.Output);
        Assert.Empty(Directory.GetFileSystemEntries(temporary));
    }

    [Theory]
    [InlineData(SIGKILL, true)]
    [InlineData(SIGINT, false)]
    public void Fails_where_the_program_does_not_go_on(int signal, bool atProgram)
    {
        using var space = new PidNamespace();
        string temporary = space.MakeDirectory("tmp");
        int demo = space.Start(["/usr/bin/env", $"TMPDIR={temporary}", Programs.Firn, "demo"]);
        PidNamespace.Until(() => space.Pids.Count >= 4, "the program runs");
        space.Kill(atProgram ? space.Pids.First(pid => pid > demo) : demo, signal);
        Assert.Equal(1, space.Wait(demo).Status);
        space.UntilEmpty();
        Assert.Empty(Directory.GetFileSystemEntries(temporary));
    }
}
