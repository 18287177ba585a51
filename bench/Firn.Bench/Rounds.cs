using System.Diagnostics;
using System.Globalization;
using Firn.Engine.Tests.RoundTrip;

namespace Firn.Bench;

/// <summary>The paired runs.</summary>
internal static class Rounds
{
    private const int SIGUSR1 = 10;

    public static IReadOnlyList<(Tool Tool, Samples Samples)> Run(Measured measured, IReadOnlyList<Tool> tools, int rounds)
    {
        List<(Tool Tool, Samples Samples)> results = [.. tools.Select(tool => (tool, new Samples()))];
        for (int round = 0; round <= rounds; round++)
        {
            foreach ((Tool tool, Samples samples) in results)
            {
                Once(measured, tool, round == 0 ? new Samples() : samples);
            }
        }

        return results;
    }

    public static (string Write, string Read) Limit(Measured measured, int rounds)
    {
        List<double> write = [];
        List<double> read = [];
        for (int round = 0; round <= rounds; round++)
        {
            using var space = new PidNamespace();
            string file = Path.Combine(space.Directory, "plain");
            string size = measured.Mebibytes.ToString(CultureInfo.InvariantCulture);
            double written = space.Run(Clocked, "write", size, file).Duration.TotalMilliseconds;
            double again = space.Run(Clocked, "read", size, file).Duration.TotalMilliseconds;
            if (round > 0)
            {
                write.Add(written);
                read.Add(again);
            }
        }

        return (Samples.Median(write), Samples.Median(read));
    }

    /// <summary>A dump that leaves the target running, for the standstill; then one that kills it, and a restore.</summary>
    private static void Once(Measured measured, Tool tool, Samples samples)
    {
        using var space = new PidNamespace();
        string clock = Path.Combine(space.Directory, "clock");
        int pid = space.Start([Clocked, measured.Kind, measured.Number.ToString(CultureInfo.InvariantCulture), clock]);
        PidNamespace.Until(() => File.Exists(clock), "the target runs");
        Thread.Sleep(50);
        string tree = pid.ToString(CultureInfo.InvariantCulture);
        _ = Longest(space, pid, clock);
        Warm(space, measured);
        Outcome left = space.Run(tool.Program, "dump", "-t", tree, "-D", space.MakeDirectory("left"), "-R");
        double still = Longest(space, pid, clock);
        string images = space.MakeDirectory("images");
        Warm(space, measured);
        Outcome dumped = space.Run(tool.Program, "dump", "-t", tree, "-D", images);
        if (left.Status != 0 || dumped.Status != 0)
        {
            Console.Error.WriteLine($"{tool.Name}, {measured.Name}: {left.Error}{dumped.Error}");
            return;
        }

        space.UntilEmpty();
        Warm(space, measured);
        Outcome restored = space.Run(tool.Program, "restore", "-d", "-D", images);
        if (restored.Status != 0)
        {
            Console.Error.WriteLine($"{tool.Name}, {measured.Name}: {restored.Error}");
            return;
        }

        // It must go on, or the time is worth nothing.
        _ = Longest(space, pid, clock);
        long size = Directory.GetFiles(images).Where(file => new FileInfo(file).LinkTarget is null).Sum(file => new FileInfo(file).Length);
        samples.Add(
            dumped.Duration.TotalMilliseconds,
            restored.Duration.TotalMilliseconds,
            still,
            size);
        if (size < Attic.Largest)
        {
            Attic.Keep(images);
            Attic.Keep(Path.Combine(space.Directory, "left"));
        }
    }

    // A virtual machine gives memory that lies free for some seconds back to its host, and has to fetch it again page by page when it is
    // touched: as much as is about to be needed is touched and freed just before.
    private static void Warm(PidNamespace space, Measured measured)
    {
        if (measured.Mebibytes < 64)
        {
            return;
        }

        string file = Path.Combine(space.Directory, "warm");
        _ = space.Run(Clocked, "write", measured.Mebibytes.ToString(CultureInfo.InvariantCulture), file);
        File.Delete(file);
    }

    /// <summary>The longest time between two looks at the clock since the last question, in milliseconds.</summary>
    public static double Longest(PidNamespace space, int pid, string clock)
    {
        File.Delete(clock);
        space.Kill(pid, SIGUSR1);
        PidNamespace.Until(() => File.Exists(clock), "the target tells its longest pause");
        return long.Parse(File.ReadAllText(clock), CultureInfo.InvariantCulture) / 1e6;
    }

    private static string Clocked { get; } = Path.Combine(Programs.Top, ".build/clocked");
}

/// <summary>Where sets of many small files wait for the end of all measuring.</summary>
/// <remarks>
/// ext4 does not give an inode again that was freed in the last minutes, and looks at each of them anew for every file that is made
/// (fs/ext4/ialloc.c, recently_deleted): a round that deletes its set makes the next one pay.
/// </remarks>
internal static class Attic
{
    /// <summary>Bytes of a set from which on it is better deleted at once.</summary>
    public const long Largest = 64 << 20;

    private static readonly string Place = Directory.CreateTempSubdirectory("firn-bench-").FullName;
    private static int kept;

    public static void Keep(string directory) => Directory.Move(directory, Path.Combine(Place, $"{++kept}"));

    public static void Clear() => Directory.Delete(Place, recursive: true);
}

/// <summary>How long until an ASP.NET application answers: started anew, or restored.</summary>
internal static class WebRounds
{
    private static readonly HttpClient Client = new();

    public static IEnumerable<(string What, string Milliseconds)> Run(IReadOnlyList<Tool> tools, int rounds)
    {
        List<double> cold = [];
        List<(Tool Tool, List<double> Times)> restored = [.. tools.Select(tool => (tool, new List<double>()))];
        for (int round = 0; round <= rounds; round++)
        {
            foreach ((Tool tool, List<double> times) in restored)
            {
                int port = FreePort();
                using var space = new PidNamespace();
                long start = Stopwatch.GetTimestamp();
                int pid = space.Start([.. Programs.DotnetTarget("aspnet"), "--urls", $"http://127.0.0.1:{port}"]);
                double first = UntilAnswer(port, start);
                Thread.Sleep(200);
                string images = space.MakeDirectory("images");
                Outcome dumped = space.Run(tool.Program, "dump", "-t", pid.ToString(CultureInfo.InvariantCulture), "-D", images);
                if (dumped.Status != 0)
                {
                    Console.Error.WriteLine($"{tool.Name}, ASP.NET: {dumped.Error}");
                    continue;
                }

                space.UntilEmpty();
                start = Stopwatch.GetTimestamp();
                int restoring = space.Start([tool.Program, "restore", "-d", "-D", images]);
                double again = UntilAnswer(port, start);
                _ = space.Wait(restoring);
                if (round > 0)
                {
                    cold.Add(first);
                    times.Add(again);
                }
            }
        }

        return
        [
            ("started anew", Samples.Median(cold)),
            .. restored.Select(one => ($"restored by {one.Tool.Name}", Samples.Median(one.Times))),
        ];
    }

    private static double UntilAnswer(int port, long start)
    {
        while (true)
        {
            try
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, $"http://127.0.0.1:{port}/");
                request.Headers.ConnectionClose = true;
                using HttpResponseMessage answer = Client.Send(request);
                if (answer.IsSuccessStatusCode)
                {
                    return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                }
            }
            catch (HttpRequestException)
            {
                // Nobody listens yet.
            }

            if (Stopwatch.GetElapsedTime(start) > PidNamespace.Patience)
            {
                throw new TimeoutException("the application does not answer");
            }

            Thread.Sleep(1);
        }
    }

    private static int FreePort()
    {
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        return ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
    }
}
