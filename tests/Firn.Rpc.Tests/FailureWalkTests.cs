using System.Text.Json.Nodes;
using Firn.Engine.Hooks;
using Firn.Engine.Tests.Containers;
using Firn.Engine.Tests.RoundTrip;
using Firn.Rpc.Messages;
using Google.Protobuf;

namespace Firn.Rpc.Tests;

/// <summary>
/// A container whose dump or restore fails at each moment that there is, in each way in which somebody can say no, and in each phase: it
/// runs on as it was, or nothing of it is left. One container walks through all of them, so it must be unharmed each time.
/// </summary>
public sealed class FailureWalkTests
{
    // Two processes, a device, a file that stays open, and content in memory.
    private const string Start = "busybox ip link add left type veth peer name right; exec 3>> /tmp/held; echo here > /dev/shm/file; "
        + "sleep 100000 & ";

    private static readonly string[] DumpMoments = [HookNames.PreDump, HookNames.NetworkLock, HookNames.PostDump];
    private static readonly string[] RestoreMoments =
        [HookNames.PreRestore, HookNames.SetupNamespaces, HookNames.PostSetupNamespaces, HookNames.PostRestore];

    // From these there is no way back: what is said there is only written down.
    private static readonly string[] MomentsTooLate = [HookNames.NetworkUnlock, HookNames.PreResume, HookNames.PostResume];

    [Fact]
    public void Each_moment_is_walked()
    {
        string[] notifications = [HookNames.QueryExternalFiles, HookNames.OrphanTerminalMaster];
        Assert.Equal(
            typeof(HookNames).GetFields().Select(field => (string)field.GetRawConstantValue()!).Order(),
            ((string[])[.. DumpMoments, .. RestoreMoments, .. MomentsTooLate, .. notifications]).Order());
    }

    [Fact]
    public void A_container_runs_on_wherever_its_dump_fails()
    {
        using var walk = new Walk();
        RuncContainer container = walk.Container;
        PidNamespace space = container.Space;
        container.Start();
        container.Log.MustGoOn();
        int init = container.InitPid;
        string[] options = [.. Dump(init), "--root", container.RootFileSystem, "--external", "mnt[/data]:data", "--manage-cgroups=full"];

        // The one that must get through by itself comes first: without it all others would be of no use.
        walk.MustRunOn("nothing", null, images => space.Firn([.. options, "-D", images, "-R"]));
        foreach (string moment in DumpMoments)
        {
            walk.Script(moment);
            walk.MustRunOn(moment, "exited with status 7", images => space.Firn([.. options, "-D", images, .. walk.Scripted]));
            walk.MustRunOn(moment, "exited with status 7", images => space.Firn([.. options, "-D", images, "-R", .. walk.Scripted]));
            walk.MustRunOn(moment, "exited with status 7", _ => container.TryCheckpoint());
            Assert.Empty(Directory.GetFiles(container.Images, "*.img"));
        }

        foreach (string moment in (ReadOnlySpan<string>)[.. DumpMoments, HookNames.QueryExternalFiles])
        {
            foreach (string how in (ReadOnlySpan<string>)["--refuse", "--vanish"])
            {
                walk.MustRunOn($"{how} {moment}", moment, images => walk.Talk(images, walk.DumpRequest(init), how, moment));
            }
        }

        walk.Script(HookNames.NetworkUnlock);
        walk.MustRunOn(HookNames.NetworkUnlock, null, images => space.Firn([.. options, "-D", images, "-R", .. walk.Scripted]));
        walk.MustRunOn(
            HookNames.NetworkUnlock, null, images => walk.Talk(images, walk.DumpRequest(init, leave: true), "--refuse", HookNames.NetworkUnlock));
        walk.Script("none");

        // Phases, from the first to the last.
        walk.MustRunOn("pre-dump", "/nowhere", _ => space.Firn([.. options, "-D", "/nowhere"]));
        int other = space.Pids.First(pid => File.ReadAllText(space.Proc(pid, "cmdline")).StartsWith("sleep\0100000", StringComparison.Ordinal));
        int tracer = space.Start([Programs.Command("/usr/bin/strace"), "-o", "/dev/null", "-p", $"{other}"]);
        PidNamespace.Until(
            () => !File.ReadAllText(space.Proc(other, "status")).Contains("TracerPid:\t0", StringComparison.Ordinal), "it is traced");
        walk.MustRunOn("freeze", "traced", images => space.Firn([.. options, "-D", images]));
        space.Kill(tracer, 2);
        _ = space.Wait(tracer);
        walk.MustRunOn("examine", "mount-external", images => space.Firn([.. Dump(init), "-D", images]));
        walk.MustRunOn("write", "ENOSPC", images => space.Run(
            "sh", "-c", $"mount -t tmpfs -o size=40k none {images} && {Programs.Firn} $*; s=$?; umount {images}; exit $s",
            "sh", .. options, "-D", images));
        walk.MustRunOn("commit", "inventory", images =>
        {
            _ = Directory.CreateDirectory(Path.Combine(images, "inventory.img", "of-another"));
            Outcome outcome = space.Firn([.. options, "-D", images]);
            Directory.Delete(Path.Combine(images, "inventory.img"), recursive: true);
            return outcome;
        });

        // Unharmed by all of it, it can still be saved.
        container.Checkpoint();
        container.Restore();
        container.Log.MustGoOn();
    }

    [Fact]
    public void Nothing_of_a_container_is_left_wherever_its_restore_fails()
    {
        using var walk = new Walk();
        RuncContainer container = walk.Container;
        PidNamespace space = container.Space;
        container.Start();
        container.Log.MustGoOn();
        string images = space.MakeDirectory("images");
        space.FirnMust(
            [.. Dump(container.InitPid), "-D", images, "--root", container.RootFileSystem, "--external", "mnt[/data]:data", "--manage-cgroups"]);
        container.Command("delete");
        string[] where = ["restore", "-d", "-D", images, "--root", container.RootFileSystem];
        string[] options = [.. where, "--manage-cgroups", "--external", $"mnt[data]:{walk.Data}"];
        walk.Begin();
        foreach (string moment in RestoreMoments)
        {
            walk.Script(moment);
            walk.MustLeaveNothing(moment, "exited with status 7", () => space.Firn([.. options, .. walk.Scripted]));
            foreach (string how in (ReadOnlySpan<string>)["--refuse", "--vanish"])
            {
                walk.MustLeaveNothing($"{how} {moment}", moment, () => walk.Talk(images, walk.RestoreRequest(), how, moment));
            }
        }

        walk.Script("none");

        // Phases, from the first to the last.
        string core = Path.Combine(images, "core-1.img");
        File.Move(core, core + ".away");
        walk.MustLeaveNothing("prepare", "core-1.img", () => space.Firn(options));
        File.Move(core + ".away", core);
        walk.MustLeaveNothing(
            "namespaces", "/nowhere", () => space.Firn([.. where, "--manage-cgroups", "--external", "mnt[data]:/nowhere"]));
        string held = Path.Combine(container.RootFileSystem, "tmp/held");
        File.Move(held, held + ".away");
        walk.MustLeaveNothing("files", "/tmp/held", () => space.Firn(options));
        File.Move(held + ".away", held);
        walk.InGroup("pids", "pids.max", "1", () => walk.MustLeaveNothing("forking", "EAGAIN", () => space.Firn(options), inGroup: true));
        walk.InGroup(
            "pids", "pids.max", "max",
            () => walk.MustLeaveNothing("cgroups", "strict", () => space.Firn([.. options, "--manage-cgroups=strict"]), inGroup: true));
        walk.MustLeaveNothing("tasks", "limit", () => space.Run(
            [
                "prlimit", "--nproc=1000:1000", "setpriv", "--bounding-set", "-sys_resource", "--inh-caps", "-sys_resource",
                Programs.Firn, .. options,
            ]));

        // What is said too late is written down, and the container is there.
        foreach (string moment in MomentsTooLate)
        {
            walk.Script(moment);
            Outcome outcome = space.Firn([.. options, .. walk.Scripted]);
            Assert.True(outcome.Status == 0, outcome.Error);
            container.Log.MustGoOn();
            walk.End();
        }

        Assert.Empty(walk.Wrong);
    }

    [Fact]
    public void Nothing_of_a_container_of_runc_is_left_wherever_its_restore_fails()
    {
        using var walk = new Walk();
        RuncContainer container = walk.Container;
        container.Start();
        container.Log.MustGoOn();
        container.Checkpoint();
        walk.Begin();
        foreach (string moment in RestoreMoments)
        {
            walk.Script(moment);
            walk.MustLeaveNothing(moment, "exited with status 7", () => container.TryRestore());
            Assert.Empty(container.Status);
        }

        walk.Script("none");
        container.Restore();
        container.Log.MustGoOn();
        Assert.Empty(walk.Wrong);
    }

    [Fact]
    public void Nothing_is_left_when_no_one_takes_the_terminal()
    {
        using var walk = new Walk(hasTerminal: true);
        RuncContainer container = walk.Container;
        string socket = Path.Combine(container.Space.Directory, "console");
        int taker = container.Space.Start([Programs.Command("/usr/bin/python3"), Programs.Data("console.py"), socket]);
        PidNamespace.Until(() => File.Exists(socket), "the socket is there");
        container.Start("--console-socket", socket);
        container.Log.MustGoOn();
        string images = container.Space.MakeDirectory("images");
        Request dump = walk.DumpRequest(container.InitPid);
        dump.Opts.OrphanPtsMaster = true;
        Outcome dumped = walk.Talk(images, dump, "--refuse", "nothing");
        Assert.True(dumped.Status == 0, dumped.Error);
        container.Command("delete");
        container.Space.Kill(taker, 9);
        _ = container.Space.Wait(taker);
        walk.Begin();
        Request restore = walk.RestoreRequest();
        restore.Opts.OrphanPtsMaster = true;
        foreach (string how in (ReadOnlySpan<string>)["--refuse", "--vanish"])
        {
            walk.MustLeaveNothing(
                how, HookNames.OrphanTerminalMaster, () => walk.Talk(images, restore, how, HookNames.OrphanTerminalMaster));
        }

        Outcome outcome = walk.Talk(images, restore, "--refuse", "nothing");
        Assert.True(outcome.Status == 0, outcome.Error);
        container.Log.MustGoOn();
        Assert.Empty(walk.Wrong);
    }

    private static string[] Dump(int pid) => ["dump", "-t", $"{pid}"];

    // The container, and what is looked at before and after each failure.
    private sealed class Walk : IDisposable
    {
        private readonly string script;
        private readonly string failing;
        private string before = string.Empty;
        private int count;

        public Walk(bool hasTerminal = false)
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

        public List<string> Wrong { get; } = [];

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
                Wrong.Add($"{what}: {exception.Message}");
            }

            string now = LookAt(init);
            if (was != now)
            {
                Wrong.Add($"{what}: it was\n{was}\nand is\n{now}");
            }

            if (said is not null && Directory.EnumerateFileSystemEntries(images, "*.img").Any())
            {
                Wrong.Add($"{what}: images are left");
            }

            Assert.Empty(Wrong);
        }

        public void Begin() => before = LookAround();

        public void MustLeaveNothing(string what, string said, Func<Outcome> fail, bool inGroup = false)
        {
            Judge(what, said, fail(), Path.Combine(Space.Directory, "images"));
            PidNamespace.Until(() => Space.Pids.Count == 0, $"{what}: no process is left");
            string now = LookAround();
            if (before != now || (!inGroup && Container.Groups.Count > 0))
            {
                Wrong.Add($"{what}: there was\n{before}\nand is\n{now}\n{string.Join('\n', Container.Groups)}");
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
            int init = Space.Pids.First(pid => File.ReadAllText(Space.Proc(pid, "cmdline")).StartsWith("sh\0-c", StringComparison.Ordinal));
            Space.Kill(init, 9);
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
            string log = Path.Combine(images, "log");
            string said = File.Exists(log) ? File.ReadAllText(log) : string.Empty;
            File.Delete(log);
            bool isWell = outcome.Output.EndsWith("end 0\n", StringComparison.Ordinal)
                || outcome.Output.Contains("\nend 0\nchild", StringComparison.Ordinal);

            // Whoever went away in the midst of it has no word on how it ended: that is all over when all of its processes are gone.
            if (how == "--vanish")
            {
                PidNamespace.Until(
                    () => !Space.Pids.Any(pid => CommandOf(pid).Contains("swrk", StringComparison.Ordinal)), "firn is gone");
                said = File.Exists(log) ? File.ReadAllText(log) : said;
                File.Delete(log);
            }

            return new Outcome(isWell ? 0 : 1, outcome.Output, said + outcome.Error, outcome.Duration);
        }

        public Request DumpRequest(int pid, bool leave = false) => Asking(
            RequestType.Dump, new Opts { Pid = pid, LeaveRunning = leave, ExtMnt = { new MountMap { Key = "/data", Val = "data" } } });

        public Request RestoreRequest() => Asking(
            RequestType.Restore, new Opts { ExtMnt = { new MountMap { Key = "data", Val = Data } } });

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
                Wrong.Add($"{what}: status {outcome.Status}, and instead of `{said}` it said\n{all}");
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
                + string.Join(
                    '\n', File.ReadLines("/proc/net/dev").Select(line => line.Split(':')[0].Trim()).Where(name => name is "left" or "right"));
    }
}
