using Firn.Engine.Freezing;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Checkpointing;

/// <summary>What is left of the time of calls whose end the kernel tells no one: poll(2), futex(2), a nap that asks for no rest.</summary>
/// <remarks>
/// The threads are let go for a moment: they go on with their calls, as they would after the dump, and their timers show in
/// /proc/timer_list, which does not say whose a timer is. So what counts is a time that is there while a thread sleeps, and is not there
/// before and after. Each thread has its own two of several rounds, by which its timer is known.
/// </remarks>
internal static class RestOfTime
{
    // Some milliseconds at most; what a tree has more begins anew with all of its time.
    private const int MostThreads = 21;
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

        return threads.Count is 0 or > MostThreads || Find(threads);
    }

    private static bool Find(List<DumpedThread> threads)
    {
        List<uint> marks = Marks(threads.Count);
        Dictionary<ulong, uint> seen = [];
        for (int round = 0; marks.Exists(mark => mark >> round != 0); round++)
        {
            if (TimerList.ReadWakeups() is not { } before)
            {
                return true;
            }

            List<DumpedThread> asked = [.. threads.Where((_, i) => (marks[i] >> round & 1) != 0)];
            if (Look(asked, before) is not { } found)
            {
                return false;
            }

            foreach (ulong end in found)
            {
                seen[end] = seen.GetValueOrDefault(end) | 1U << round;
            }
        }

        ulong now = (ulong)Sys.ClockNanoseconds(1);
        for (int i = 0; i < threads.Count; i++)
        {
            List<ulong> ends = [.. seen.Where(row => row.Value == marks[i]).Select(row => row.Key)];
            if (ends.Count == 1)
            {
                threads[i].RestOfCall = ends[0] > now ? ends[0] - now : 0;
            }
        }

        return true;
    }

    // Two rounds for each, no two threads the same.
    private static List<uint> Marks(int count)
    {
        List<uint> marks = [];
        for (int second = 1; marks.Count < count; second++)
        {
            for (int first = 0; first < second && marks.Count < count; first++)
            {
                marks.Add(1U << first | 1U << second);
            }
        }

        return marks;
    }

    // Null where a call or a thread has ended. All that live stand still again.
    private static HashSet<ulong>? Look(List<DumpedThread> threads, HashSet<ulong> before)
    {
        bool isLost = threads.FindAll(thread => !Try(() => thread.Tracee!.Resume())).Count > 0;
        for (int look = 0; look < Looks && !threads.TrueForAll(thread => IsAsleep(thread.Tid)); look++)
        {
            Thread.Sleep(look < Looks / 2 ? 0 : 1);
        }

        HashSet<ulong> during = TimerList.ReadWakeups() ?? [];
        threads.ForEach(thread => thread.Tracee!.Interrupt());
        isLost |= threads.FindAll(thread => !Try(() => WaitForStop(thread.Tracee!))).Count > 0;
        if (isLost || !threads.TrueForAll(thread => InterruptedCall.HasUnknownEnd(thread.Tid, thread.Tracee!.Found!.Registers)))
        {
            return null;
        }

        during.ExceptWith(before);
        during.ExceptWith(TimerList.ReadWakeups() ?? []);
        return during;
    }

    private static bool Try(Action action)
    {
        try
        {
            action();
            return true;
        }
        catch (TraceeLostException)
        {
            return false;
        }
    }

    private static void WaitForStop(Tracee tracee)
    {
        while (!tracee.WaitForStop().IsEventStop)
        {
            tracee.Resume(PtraceRequest.PTRACE_CONT, tracee.Status.IsSignalStop ? tracee.Status.StopSignal : Signal.None);
        }

        tracee.Capture();
    }

    private static bool IsAsleep(int tid)
        => ProcStat.TryRead(tid, out ProcStat? stat) is { IsError: false } && stat!.State == TaskState.Sleeping;
}
