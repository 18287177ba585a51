using System.Text.Json.Nodes;
using Firn.Engine.Tests.Containers;
using Firn.Engine.Tests.RoundTrip;
using Firn.Rpc.Messages;
using Google.Protobuf;

namespace Firn.Rpc.Tests;

/// <summary>A container of runc whose dumps and restores fail, and what is looked at before and after each failure.</summary>
internal sealed class FailureWalk : IDisposable
{
    // Two processes, a device, a file that stays open, and content in memory.
    private const string Start = "busybox ip link add left type veth peer name right; exec 3>> /tmp/held; echo here > /dev/shm/file; "
        + "sleep 100000 & ";

    private readonly string script;
    private readonly string failing;
    private readonly List<string> wrong = [];
    private string before = string.Empty;
    private int count;

    public FailureWalk(bool hasTerminal = false)
    {
        string configuration = string.Empty;
        string data = string.Empty;
        Container = new RuncContainer(Start + CountedLog.Script(">> /tmp/log"), config =>
        {
            string room = Path.Combine(Path.GetTempPath(), ((string)config["linux"]!["cgroupsPath"]!)[1..]);
            data = Directory.CreateDirectory(Path.Combine(room, "data")).FullName;
            configuration = Path.Combine(room, "criu.conf");
            config["process"]!["terminal"] = hasTerminal;
            config["mounts"]!.AsArray().Add((JsonNode)RuncContainer.Bind(data, "/data", "rw"));
            config["annotations"] = new JsonObject { ["org.criu.config"] = configuration };
            foreach (string set in (ReadOnlySpan<string>)["bounding", "effective", "permitted"])
            {
                config["process"]!["capabilities"]![set]!.AsArray().Add("CAP_NET_ADMIN");
            }
        });
        Data = data;
        script = Path.Combine(Container.Space.Directory, "script");
        failing = script + ".failing";
        File.WriteAllText(script, $"#!/bin/sh\n[ \"$CRTOOLS_SCRIPT_ACTION\" != \"$(cat {failing})\" ] || exit 7\n");
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        File.WriteAllText(configuration, $"action-script {script}\n");
        Script("none");
    }

    public RuncContainer Container { get; }

    public string Data { get; }

    public string[] Scripted => ["--action-script", script];

    private PidNamespace Space => Container.Space;

    /// <summary>The script fails at a moment from now on.</summary>
    public void Script(string moment) => File.WriteAllText(failing, moment);

    public void MustRunOn(string what, string? said, Func<string, Outcome> fail)
    {
        string images = Space.MakeDirectory($"try-{++count}");
        int init = Container.InitPid;
        string was = LookAt(init);
        Outcome outcome = fail(images);
        Judge(what, said, outcome, images);
        try
        {
            Container.Log.MustGoOn();
        }
        catch (TimeoutException exception)
        {
            wrong.Add($"{what}: {exception.Message}");
        }

        string now = LookAt(init);
        if (was != now)
        {
            wrong.Add($"{what}: it was\n{was}\nand is\n{now}");
        }

        if (said is not null && Directory.EnumerateFileSystemEntries(images, "*.img").Any())
        {
            wrong.Add($"{what}: images are left");
        }

        MustBeRight();
    }

    /// <summary>Fails the test with all that was wrong.</summary>
    public void MustBeRight() => Assert.True(wrong.Count == 0, string.Join('\n', wrong));

    public void Begin() => before = LookAround();

    public void MustLeaveNothing(string what, string said, Func<Outcome> fail, bool inGroup = false)
    {
        Judge(what, said, fail(), Path.Combine(Space.Directory, "images"));
        PidNamespace.Until(() => Space.Pids.Count == 0, $"{what}: no process is left");
        string now = LookAround();
        if (before != now || (!inGroup && Container.Groups.Count > 0))
        {
            wrong.Add($"{what}: there was\n{before}\nand is\n{now}\n{string.Join('\n', Container.Groups)}");
        }
    }

    /// <summary>Does something while the container's group is there and has a limit.</summary>
    public void InGroup(string hierarchy, string file, string value, Action work)
    {
        string group = Path.Combine("/sys/fs/cgroup", hierarchy, Container.Name);
        if (!Directory.Exists(Path.GetDirectoryName(group)))
        {
            return;
        }

        _ = Directory.CreateDirectory(group);
        try
        {
            File.WriteAllText(Path.Combine(group, file), value);
            work();
            Assert.Equal([group], Container.Groups);
        }
        finally
        {
            Directory.Delete(group);
        }
    }

    /// <summary>Ends what was restored.</summary>
    public void End()
    {
        Space.Kill(Find("sh\0-c"), 9);
        Space.UntilEmpty();
        foreach (string group in Container.Groups)
        {
            PidNamespace.Until(() => File.ReadAllText(Path.Combine(group, "cgroup.procs")).Length == 0, "its group is empty");
            Directory.Delete(group);
        }
    }

    public Outcome Talk(string images, Request request, string how, string moment)
    {
        string file = Path.Combine(Space.Directory, $"request-{++count}");
        File.WriteAllText(file, Convert.ToHexStringLower(request.ToByteArray()));
        Outcome outcome = Space.Run(
            Programs.Target("rpc_peer"), how, moment, "--dir", images, Programs.Firn, "@" + file);
        bool isWell = outcome.Output.EndsWith("end 0\n", StringComparison.Ordinal)
            || outcome.Output.Contains("\nend 0\nchild", StringComparison.Ordinal);
        if (how == "--vanish")
        {
            // Whoever went away in the midst of it has no word on how it ended: it has when Firn is gone.
            PidNamespace.Until(
                () => !Space.Pids.Any(pid => CommandOf(pid).Contains("swrk", StringComparison.Ordinal)), "firn is gone");
        }

        string log = Path.Combine(images, "log");
        string said = File.Exists(log) ? File.ReadAllText(log) : string.Empty;
        File.Delete(log);
        return new Outcome(isWell ? 0 : 1, outcome.Output, said + outcome.Error, outcome.Duration);
    }

    public Request DumpRequest(int pid, bool leave = false) => Asking(
        RequestType.Dump, new Opts { Pid = pid, LeaveRunning = leave, ExtMnt = { new MountMap { Key = "/data", Val = "data" } } });

    public Request RestoreRequest() => Asking(
        RequestType.Restore, new Opts { ExtMnt = { new MountMap { Key = "data", Val = Data } } });

    /// <summary>The process whose command line begins so.</summary>
    public int Find(string command) => Space.Pids.First(pid => CommandOf(pid).StartsWith(command, StringComparison.Ordinal));

    public void Dispose() => Container.Dispose();

    private Request Asking(RequestType type, Opts opts)
    {
        opts.ImagesDirFd = 5;
        opts.WorkDirFd = 5;
        opts.LogFile = "log";
        opts.LogLevel = 4;
        opts.NotifyScripts = true;
        opts.Root = Container.RootFileSystem;
        opts.ManageCgroups = true;
        opts.ManageCgroupsMode = CgroupMode.Full;
        return new Request { Type = type, Opts = opts };
    }

    private void Judge(string what, string? said, Outcome outcome, string images)
    {
        string all = outcome.Output + outcome.Error + Container.Said()
            + string.Concat(Directory.Exists(images) ? Directory.GetFiles(images, "*.log").Select(File.ReadAllText) : []);
        if (outcome.Status == 0 != said is null || (said is not null && !all.Contains(said, StringComparison.Ordinal)))
        {
            wrong.Add($"{what}: status {outcome.Status}, and instead of `{said}` it said\n{all}");
        }
    }

    private string CommandOf(int pid)
    {
        try
        {
            return File.ReadAllText(Space.Proc(pid, "cmdline"));
        }
        catch (IOException)
        {
            return string.Empty;
        }
    }

    // All of a container that a dump might leave traces in; what runs and ends by itself all the time left out.
    private string LookAt(int init)
    {
        string[] files = Directory.GetFiles(Space.Proc(init, "fd"));
        return string.Join(
            '\n',
            [
                Container.Status,
                .. File.ReadLines(Space.Proc(init, "status"))
                    .Where(line => line.StartsWith("TracerPid", StringComparison.Ordinal)
                        || line.StartsWith("SigBlk", StringComparison.Ordinal)),
                File.ReadAllText(Space.Proc(init, "maps")),
                .. files.Select(file => Path.GetFileName(file)).Where(name => int.Parse(name, null) <= 3).Order(),
                LookAround(),
                .. Container.Groups.Select(group => $"{group}: {string.Join(' ', Directory.GetDirectories(group))}"),
            ]);
    }

    private string LookAround()
        => Space.Run("cat", "/proc/self/mountinfo").Output
            + string.Concat(File.ReadLines("/proc/net/dev").Where(line => line.Split(':')[0].Trim() is "left" or "right"));
}
