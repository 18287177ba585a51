using System.Globalization;
using System.Text;
using Firn.Linux;

namespace Firn.Cli.Commands;

/// <summary>The program that `firn demo` checkpoints: three threads count, and a line a tick goes into a pipe.</summary>
internal static class DemoWorker
{
    /// <summary>The word on the command line that makes Firn be this program.</summary>
    public const string Verb = "demo-worker";

    private const int Threads = 3;

    public static int Run()
    {
        long[] counters = new long[Threads];
        for (int i = 0; i < Threads; i++)
        {
            int own = i;
            new Thread(() => Count(ref counters[own])) { IsBackground = true }.Start();
        }

        for (int tick = 1; ; tick++)
        {
            Thread.Sleep(100);
            string line = string.Create(
                CultureInfo.InvariantCulture, $"{tick} {string.Join(' ', counters.Select(counter => Volatile.Read(ref counter)))}\n");
            if (Sys.Write(1, Encoding.ASCII.GetBytes(line)).IsError)
            {
                return 0;
            }
        }
    }

    private static void Count(ref long counter)
    {
        while (true)
        {
            _ = Interlocked.Increment(ref counter);
            Thread.Sleep(1);
        }
    }
}
