using System.Globalization;
using System.Runtime.InteropServices;
using Firn.Engine;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Cli.Commands;

/// <summary>A process as seen from outside.</summary>
internal sealed record DemoProcess(int Pid, string Name, int Threads);

/// <summary>What the program is at a moment: its processes, and how far its threads have counted.</summary>
internal sealed record DemoFacts(IReadOnlyList<DemoProcess> Processes, IReadOnlyList<long> Counters);

/// <summary>The program that the demo checkpoints, its directory, and its end.</summary>
internal sealed class DemoProgram : IDisposable
{
    /// <summary>A shell that joins two children by a pipe: the worker counts, and a loop checks that no tick is lost.</summary>
    private const string Script = """
        "$0" demo-worker | while read -r tick counters; do
            [ "$tick" -eq $((last + 1)) ] || echo "LOST: $last is followed by $tick"
            last=$tick
            echo "tick $tick, its threads have counted to $counters"
        done
        """;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly string directory = Directory.CreateTempSubdirectory("firn-demo-").FullName;
    private readonly string output;
    private readonly List<PosixSignalRegistration> signals = [];
    private volatile bool isInterrupted;
    private HashSet<int> foreign = [];

    /// <summary>Makes the directory, and has interruptions end the demo in good order.</summary>
    public DemoProgram()
    {
        output = Path.Combine(directory, "output");
        Images = Directory.CreateDirectory(Path.Combine(directory, "images")).FullName;
        foreach (PosixSignal signal in (PosixSignal[])[PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT])
        {
            signals.Add(PosixSignalRegistration.Create(signal, context => context.Cancel = isInterrupted = true));
        }
    }

    /// <summary>The images directory.</summary>
    public string Images { get; }

    /// <summary>The pid of the shell, before and after.</summary>
    public int Root { get; private set; }

    /// <summary>The last whole line that the program has written.</summary>
    public string LastLine
    {
        get
        {
            string text = File.Exists(output) ? File.ReadAllText(output) : string.Empty;
            int end = text.LastIndexOf('\n');
            return end < 0 ? string.Empty : text[(text.LastIndexOf('\n', Math.Max(0, end - 1)) + 1)..end];
        }
    }

    /// <summary>The number in it.</summary>
    public int LastTick => Tick(LastLine);

    /// <summary>Starts it, with nothing of the caller's but /dev/null and a file for its lines.</summary>
    public void Start()
    {
        // What is killed and what is restored is reaped here, wherever its parent went: pid 1 may take its time, and hold the pids
        // meanwhile.
        Sys.Prctl(PrctlOption.PR_SET_CHILD_SUBREAPER, 1).OrThrow("prctl(PR_SET_CHILD_SUBREAPER)");

        // A descriptor that the caller forgot to close would be a pipe to outside of the tree.
        Sys.CloseOnExec(3, int.MaxValue).OrThrow("close_range");
        foreign = [.. Children(Sys.GetPid())];
        string self = Sys.ReadLink("/proc/self/exe", out _) ?? Environment.ProcessPath!;
        using Fd none = Sys.Open("/dev/null", OpenFlags.O_RDWR);
        using Fd lines = Sys.Open(output, OpenFlags.O_WRONLY | OpenFlags.O_CREAT | OpenFlags.O_APPEND, 0x1A4);
        Root = Spawn.Start(
            ["/bin/bash", "-c", Script, self],
            ["PATH=/usr/local/bin:/usr/bin:/bin"],
            [(none.Number, 0), (lines.Number, 1), (lines.Number, 2)],
            newSession: true);
    }

    /// <summary>Waits until it has said a tick, and shows its lines meanwhile.</summary>
    /// <exception cref="CheckpointException">It does not go on.</exception>
    public int WaitForTick(int number, Action<string> show)
    {
        long start = Environment.TickCount64;
        while (true)
        {
            string line = LastLine;
            int tick = Tick(line);
            if (line.Length > 0)
            {
                show(line);
            }

            if (tick >= number)
            {
                return tick;
            }

            if (isInterrupted)
            {
                throw new CheckpointException("interrupted; the program was ended, and nothing is left");
            }

            if (IsEnded())
            {
                throw new CheckpointException($"the program ended after tick {tick}; the last that it wrote: {line}");
            }

            if (Environment.TickCount64 - start > Patience.TotalMilliseconds)
            {
                throw new CheckpointException($"the program stands at tick {tick} and does not go on");
            }

            Thread.Sleep(20);
        }
    }

    /// <summary>Looks at it from outside.</summary>
    public DemoFacts Look()
    {
        List<DemoProcess> processes = [];
        foreach (int pid in Tree(Root))
        {
            processes.Add(new(pid, File.ReadAllText($"/proc/{pid}/comm").Trim(), Directory.GetDirectories($"/proc/{pid}/task").Length));
        }

        long[] counters = [.. LastLine.Split(' ')
            .Skip(2)
            .Where(word => char.IsAsciiDigit(word[0]))
            .Select(word => long.Parse(word, CultureInfo.InvariantCulture))];
        return new(processes, counters);
    }

    /// <summary>Waits until all of its processes are ended and reaped.</summary>
    /// <exception cref="CheckpointException">One is still there.</exception>
    public void WaitUntilGone()
    {
        long start = Environment.TickCount64;
        while (Mine() is { Count: > 0 } rest)
        {
            if (Environment.TickCount64 - start > Patience.TotalMilliseconds)
            {
                throw new CheckpointException($"the program was killed, and still something of it is there: pid {rest[0]}");
            }

            rest.ForEach(pid => _ = Sys.Wait4(pid, out _, WaitOptions.__WALL | WaitOptions.WNOHANG));
            Thread.Sleep(1);
        }
    }

    /// <exception cref="CheckpointException">Somebody has written a tick meanwhile.</exception>
    public void MustBeSilentSince(int tick)
    {
        if (LastTick != tick || Directory.Exists($"/proc/{Root}"))
        {
            throw new CheckpointException($"the program was to be gone after tick {tick}, and it was heard of since");
        }
    }

    /// <exception cref="CheckpointException">It is not what it was before, gone on.</exception>
    public void MustHaveGoneOn(DemoFacts before, DemoFacts after)
    {
        if (!after.Processes.SequenceEqual(before.Processes))
        {
            throw new CheckpointException("the program goes on, but its processes are not what they were");
        }

        // After so many ticks every counter has grown by some hundreds.
        if (after.Counters.Count != before.Counters.Count || after.Counters.Zip(before.Counters).Any(pair => pair.First <= pair.Second))
        {
            throw new CheckpointException("the program goes on, but not each of its threads counts");
        }

        if (File.ReadLines(output).FirstOrDefault(line => !line.StartsWith("tick ", StringComparison.Ordinal)) is { } lost)
        {
            throw new CheckpointException($"the program goes on, but not from where it was: {lost}");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            if (Root != 0)
            {
                Kill();
            }
        }
        finally
        {
            signals.ForEach(signal => signal.Dispose());
            Directory.Delete(directory, recursive: true);
        }
    }

    private void Kill()
    {
        while (Mine() is { Count: > 0 } rest)
        {
            rest.ForEach(pid => _ = Sys.Kill(pid, Signal.SIGKILL));
            rest.ForEach(pid => _ = Sys.Wait4(pid, out _, WaitOptions.__WALL | WaitOptions.WNOHANG));
            Thread.Sleep(1);
        }
    }

    /// <summary>All processes of the program, zombies too: as a subreaper this process gets those whose parent dies first.</summary>
    private List<int> Mine() => [.. Children(Sys.GetPid()).Where(pid => !foreign.Contains(pid)).SelectMany(Tree)];

    private bool IsEnded()
    {
        SysResult result = Sys.Wait4(Root, out _, WaitOptions.__WALL | WaitOptions.WNOHANG);
        return result.Errno == Errno.ECHILD || result is { IsError: false, Int32: > 0 };
    }

    private static int Tick(string line)
        => line.Split(' ', ',') is ["tick", string number, ..] && int.TryParse(number, CultureInfo.InvariantCulture, out int tick)
            ? tick
            : 0;

    private static IEnumerable<int> Tree(int pid)
    {
        yield return pid;
        foreach (int child in Children(pid))
        {
            foreach (int below in Tree(child))
            {
                yield return below;
            }
        }
    }

    /// <summary>The children of all threads of a process; none if it is gone.</summary>
    private static List<int> Children(int pid)
    {
        List<int> children = [];
        try
        {
            foreach (string task in Directory.GetDirectories($"/proc/{pid}/task"))
            {
                string[] words = File.ReadAllText($"{task}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries);
                children.AddRange(words.Select(word => int.Parse(word, CultureInfo.InvariantCulture)));
            }
        }
        catch (IOException)
        {
            // It ended just now.
        }

        return children;
    }
}
