using Firn.Engine.Freezing;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Checkpointing;

/// <summary>What is left of the time of calls whose end the kernel tells no one: poll(2), futex(2), a nap that asks for no rest.</summary>
/// <remarks>
/// The thread is let go for a moment: it goes on with its call, as it would after the dump, and its timer shows in /proc/timer_list, which
/// does not say whose a timer is. So what counts is a time that is there while the thread sleeps, and is not there before and after.
/// </remarks>
internal static class RestOfTime
{
    // Each costs about a millisecond; what a tree has more begins anew with all of its time.
    private const int MostThreads = 8;
    private const int Attempts = 4;
    private const int Looks = 40;

    /// <summary>Finds it for the threads of a tree that stands still, and that no one has gone into.</summary>
    /// <returns>False if a call ended in that moment: the thread has run, who knows where to, and the tree is to be frozen anew.</returns>
    public static bool Find(FrozenTree tree)
    {
        List<DumpedThread> threads = [];
        foreach (DumpedThread thread in tree.Tasks.SelectMany(task => task.Threads))
        {
            if (thread.Tracee is { StoppedBy: Signal.None, Found: { } found } && InterruptedCall.HasUnknownEnd(thread.Tid, found.Registers))
            {
                threads.Add(thread);
            }
        }

        try
        {
            return threads.Count > MostThreads || threads.TrueForAll(Find);
        }
        catch (TraceeLostException)
        {
            return false;
        }
    }

    // What two looks agree on.
    private static bool Find(DumpedThread thread)
    {
        Dictionary<ulong, int> seen = [];
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            if (TimerList.ReadWakeups() is not { } before)
            {
                return true;
            }

            if (Probe(thread, before) is not { } found)
            {
                return false;
            }

            foreach (ulong end in found)
            {
                seen[end] = seen.GetValueOrDefault(end) + 1;
            }

            List<ulong> agreed = [.. seen.Where(row => row.Value > 1).Select(row => row.Key)];
            if (agreed.Count == 1)
            {
                ulong now = (ulong)Sys.ClockNanoseconds(1);
                thread.RestOfCall = agreed[0] > now ? agreed[0] - now : 0;
                return true;
            }
        }

        return true;
    }

    // Null where the call has ended.
    private static HashSet<ulong>? Probe(DumpedThread thread, HashSet<ulong> before)
    {
        Tracee tracee = thread.Tracee!;
        tracee.Resume();
        for (int look = 0; look < Looks && !IsAsleep(thread.Tid); look++)
        {
            Thread.Sleep(look < Looks / 2 ? 0 : 1);
        }

        HashSet<ulong> during = TimerList.ReadWakeups() ?? [];
        tracee.Interrupt();
        while (!tracee.WaitForStop().IsEventStop)
        {
            tracee.Resume(PtraceRequest.PTRACE_CONT, tracee.Status.IsSignalStop ? tracee.Status.StopSignal : Signal.None);
        }

        tracee.Capture();
        if (!InterruptedCall.HasUnknownEnd(thread.Tid, tracee.Found!.Registers))
        {
            return null;
        }

        during.ExceptWith(before);
        during.ExceptWith(TimerList.ReadWakeups() ?? []);
        return during;
    }

    private static bool IsAsleep(int tid)
        => ProcStat.TryRead(tid, out ProcStat? stat) is { IsError: false } && stat!.State == TaskState.Sleeping;
}
