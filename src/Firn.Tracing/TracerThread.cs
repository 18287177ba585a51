using System.Runtime.ExceptionServices;

namespace Firn.Tracing;

/// <summary>The one thread that seizes, waits for and lets go all tracees.</summary>
/// <remarks>ptrace(2) belongs to the thread that attached: any other gets ESRCH. So the work of a dump or restore runs here whole.</remarks>
public static class TracerThread
{
    /// <summary>Runs work on a fresh thread made for it alone and gives its result; an exception passes through as it was.</summary>
    public static T Run<T>(Func<T> work)
    {
        T result = default!;
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(
            () =>
            {
                try
                {
                    using var quiet = QuietStops.Begin();
                    result = work();
                }
                catch (Exception exception) when (Capture(exception, out failure))
                {
                    // Thrown again where the work was asked for.
                }
            },
            16 << 20)
        {
            Name = "tracer",
        };
        thread.Start();
        thread.Join();
        failure?.Throw();
        return result;
    }

    private static bool Capture(Exception exception, out ExceptionDispatchInfo? failure)
    {
        failure = ExceptionDispatchInfo.Capture(exception);
        return true;
    }
}
