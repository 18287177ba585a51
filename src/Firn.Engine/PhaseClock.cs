using System.Diagnostics;
using Firn.Linux;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine;

/// <summary>Runs the phases of a dump or the stages of a restore one after the other, and says what each took.</summary>
internal sealed class PhaseClock(ILogger log, IProgress<CheckpointProgress>? progress)
{
    private readonly List<PhaseTime> phases = [];
    private string current = string.Empty;

    /// <summary>What each phase took so far.</summary>
    public IReadOnlyList<PhaseTime> Phases => phases;

    /// <summary>Runs a phase. What it throws leaves as a <see cref="CheckpointException"/> that names the phase.</summary>
    public T Run<T>(string phase, Func<T> work)
    {
        long start = Stopwatch.GetTimestamp();
        current = phase;
        log.LogInformation("{Phase}: begins", phase);
        progress?.Report(new CheckpointProgress(phase, 0, 0));
        try
        {
            T result = work();
            TimeSpan took = Stopwatch.GetElapsedTime(start);
            phases.Add(new PhaseTime(phase, took));
            log.LogInformation("{Phase}: {Milliseconds:F3} ms", phase, took.TotalMilliseconds);
            return result;
        }
        catch (Exception exception) when (exception is LinuxException or TraceeLostException or RemoteCallException or TraceeBusyException)
        {
            throw new CheckpointException(exception.Message, exception)
            {
                Phase = phase,
                Pid = exception switch
                {
                    TraceeLostException lost => lost.Tid,
                    RemoteCallException call => call.Tid,
                    TraceeBusyException busy => busy.Tid,
                    _ => 0,
                },
                Errno = exception switch
                {
                    LinuxException linux => linux.Errno,
                    RemoteCallException call => call.Errno,
                    _ => 0,
                },
            };
        }
    }

    /// <summary>Runs a phase that gives nothing.</summary>
    public void Run(string phase, Action work)
        => Run(phase, () =>
        {
            work();
            return true;
        });

    /// <summary>Says how far the current phase has come, in bytes.</summary>
    public void Report(long done, long total) => progress?.Report(new CheckpointProgress(current, done, total));
}
