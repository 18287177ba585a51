using Firn.Engine.Hooks;
using Firn.Engine.Tests.Containers;
using Firn.Engine.Tests.RoundTrip;
using Firn.Rpc.Messages;

namespace Firn.Rpc.Tests;

/// <summary>
/// A container whose dump or restore fails at each moment that there is, in each way in which somebody can say no, and in each phase: it
/// runs on as it was, or nothing of it is left. One container walks through all of them, so it must be unharmed each time.
/// </summary>
public sealed class FailureWalkTests
{
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
        using var walk = new FailureWalk();
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
            HookNames.NetworkUnlock,
            null,
            images => walk.Talk(images, walk.DumpRequest(init, leave: true), "--refuse", HookNames.NetworkUnlock));
        walk.Script("none");

        // Phases, from the first to the last.
        walk.MustRunOn("pre-dump", "/nowhere", _ => space.Firn([.. options, "-D", "/nowhere"]));
        int other = walk.Find("sleep\0100000");
        int tracer = space.Start([Programs.Command("/usr/bin/strace"), "-o", "/dev/null", "-p", $"{other}"]);
        PidNamespace.Until(
            () => !File.ReadAllText(space.Proc(other, "status")).Contains("TracerPid:\t0", StringComparison.Ordinal), "it is traced");
        walk.MustRunOn("freeze", "traced", images => space.Firn([.. options, "-D", images]));
        space.Kill(tracer, 2);
        _ = space.Wait(tracer);
        walk.MustRunOn("examine", "mount-external", images => space.Firn([.. Dump(init), "-D", images]));
        foreach (string size in (ReadOnlySpan<string>)["12k", "40k", "100k"])
        {
            walk.MustRunOn($"write {size}", "pace left on", images => space.Run(
            [
                "sh", "-c", $"mount -t tmpfs -o size={size} none {images} && {Programs.Firn} $*; s=$?; umount {images}; exit $s",
                "sh", .. options, "-D", images,
            ]));
        }

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
        using var walk = new FailureWalk();
        RuncContainer container = walk.Container;
        PidNamespace space = container.Space;
        container.Start();
        container.Log.MustGoOn();
        string images = space.MakeDirectory("images");
        space.FirnMust([
            .. Dump(container.InitPid), "-D", images, "--root", container.RootFileSystem,
            "--external", "mnt[/data]:data", "--manage-cgroups",
        ]);
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
        walk.MustLeaveNothing(
            "credentials",
            "EPERM",
            () => space.Run(["setpriv", "--bounding-set=-setpcap", "--inh-caps=-setpcap", Programs.Firn, .. options]));

        // What is said too late is written down, and the container is there. What it writes then it has not written the next time.
        string log = Path.Combine(container.RootFileSystem, "tmp/log");
        string written = File.ReadAllText(log);
        foreach (string moment in MomentsTooLate)
        {
            walk.Script(moment);
            Outcome outcome = space.Firn([.. options, .. walk.Scripted]);
            Assert.True(outcome.Status == 0, outcome.Error);
            container.Log.MustGoOn();
            walk.End();
            File.WriteAllText(log, written);
        }

        walk.MustBeRight();
    }

    [Fact]
    public void Nothing_of_a_container_of_runc_is_left_wherever_its_restore_fails()
    {
        using var walk = new FailureWalk();
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
        walk.MustBeRight();
    }

    [Fact]
    public void Nothing_is_left_when_no_one_takes_the_terminal()
    {
        using var walk = new FailureWalk(hasTerminal: true);
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
        walk.MustBeRight();
    }

    private static string[] Dump(int pid) => ["dump", "-t", $"{pid}"];
}
