using System.Text.Json;
using Firn.Engine.Tests.RoundTrip;

namespace Firn.Cli.Tests;

/// <summary>dump and restore as a user or a program meets them: exit statuses, accounts, logs, pid files.</summary>
public sealed class CommandTests
{
    private const int SIGTERM = 15;

    /// <summary>Waits for a file, then ends with status 7.</summary>
    private const string Waiting = "until [ -e \"$0\" ]; do sleep 0.05; done; exit 7";

    [Fact]
    public void A_restore_in_the_foreground_ends_with_the_status_of_the_tree()
    {
        using var space = new PidNamespace();
        string images = space.MakeDirectory("images");
        string end = Path.Combine(space.Directory, "end");
        int pid = Dump(space, images, end);
        int restore = space.Start([Programs.Firn, "restore", "-D", images, "--pidfile", "root.pid"]);
        string pidFile = Path.Combine(images, "root.pid");
        PidNamespace.Until(() => File.Exists(pidFile) && File.ReadAllText(pidFile).Trim() == $"{pid}", "the pid is written");
        PidNamespace.Until(() => space.Pids.Contains(pid), "the tree runs");
        Assert.Contains(restore, space.Pids);
        File.WriteAllText(end, string.Empty);
        Assert.Equal(7, space.Wait(restore).Status);
        space.UntilEmpty();
    }

    [Fact]
    public void A_restore_in_the_foreground_tells_the_signal_that_killed_the_tree()
    {
        using var space = new PidNamespace();
        string images = space.MakeDirectory("images");
        int pid = Dump(space, images, Path.Combine(space.Directory, "end"));
        string output = Path.Combine(space.Directory, "said");
        File.WriteAllText(output, string.Empty);
        int restore = space.Start([Programs.Firn, "restore", "-D", images], output);
        PidNamespace.Until(() => File.ReadAllText(output).Contains("restore: pid", StringComparison.Ordinal), "the account is given");
        space.Kill(pid, SIGTERM);
        Assert.Equal(128 + SIGTERM, space.Wait(restore).Status);
    }

    [Fact]
    public void Accounts_and_logs_are_for_people_and_for_programs()
    {
        using var space = new PidNamespace();
        string images = space.MakeDirectory("images");
        string work = space.MakeDirectory("work");
        int pid = space.Start(["/bin/sleep", "1000"]);
        Outcome people = space.FirnMust("dump", "-t", $"{pid}", "-D", images, "-R");
        Assert.Empty(people.Output);
        Assert.StartsWith("dump: 1 process with 1 thread, ", people.Error, StringComparison.Ordinal);
        Assert.Contains("stood still", people.Error, StringComparison.Ordinal);

        Outcome silent = space.FirnMust("dump", "-t", $"{pid}", "-D", images, "-R", "-v0");
        Assert.Equal(string.Empty, silent.Output + silent.Error);

        Outcome programs = space.FirnMust("dump", "-t", $"{pid}", "-D", images, "-W", work, "-v4", "-o", "dump.log", "--json");
        Assert.Empty(programs.Error);
        using JsonDocument dumped = JsonDocument.Parse(programs.Output);
        string[] phases = ["pre-dump", "freeze", "dump", "thaw or kill", "post-dump"];
        Assert.Equal(
            phases, dumped.RootElement.GetProperty("phases").EnumerateArray().Select(phase => phase.GetProperty("name").GetString()!));
        Assert.EndsWith("Dumping finished successfully\n", File.ReadAllText(Path.Combine(work, "dump.log")), StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(work, "stats-dump")));
        space.UntilEmpty();

        Outcome restored = space.FirnMust("restore", "-D", images, "-W", work, "-d", "-v4", "-o", "restore.log", "--json");
        using JsonDocument restore = JsonDocument.Parse(restored.Output);
        Assert.Equal(pid, restore.RootElement.GetProperty("rootPid").GetInt32());
        Assert.Contains("Restore finished successfully", File.ReadAllText(Path.Combine(work, "restore.log")), StringComparison.Ordinal);

        // While it runs, its pid is taken.
        Outcome taken = space.Firn("restore", "-D", images, "-W", work, "-d", "-o", "taken.log");
        Assert.Equal(1, taken.Status);
        Assert.StartsWith($"restore: pid {pid} is taken by sleep", taken.Error, StringComparison.Ordinal);
        Assert.Contains("Error (firn/restore): ", File.ReadAllText(Path.Combine(work, "taken.log")), StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_file_is_named_once()
    {
        using var space = new PidNamespace();
        string images = space.MakeDirectory("images");
        string input = Path.Combine(space.Directory, "input");
        File.WriteAllText(input, "some text");
        int pid = space.Start(["/bin/sh", "-c", $"exec 5< {input}; exec sleep 1000"]);
        PidNamespace.Until(() => File.ReadAllText(space.Proc(pid, "comm")) == "sleep\n", "sleep runs");
        space.FirnMust("dump", "-t", $"{pid}", "-D", images);
        space.UntilEmpty();
        File.Delete(input);
        Outcome outcome = space.Firn("restore", "-D", images, "-d");
        Assert.Equal(1, outcome.Status);
        Assert.Matches($"^restore: [^:]*{input}", outcome.Error);
        Assert.Equal(1, outcome.Error.Count(letter => letter == '\n'));
        Assert.Empty(space.Pids);
    }

    [Fact]
    public void Images_decode_to_JSON_and_encode_to_the_same_bytes()
    {
        using var space = new PidNamespace();
        string images = space.MakeDirectory("images");
        int pid = space.Start(["/bin/sleep", "1000"]);
        space.FirnMust("dump", "-t", $"{pid}", "-D", images);
        foreach (string image in Directory.GetFiles(images, "*.img").Where(path => !path.Contains("/pages-", StringComparison.Ordinal)))
        {
            string json = image + ".json";
            string back = image + ".back";
            space.FirnMust("decode", image, "-o", json);
            space.FirnMust("encode", json, "-o", back);
            Assert.Equal(File.ReadAllBytes(image), File.ReadAllBytes(back));
        }
    }

    private static int Dump(PidNamespace space, string images, string end)
    {
        int pid = space.Start(["/bin/bash", "-c", Waiting, end]);
        PidNamespace.Until(() => space.Pids.Count > 1, "it waits");
        space.FirnMust("dump", "-t", $"{pid}", "-D", images);
        space.UntilEmpty();
        return pid;
    }
}
