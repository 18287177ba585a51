using System.Text.Json;
using Firn.Engine.Tests.RoundTrip;

namespace Firn.Cli.Tests;

/// <summary>`firn check --pid`: everything in the way at once, with what to do about each, and no harm.</summary>
public sealed class CheckPidTests
{
    private const int SIGUSR1 = 10;
    private static readonly string[] Expected = ["file-locks", "file-system-context", "ghost-limit", "memfd-secret"];

    [Fact]
    public void Lists_all_problems_at_once_and_harms_nothing()
    {
        using var space = new PidNamespace();
        string work = space.MakeDirectory("work");
        int pid = space.Start([Programs.Target("cli_problems"), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "the target is ready");

        Outcome text = space.Firn("check", "--pid", $"{pid}");
        Assert.Equal(1, text.Status);
        Assert.All(Expected, identifier => Assert.Contains($"[{identifier}]", text.Output, StringComparison.Ordinal));
        Assert.EndsWith($"The tree of pid {pid} can't be dumped as it is.\n", text.Output, StringComparison.Ordinal);

        Outcome json = space.Firn("check", "--pid", $"{pid}", "--json");
        Assert.Equal(1, json.Status);
        using JsonDocument answer = JsonDocument.Parse(json.Output);
        Assert.False(answer.RootElement.GetProperty("canBeDumped").GetBoolean());
        JsonElement[] problems = [.. answer.RootElement.GetProperty("problems").EnumerateArray()];
        Assert.Equal(
            Expected, problems.Select(problem => problem.GetProperty("identifier").GetString()!).Distinct().Order(StringComparer.Ordinal));
        Assert.All(problems, problem => Assert.Equal(pid, problem.GetProperty("pid").GetInt32()));
        Assert.All(problems, problem => Assert.NotEqual(string.Empty, problem.GetProperty("remedy").GetString()));

        // The dump itself says the same, a sentence each.
        Outcome dump = space.Firn("dump", "-t", $"{pid}", "-D", space.MakeDirectory("images"));
        Assert.Equal(1, dump.Status);
        string[] said = dump.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(problems.Length, said.Length);
        Assert.All(said, line => Assert.StartsWith("dump: pid ", line, StringComparison.Ordinal));

        space.Kill(pid, SIGUSR1);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "result")), "the target goes on");
    }

    [Fact]
    public void Says_that_a_tree_can_be_dumped()
    {
        using var space = new PidNamespace();
        int pid = Sleeper.Start(space);
        Outcome outcome = space.Firn("check", "--pid", $"{pid}");
        Assert.Equal((0, $"The tree of pid {pid} can be dumped.\n"), (outcome.Status, outcome.Output));
        Assert.Contains(pid, space.Pids);
    }
}
