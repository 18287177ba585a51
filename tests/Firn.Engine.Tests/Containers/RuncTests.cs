using System.Text.Json.Nodes;
using Firn.Engine.Tests.RoundTrip;
using Xunit;

namespace Firn.Engine.Tests.Containers;

/// <summary>Containers of Debian's runc, unchanged, with Firn as the `criu` that it finds.</summary>
public sealed class RuncTests
{
    private const int Rounds = 10;
    private static readonly string Counting = CountedLog.Script(">> /tmp/log");

    // Two ends of a connection in one container: nobody asked for that to be saved.
    private static readonly string Connected =
        "(nc -l -p 7 -e sleep 1000 &); (sleep 0.5; exec nc 127.0.0.1 7 < /dev/zero > /dev/null) & " + Counting;

    [Fact]
    public void Counts_without_a_gap_over_ten_rounds()
    {
        using var container = new RuncContainer(Counting);
        container.Start();
        for (int round = 1; round <= Rounds; round++)
        {
            container.Log.MustGoOn();
            container.Checkpoint();
            container.Log.MustStandStill();
            Assert.Empty(container.Space.Pids);
            container.Restore();
        }

        container.Log.MustGoOn();
        Assert.Equal("running", container.Status);
    }

    [Fact]
    public void Is_what_it_was_for_all_commands_of_runc()
    {
        using var container = new RuncContainer(Counting);
        container.Start();
        container.Log.MustGoOn();
        string[] files = ["/proc/1/cgroup", "/proc/1/limits", "/proc/sys/kernel/hostname", "/proc/net/dev", "/proc/sys/kernel/pid_max"];
        string before = Look(container, files);
        string[] mounts = Mounts(container);
        container.Checkpoint();
        container.Restore();
        Assert.Equal(before, Look(container, files));
        Assert.Equal(mounts, Mounts(container));
        container.Command("pause");
        Assert.Equal("paused", container.Status);
        container.Log.MustStandStill();
        container.Command("resume");
        container.Log.MustGoOn();
        container.Command("kill", "KILL");
        container.Space.UntilEmpty();
        Assert.Equal("stopped", container.Status);
        container.Command("delete");
        Assert.Empty(container.Groups);
    }

    [Fact]
    public void Left_running_it_counts_on_and_can_be_checkpointed_again()
    {
        using var container = new RuncContainer(Counting);
        container.Start();
        for (int round = 1; round <= 3; round++)
        {
            container.Log.MustGoOn();
            container.Checkpoint("--leave-running");
            Assert.Equal("running", container.Status);
        }

        container.Log.MustGoOn();
        container.Checkpoint();
        container.Restore();
        container.Log.MustGoOn();
    }

    [Fact]
    public void Its_output_goes_on_through_a_new_pipe()
    {
        using var container = new RuncContainer(CountedLog.Script(string.Empty));
        string file = Path.Combine(container.Space.Directory, "output");
        File.WriteAllText(file, string.Empty);
        var log = new CountedLog(() => File.ReadAllText(file));
        container.StartWithPipe(file);
        for (int round = 1; round <= 3; round++)
        {
            log.MustGoOn();
            container.Checkpoint();
            container.Space.UntilEmpty();
            container.RestoreWithPipe(file);
        }

        log.MustGoOn();
    }

    [Fact]
    public void Makes_processes_all_the_time_and_none_is_lost()
    {
        // Each process hands its number through a pipe to the one that made it, three of them side by side.
        const string worker = "i=0; while true; do "
            + "[ \"$(echo $i | cat)\" = $i ] || echo bad >> /tmp/bad; echo $i >> /tmp/LOG; i=$((i+1)); done";
        string script = string.Join(
            ' ', ((string[])["one", "two"]).Select(name => $"({worker.Replace("LOG", name, StringComparison.Ordinal)}) &"))
            + worker.Replace("LOG", "log", StringComparison.Ordinal);
        using var container = new RuncContainer(script);
        container.Start();
        for (int round = 1; round <= Rounds; round++)
        {
            container.Log.MustGoOn();
            container.Checkpoint("--leave-running");
            container.Log.MustGoOn();
            container.Checkpoint();
            container.Restore();
        }

        foreach (string name in (ReadOnlySpan<string>)["log", "one", "two"])
        {
            new CountedLog(() => File.ReadAllText(Path.Combine(container.RootFileSystem, "tmp", name))).MustGoOn();
        }

        Assert.False(File.Exists(Path.Combine(container.RootFileSystem, "tmp/bad")));
    }

    [Fact]
    public void Directories_and_files_bound_from_outside_are_bound_again()
    {
        string directory = string.Empty;
        using var container = new RuncContainer(CountedLog.Script(">> /data/log"), config =>
        {
            JsonArray mounts = config["mounts"]!.AsArray();
            directory = Path.Combine(Path.GetTempPath(), ((string)config["linux"]!["cgroupsPath"]!)[1..], "data");
            _ = Directory.CreateDirectory(directory);
            File.WriteAllText(Path.Combine(directory, "alone"), "a file\n");
            mounts.Add((JsonNode)RuncContainer.Bind(directory, "/data", "rw"));
            mounts.Add((JsonNode)RuncContainer.Bind(Path.Combine(directory, "alone"), "/etc/alone", "ro"));
        });
        var log = new CountedLog(() => File.Exists($"{directory}/log") ? File.ReadAllText($"{directory}/log") : string.Empty);
        container.Start();
        log.MustGoOn();
        string[] mounts = Mounts(container);
        Assert.Contains(mounts, mount => mount.Contains(" /etc/alone ro", StringComparison.Ordinal));
        container.Checkpoint();
        container.Restore();
        Assert.Equal(mounts, Mounts(container));
        Assert.Equal("a file\n", container.Exec("cat", "/etc/alone"));
        log.MustGoOn();
    }

    [Fact]
    public void A_terminal_reaches_the_engine_by_its_console_socket()
    {
        using var container = new RuncContainer(
            CountedLog.Script(string.Empty), config => config["process"]!["terminal"] = true);
        string socket = Path.Combine(container.Space.Directory, "console");
        string file = Path.Combine(container.Space.Directory, "output");
        _ = container.Space.Start([Programs.Command("/usr/bin/python3"), Programs.Data("console.py"), socket], file);
        PidNamespace.Until(() => File.Exists(socket), "the socket is there");
        var log = new CountedLog(() => File.ReadAllText(file).Replace("\r", string.Empty, StringComparison.Ordinal));
        container.Start("--console-socket", socket);
        log.MustGoOn();
        container.Checkpoint();
        container.Restore("--console-socket", socket);
        log.MustGoOn();
        Assert.Equal("/dev/pts/0\n", container.Exec("ls", "/dev/pts/0"));
    }

    [Fact]
    public void A_person_at_the_terminal_goes_on_typing_over_ten_rounds()
    {
        using var container = new RuncContainer(
            "exec sh -i",
            config =>
            {
                config["process"]!["terminal"] = true;
                config["process"]!["env"]!.AsArray().Add("PS1=ready> ");
            });
        var person = new TerminalPerson(container.Space);
        container.Start("--console-socket", person.ConsoleSocket);
        person.Ask("n=0; busybox stty size", "30 90");
        for (int round = 1; round <= Rounds; round++)
        {
            // What is typed and not sent yet is there afterwards.
            person.Type("-l", "n=$((n+1)); echo round");
            PidNamespace.Until(() => person.Screen.Any(line => line.EndsWith("echo round", StringComparison.Ordinal)), "it is echoed");
            container.Checkpoint();
            Assert.Empty(container.Status);
            container.Restore("--console-socket", person.ConsoleSocket);
            person.Ask(" $n", $"round {round}");
        }

        person.Ask("busybox clear; busybox stty size", "30 90");

        // A program in the foreground; the keys that end it reach it after the restore.
        person.Ask("echo begins; sleep 1000; echo ended $?", "begins");
        container.Checkpoint();
        container.Restore("--console-socket", person.ConsoleSocket);
        person.Type("C-c");
        person.Ask("echo and on", "and on");
        Assert.DoesNotContain("1000", container.Exec("ps"), StringComparison.Ordinal);
    }

    [Fact]
    public void Firn_leaves_the_groups_of_the_container_that_it_restores()
    {
        string room = string.Empty;
        using var container = new RuncContainer(Counting, config =>
        {
            room = Path.Combine(Path.GetTempPath(), ((string)config["linux"]!["cgroupsPath"]!)[1..]);
            config["annotations"] = new JsonObject { ["org.criu.config"] = Path.Combine(room, "criu.conf") };
        });
        string script = Path.Combine(room, "script");
        File.WriteAllText(
            script,
            "#!/bin/sh\ncat /proc/$PPID/cgroup >> $0.firn\n"
                + "[ -z \"$CRTOOLS_INIT_PID\" ] || cat /proc/$CRTOOLS_INIT_PID/cgroup > $0.$CRTOOLS_SCRIPT_ACTION\n");
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        File.WriteAllText(Path.Combine(room, "criu.conf"), $"action-script {script}\n");
        container.Start();
        container.Log.MustGoOn();
        container.Checkpoint();
        File.Delete(script + ".firn");
        container.Restore();
        container.Log.MustGoOn();
        Assert.DoesNotContain(container.Name, File.ReadAllText(script + ".firn"), StringComparison.Ordinal);
        string[] groups = File.ReadAllLines(script + ".post-restore");
        Assert.Equal(File.ReadAllLines(container.Space.Proc(container.InitPid, "cgroup")), groups);
        Assert.All(groups, group => Assert.EndsWith("/" + container.Name, group, StringComparison.Ordinal));
    }

    [Fact]
    public void All_that_is_in_the_way_is_named_and_nothing_else()
    {
        const string Script = "busybox dd if=/dev/zero of=/tmp/big bs=1M count=3; exec 4< /tmp/big; busybox rm /tmp/big; "
            + "/bin/hold /tmp/lock sleep 100000 & ";
        using var container = new RuncContainer(Script + Counting, config =>
        {
            JsonArray mounts = config["mounts"]!.AsArray();
            mounts.Add((JsonNode)RuncContainer.Bind(Programs.Target("hold_lock"), "/bin/hold", "ro"));
            mounts.Add((JsonNode)RuncContainer.Bind("/usr", "/data", "ro"));
        });
        PidNamespace space = container.Space;
        container.Start();
        container.Log.MustGoOn();
        container.ExecDetached("sleep", "100001");
        string init = $"{container.InitPid}";
        int stranger = space.Pids.First(pid => File.ReadAllText(space.Proc(pid, "cmdline")) == "sleep\0100001\0");
        Outcome outcome = space.Firn("check", "--pid", init);
        Assert.Equal(1, outcome.Status);
        string[] named = [.. outcome.Output.Split('\n').Where(line => line.StartsWith("pid ", StringComparison.Ordinal))];
        string[] expected =
        [
            $"pid {stranger} pid namespace", $"pid {init} fd 4: /tmp/big (deleted)",
            $"pid {init} mount /bin/hold", $"pid {init} mount /data",
            "/tmp/lock: it holds a Flock lock",
        ];
        Assert.All(expected, text => Assert.Contains(named, line => line.Contains(text, StringComparison.Ordinal)));
        Assert.Equal(expected.Length, named.Length);
        container.Log.MustGoOn();

        // Each names what helps; with all of that, nothing is in the way any more.
        space.Kill(stranger, 9);
        PidNamespace.Until(() => !space.Pids.Contains(stranger), "it is gone");
        space.FirnMust(
            "dump", "-t", init, "-D", space.MakeDirectory("images"), "-R", "--root", container.RootFileSystem,
            "--ghost-limit", "3145728", "--file-locks", "--external", "mnt[/bin/hold]:hold", "--external", "mnt[/data]:data");
        container.Log.MustGoOn();
    }

    [Fact]
    public void What_is_refused_goes_on_unharmed()
    {
        using var container = new RuncContainer(Connected);
        container.Start();
        PidNamespace.Until(
            () => container.Log.Length > 0 && container.Exec("cat", "/proc/net/tcp").Contains(" 01 ", StringComparison.Ordinal),
            "it is connected");
        Outcome outcome = container.TryCheckpoint();
        Assert.NotEqual(0, outcome.Status);
        Assert.Contains("[tcp-established]", container.Said(), StringComparison.Ordinal);
        Assert.Equal("running", container.Status);
        Assert.Empty(Directory.GetFiles(container.Images, "*.img"));
        container.Log.MustGoOn();
    }

    [Theory]
    [InlineData("core-1.img")]
    [InlineData("pages-1.img")]
    [InlineData("mountpoints-*.img")]
    [InlineData("ids-1.img")]
    [InlineData("files.img")]
    public void Without_one_of_the_images_nothing_is_restored_and_with_it_all(string name)
    {
        using var container = new RuncContainer(Counting);
        container.Start();
        container.Log.MustGoOn();
        container.Checkpoint();
        string mounts = container.Space.Run("cat", "/proc/self/mountinfo").Output;
        string image = Assert.Single(Directory.GetFiles(container.Images, name));
        File.Move(image, image + ".away");
        Outcome outcome = container.TryRestore();
        Assert.NotEqual(0, outcome.Status);
        Assert.Contains(Path.GetFileName(image), container.Said(), StringComparison.Ordinal);
        container.Space.UntilEmpty();
        Assert.Equal(mounts, container.Space.Run("cat", "/proc/self/mountinfo").Output);
        Assert.Empty(container.Groups);
        File.Move(image + ".away", image);
        container.Restore();
        container.Log.MustGoOn();
    }

    private static string Look(RuncContainer container, string[] files) => container.Exec(["cat", .. files]);

    // Without the numbers, which are new in each mount namespace: root, place, options, type.
    private static string[] Mounts(RuncContainer container) => [
        .. container.Exec("cat", "/proc/1/mountinfo")
            .Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split(' '))
            .Select(fields => string.Join(' ', [.. fields[3..6], fields[Array.IndexOf(fields, "-") + 1]]))
            .Order(StringComparer.Ordinal)];
}
