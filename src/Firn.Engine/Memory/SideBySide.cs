using System.Runtime.ExceptionServices;

namespace Firn.Engine.Memory;

/// <summary>Work that is the kernel's for the most part, done by two threads: that of the caller and another.</summary>
internal static class SideBySide
{
    // What a thread costs is more than a few processes gain.
    private const int Fewest = 16;

    /// <summary>Does something for each of many.</summary>
    /// <param name="items">Those.</param>
    /// <param name="work">The work, which needs neither the tracer's thread nor the result of another.</param>
    /// <exception cref="Exception">The first that came; the rest is left undone.</exception>
    public static void ForEach<T>(IReadOnlyList<T> items, Action<T> work)
    {
        int next = -1;
        ExceptionDispatchInfo? failure = null;
        Thread? other = null;
        if (items.Count >= Fewest)
        {
            other = new Thread(Run) { Name = "helper", IsBackground = true };
            other.Start();
        }

        Run();
        other?.Join();
        failure?.Throw();

        void Run()
        {
            try
            {
                for (int i = Interlocked.Increment(ref next); i < items.Count && failure is null; i = Interlocked.Increment(ref next))
                {
                    work(items[i]);
                }
            }
            catch (Exception exception) when (Keep(exception))
            {
                // Thrown again where the work was asked for.
            }
        }

        bool Keep(Exception exception)
        {
            failure ??= ExceptionDispatchInfo.Capture(exception);
            return true;
        }
    }
}
