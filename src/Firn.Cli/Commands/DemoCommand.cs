using System.Globalization;
using Firn.Cli.Talk;
using Firn.Engine;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Cli.Commands;

/// <summary>`firn demo`: starts a program of several processes and threads, checkpoints it, kills it, restores it, and shows that it goes on.</summary>
internal static class DemoCommand
{
    /// <summary>A shell that joins two children by a pipe: the worker counts, and a loop checks that no tick is lost.</summary>
    private const string Script = """
        "$0" demo-worker | while read -r tick counters; do
            [ "$tick" -eq $((last + 1)) ] || echo "LOST: $last is followed by $tick"
            last=$tick
            echo "tick $tick, threads have counted to $counters"
        done
        """;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    public static int Run(Invocation invocation)
    {
        string directory = Directory.CreateTempSubdirectory("firn-demo-").FullName;
        string output = Path.Combine(directory, "output");
        string images = Directory.CreateDirectory(Path.Combine(directory, "images")).FullName;
        using LogFile log = LogFile.Open(invocation);

        // So that what is killed and what is restored can be reaped here, wherever its parent went.
        Sys.Prctl(PrctlOption.PR_SET_CHILD_SUBREAPER, 1).OrThrow("prctl(PR_SET_CHILD_SUBREAPER)");
        int root = 0;
        try
        {
            root = StartProgram(output);
            int before = WaitForTicks(output, 10);
            Say($"1. Started a program: {Describe(root)}.");
            Say($"   It says: {LastLine(output)}");

            DumpResult dump = Checkpointer.Dump(new DumpOptions { Tree = root, ImagesDirectory = images }, log);
            Reap(root);
            before = Tick(LastLine(output));
            Say($"2. Checkpointed into {Account.Size(dump.ImageBytes)} of CRIU-format images, and killed it:");
            Table(dump.Phases);
            Say($"   It stood still for {Account.Milliseconds(dump.Stopped)}.");

            Thread.Sleep(500);
            Say($"3. Pid {root} is {(Alive(root) ? "still there" : "gone")}; the last thing it said: {LastLine(output)}");

            RestoreResult restore = Checkpointer.Restore(new RestoreOptions { ImagesDirectory = images, Detached = true }, log);
            root = restore.RootPid;
            Say("4. Restored:");
            Table(restore.Phases);
            int after = WaitForTicks(output, before + 10);
            Say($"5. It goes on: {Describe(root)}.");
            Say($"   It says: {LastLine(output)}");
            bool lost = File.ReadLines(output).Any(line => line.StartsWith("LOST", StringComparison.Ordinal));
            Say(lost
                ? "   But a tick was lost."
                : $"   {after - before} ticks since the checkpoint, and not one was lost or told twice.");
            return lost ? 1 : 0;
        }
        finally
        {
            End(root);
            Directory.Delete(directory, recursive: true);
        }
    }

    private static int StartProgram(string output)
    {
        string self = Sys.ReadLink("/proc/self/exe", out _) ?? Environment.ProcessPath!;
        using Fd none = Sys.Open("/dev/null", OpenFlags.O_RDWR);
        using Fd lines = Sys.Open(output, OpenFlags.O_WRONLY | OpenFlags.O_CREAT | OpenFlags.O_APPEND, 0x1A4);
        return Spawn.Start(
            ["/bin/bash", "-c", Script, self],
            ["PATH=/usr/local/bin:/usr/bin:/bin"],
            [(none.Number, 0), (lines.Number, 1), (lines.Number, 2)],
            newSession: true);
    }

    private static int WaitForTicks(string output, int number)
    {
        long start = Environment.TickCount64;
        while (true)
        {
            int tick = Tick(LastLine(output));
            if (tick >= number)
            {
                return tick;
            }

            if (Environment.TickCount64 - start > Patience.TotalMilliseconds)
            {
                throw new CheckpointException($"the program stands at tick {tick} and does not go on");
            }

            Thread.Sleep(20);
        }
    }

    private static string LastLine(string output) => File.ReadLines(output).LastOrDefault() ?? string.Empty;

    private static int Tick(string line)
        => line.Split(' ', ',') is ["tick", string number, ..] && int.TryParse(number, CultureInfo.InvariantCulture, out int tick) ? tick : 0;

    /// <summary>The processes below a pid, with their threads.</summary>
    private static string Describe(int root)
    {
        List<string> parts = [];
        foreach (int pid in Tree(root))
        {
            int threads = Directory.Exists($"/proc/{pid}/task") ? Directory.GetDirectories($"/proc/{pid}/task").Length : 0;
            string name = File.ReadAllText($"/proc/{pid}/comm").Trim();
            parts.Add($"{name} ({pid}{(threads > 1 ? $", {threads} threads" : string.Empty)})");
        }

        return string.Join(", ", parts);
    }

    private static IEnumerable<int> Tree(int pid)
    {
        yield return pid;
        string path = $"/proc/{pid}/task/{pid}/children";
        if (File.Exists(path))
        {
            foreach (string child in File.ReadAllText(path).Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                foreach (int below in Tree(int.Parse(child, CultureInfo.InvariantCulture)))
                {
                    yield return below;
                }
            }
        }
    }

    private static bool Alive(int pid) => !Sys.Kill(pid, Signal.None).IsError;

    /// <summary>Takes the exit statuses of all children that have ended, and waits for one of them.</summary>
    private static void Reap(int root)
    {
        long start = Environment.TickCount64;
        while (Alive(root) && Environment.TickCount64 - start < Patience.TotalMilliseconds)
        {
            if (Sys.Wait4(-1, out _, WaitOptions.__WALL | WaitOptions.WNOHANG).Raw <= 0)
            {
                Thread.Sleep(1);
            }
        }

        while (Sys.Wait4(-1, out _, WaitOptions.__WALL | WaitOptions.WNOHANG).Raw > 0)
        {
            // One zombie less.
        }
    }

    private static void End(int root)
    {
        if (root == 0)
        {
            return;
        }

        foreach (int pid in Tree(root).ToList())
        {
            _ = Sys.Kill(pid, Signal.SIGKILL);
        }

        Reap(root);
    }

    private static void Table(IReadOnlyList<PhaseTime> phases)
    {
        foreach (PhaseTime phase in phases)
        {
            Say($"   {phase.Name,-14}{Account.Milliseconds(phase.Duration),10}");
        }
    }

    private static void Say(string line) => Console.Out.WriteLine(line);
}
