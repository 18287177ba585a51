using System.Globalization;
using Firn.Cli.Talk;
using Firn.Engine;

namespace Firn.Cli.Commands;

/// <summary>
/// `firn demo`: starts a program of several processes and threads, checkpoints it, kills it, restores it, and shows that it goes on.
/// </summary>
/// <remarks>
/// It ends with 0 only if the very same processes went on from where they were; nothing of it is left behind, whichever way it ends.
/// </remarks>
internal static class DemoCommand
{
    private const int TicksToSee = 10;

    public static int Run(Invocation invocation)
    {
        using LogFile log = LogFile.Open(invocation);
        using var program = new DemoProgram();
        var stage = new DemoStage();

        stage.Title("1", "A program is started: a shell with two children joined by a pipe, one of them with threads");
        program.Start();
        _ = program.WaitForTick(TicksToSee, stage.Watch);
        DemoFacts before = program.Look();
        stage.Processes(before);
        stage.Says(program.LastLine);

        stage.Title("2", "It is checkpointed: frozen, saved and killed");
        DumpResult dump = Checkpointer.Dump(new DumpOptions { Tree = program.Root, ImagesDirectory = program.Images }, log);
        program.WaitUntilGone();
        int last = program.LastTick;
        stage.Phases(dump.Phases);
        stage.Line($"It stood still for {Account.Milliseconds(dump.Stopped)}; {Account.Size(dump.ImageBytes)} of images in CRIU's format.");

        stage.Title("3", "It is gone");
        Thread.Sleep(500);
        program.MustBeSilentSince(last);
        stage.Line($"No process of it is left, and for half a second nothing was said after tick {last}.");

        stage.Title("4", "It is restored from the images");
        RestoreResult restore = Checkpointer.Restore(new RestoreOptions { ImagesDirectory = program.Images, Detached = true }, log);
        stage.Phases(restore.Phases);

        stage.Title("5", "It goes on");
        int now = program.WaitForTick(last + TicksToSee, stage.Watch);
        DemoFacts after = program.Look();
        stage.Processes(after);
        stage.Says(program.LastLine);
        program.MustHaveGoneOn(before, after);
        stage.Verdict(string.Create(
            CultureInfo.InvariantCulture,
            $"The same pids, the same threads, {now - last} ticks since the checkpoint: none was lost, none told twice."));
        return 0;
    }
}
