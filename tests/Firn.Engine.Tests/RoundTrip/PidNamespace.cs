using System.Diagnostics;
using System.Globalization;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>What a program that was run to its end gave.</summary>
public sealed record Outcome(int Status, string Output, string Error, TimeSpan Duration);

/// <summary>
/// A pid namespace of its own, with `launcher` as its first process: targets and Firn run in it side by side, no other process takes a pid,
/// and zombies are reaped at once. Disposing of it ends all that is in it.
/// </summary>
public sealed class PidNamespace : IDisposable
{
    /// <summary>Long enough for a loaded machine: only there so that a test fails instead of hanging.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    private const char Separator = '\x1f';
    private readonly Process launcher;
    private readonly int init;
    private int runs;

    public PidNamespace()
    {
        Directory = System.IO.Directory.CreateTempSubdirectory("firn-test-").FullName;

        // A target that gives up its privileges still has to reach its own directory in it.
        File.SetUnixFileMode(
            Directory,
            UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
                | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        launcher = Process.Start(new ProcessStartInfo(Programs.Target("launcher"))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            UseShellExecute = false,
        })!;
        string[] answer = Answer();
        if (answer is not ["init", _])
        {
            throw Programs.Skipped($"no pid namespace can be made here: {string.Join(' ', answer)}");
        }

        init = int.Parse(answer[1], CultureInfo.InvariantCulture);
    }

    /// <summary>A directory that is removed at the end.</summary>
    public string Directory { get; }

    /// <summary>All pids in the namespace but the launcher's.</summary>
    public IReadOnlyList<int> Pids => [.. System.IO.Directory.EnumerateDirectories($"/proc/{init}/root/proc")
        .Select(path => int.TryParse(Path.GetFileName(path), out int pid) ? pid : 1)
        .Where(pid => pid != 1)
        .Order()];

    /// <summary>Makes a directory below <see cref="Directory"/>.</summary>
    public string MakeDirectory(string name) => System.IO.Directory.CreateDirectory(Path.Combine(Directory, name)).FullName;

    /// <summary>A file of /proc as the namespace sees it.</summary>
    public string Proc(int pid, string name) => $"/proc/{init}/root/proc/{pid}/{name}";

    /// <summary>Starts a program in a session of its own, with nothing but standard streams.</summary>
    public int Start(IEnumerable<string> command, string output = "/dev/null")
    {
        string[] answer = Ask(["start", "s", "/dev/null", output, output, .. command]);
        return answer is ["pid", string pid]
            ? int.Parse(pid, CultureInfo.InvariantCulture)
            : throw new InvalidOperationException(string.Join(' ', answer));
    }

    /// <summary>Runs a program to its end.</summary>
    public Outcome Run(params string[] command)
    {
        string name = Path.Combine(Directory, $"run-{++runs}");
        string[] started = Ask(["start", "s", "/dev/null", $"{name}.out", $"{name}.err", .. command]);
        (int status, TimeSpan duration) = Wait(int.Parse(started[1], CultureInfo.InvariantCulture));
        return new Outcome(status, File.ReadAllText($"{name}.out"), File.ReadAllText($"{name}.err"), duration);
    }

    /// <summary>Runs Firn to its end.</summary>
    public Outcome Firn(params string[] arguments) => Run([Programs.Firn, .. arguments]);

    /// <summary>Runs Firn and fails the test, with what it said, unless it ends well.</summary>
    public Outcome FirnMust(params string[] arguments)
    {
        Outcome outcome = Firn(arguments);
        return outcome.Status == 0
            ? outcome
            : throw new InvalidOperationException($"firn {string.Join(' ', arguments)}: status {outcome.Status}\n{outcome.Error}");
    }

    /// <summary>
    /// Dumps as <see cref="FirnMust"/>, but again while a server is caught with a client at its door:
    /// that is refused, rightly and without harm, and over in a moment.
    /// </summary>
    public void DumpMust(params string[] arguments)
    {
        for (int attempt = 1; attempt <= 50; attempt++)
        {
            Outcome outcome = Firn(["dump", .. arguments]);
            // A client that asked whether the program listens has just closed its connection.
            bool isPassing = outcome.Status == 1
                && (outcome.Error.Contains("[tcp-accept-queue]", StringComparison.Ordinal)
                    || (outcome.Error.Contains("[tcp-established]", StringComparison.Ordinal)
                        && !outcome.Error.Contains("TCP_ESTABLISHED", StringComparison.Ordinal)));
            if (!isPassing)
            {
                if (outcome.Status != 0)
                {
                    throw new InvalidOperationException(outcome.Error);
                }

                return;
            }

            Thread.Sleep(100);
        }

        throw new TimeoutException("the program never came to rest");
    }

    /// <summary>Waits for the end of a program that was started here.</summary>
    public (int Status, TimeSpan Duration) Wait(int pid)
    {
        string[] answer = Ask(["wait", pid.ToString(CultureInfo.InvariantCulture)]);
        return answer is ["exit", string status, string nanoseconds]
            ? (
                int.Parse(status, CultureInfo.InvariantCulture),
                TimeSpan.FromTicks(long.Parse(nanoseconds, CultureInfo.InvariantCulture) / 100))
            : throw new InvalidOperationException(string.Join(' ', answer));
    }

    /// <summary>Sends a signal.</summary>
    public void Kill(int pid, int signal)
    {
        string[] answer = Ask(["kill", pid.ToString(CultureInfo.InvariantCulture), signal.ToString(CultureInfo.InvariantCulture)]);
        if (answer is not ["ok"])
        {
            throw new InvalidOperationException($"kill({pid}, {signal}): {string.Join(' ', answer)}");
        }
    }

    /// <summary>Sends a signal to what may be gone by now.</summary>
    public void TryKill(int pid, int signal)
        => Ask(["kill", pid.ToString(CultureInfo.InvariantCulture), signal.ToString(CultureInfo.InvariantCulture)]);

    /// <summary>Waits until something holds, and fails the test if it never does.</summary>
    public static void Until(Func<bool> condition, string what)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > Patience)
            {
                throw new TimeoutException($"never happened: {what}");
            }

            Thread.Sleep(2);
        }
    }

    /// <summary>Waits until no process but the launcher is left.</summary>
    public void UntilEmpty() => Until(() => Pids.Count == 0, "all processes gone");

    public void Dispose()
    {
        // The launcher ends when its input does, and the kernel kills all of the namespace with it.
        launcher.StandardInput.Close();
        if (!launcher.WaitForExit(Patience))
        {
            launcher.Kill();
        }

        launcher.Dispose();
        try
        {
            System.IO.Directory.Delete(Directory, recursive: true);
        }
        catch (IOException)
        {
            // A target may still have been writing when it was killed; what is left lies in the temporary directory.
        }
    }

    private string[] Ask(IEnumerable<string> fields)
    {
        string request = string.Join(Separator, fields);
        launcher.StandardInput.Write(request + '\n');
        launcher.StandardInput.Flush();
        return Answer();
    }

    private string[] Answer()
    {
        Task<string?> line = launcher.StandardOutput.ReadLineAsync();
        if (!line.Wait(Patience))
        {
            launcher.Kill(entireProcessTree: true);
            throw new TimeoutException("a program in the pid namespace does not end");
        }

        return (line.Result ?? throw new InvalidOperationException("the launcher has ended")).Split(' ');
    }
}
