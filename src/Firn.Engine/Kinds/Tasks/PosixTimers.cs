using System.Buffers.Binary;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>The timers of timer_create(2), with their ids, and whom they signal.</summary>
/// <remarks>
/// /proc/PID/timers tells all but the times. They get their ids back by PR_TIMER_CREATE_RESTORE_IDS (Linux 6.15;
/// kernel/time/posix-timers.c).
/// The overrun count is saved as CRIU does, but no call sets it; it is that of the last delivered signal, which the program has seen.
/// </remarks>
internal sealed class PosixTimers : TaskKind
{
    private const int SigevSignal = 0;
    private const int SigevNone = 1;
    private const int SigevThread = 2;
    private const int SigevThreadId = 4;

    // struct itimerspec and struct sigevent.
    private const int TimesSize = 32;
    private const int SigeventSize = 64;

    // ---- dump

    /// <inheritdoc/>
    public override void Examine(DumpContext context, DumpedTask task)
    {
        // A thread that is gone gets no signal any more, and timer_create takes no such thread.
        if (!task.IsZombie
            && TaskTimers.Read(task.Pid).Find(
                timer => timer.ToThread
                    && timer.Target != task.ProcessId
                    && !task.Threads.Exists(thread => thread.Tid == timer.Target)) is { } lost)
        {
            context.Problems.Add(
                "timer-of-dead-thread",
                task.Pid,
                $"timer {lost.Id}",
                "it signals a thread that has ended",
                "delete it with timer_delete before the dump");
        }
    }

    /// <inheritdoc/>
    public override void DumpTask(DumpContext context, DumpedTask task, RemoteBatch batch)
    {
        List<TaskTimer> timers = TaskTimers.Read(task.Pid);
        timers.Sort((one, other) => one.Id.CompareTo(other.Id));
        foreach (TaskTimer timer in timers)
        {
            batch.MakeRoom(2, TimesSize, "POSIX timers");
            RemoteBuffer times = batch.Allocate(TimesSize);
            batch.Call(Sysno.timer_gettime, timer.Id, times);
            Slot overrun = batch.Call(Sysno.timer_getoverrun, timer.Id);
            batch.Then(() => (task.TaskCore().Timers ??= new TaskTimersEntry()).Posix.Add(ToMessage(task, timer, times, overrun.Int32)));
        }
    }

    // ---- restore

    /// <inheritdoc/>
    /// <remarks>
    /// Once the threads exist, since a timer may signal one. One that measures the CPU time of the thread that made it is made by the
    /// thread that it signals: that is what profilers do, and the kernel shows no other.
    /// </remarks>
    public override void RestoreThread(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        List<PosixTimerEntry> timers = [.. (thread.Task.Core.Tc.Timers?.Posix ?? []).Where(timer => MakerOf(thread.Task, timer) == thread)];
        if (timers.Count == 0)
        {
            return;
        }

        batch.Call(Sysno.prctl, (int)PrctlOption.PR_TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0);
        foreach (PosixTimerEntry timer in timers)
        {
            if (IsOfMaker(timer) && !timer.HasNotifyThreadId && thread.Task.Threads.Count > 1)
            {
                context.Log.LogWarning(
                    "pid {Pid}: timer {Id} measures the CPU time of a thread that the kernel doesn't name: it is the first now",
                    thread.Task.Pid,
                    timer.ItId);
            }

            batch.MakeRoom(1, SigeventSize + sizeof(int), "POSIX timers");
            RemoteBuffer sigevent = batch.Allocate(SigeventSize);
            Span<byte> bytes = sigevent.Bytes;
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, timer.SivalPtr);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[8..], timer.SiSigno);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[12..], timer.ItSigevNotify);
            BinaryPrimitives.WriteInt32LittleEndian(bytes[16..], timer.HasNotifyThreadId ? NotifiedBy(thread.Task, timer) : 0);
            RemoteBuffer id = batch.Data(timer.ItId);
            batch.Call(Sysno.timer_create, (int)timer.ClockId, sigevent, id);
        }
    }

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        if (!thread.IsLeader() || thread.Core.Tc.Timers is not { Posix.Count: > 0 } timers)
        {
            return;
        }

        // Of the process, and all threads have made theirs.
        batch.Call(Sysno.prctl, (int)PrctlOption.PR_TIMER_CREATE_RESTORE_IDS, 0, 0, 0, 0);
        foreach (PosixTimerEntry timer in timers.Posix)
        {
            if ((timer.Vsec | timer.Vnsec) != 0)
            {
                batch.MakeRoom(1, TimesSize, "POSIX timers");
                RemoteBuffer times = batch.Allocate(TimesSize);
                ReadOnlySpan<ulong> words = [timer.Isec, timer.Insec, timer.Vsec, timer.Vnsec];
                words.CopyTo(times.As<ulong>());
                batch.Call(Sysno.timer_settime, (int)timer.ItId, 0, times, 0);
            }
        }
    }

    private static PosixTimerEntry ToMessage(DumpedTask task, TaskTimer timer, RemoteBuffer times, int overrun)
    {
        Span<ulong> words = times.As<ulong>();
        if ((words[0] | words[1]) == 0 && (words[2] | words[3]) != 0 && HasExpired(task, timer))
        {
            // It came between the question and now: nothing is left of it but the signal.
            words[2] = words[3] = 0;
        }

        var message = new PosixTimerEntry
        {
            ItId = (uint)timer.Id,
            ClockId = (uint)timer.ClockId,
            SiSigno = (uint)timer.Signal,
            ItSigevNotify = (uint)Notify(timer),
            SivalPtr = timer.Value,
            Overrun = (uint)overrun,
            Isec = words[0],
            Insec = words[1],
            Vsec = words[2],
            Vnsec = words[3],
        };
        if (timer.ToThread)
        {
            message.NotifyThreadId = timer.Target == task.ProcessId
                ? task.InnerPid
                : task.Threads.Find(thread => thread.Tid == timer.Target)?.InnerTid ?? timer.Target;
        }

        return message;
    }

    // Of a timer without an interval, a signal in the queue can only be newer than the time that was left: setting it anew drops the old
    // one.
    private static bool HasExpired(DumpedTask task, TaskTimer timer)
    {
        const int TimerCode = -2;
        Tracee? tracee = timer.ToThread ? task.Threads.Find(thread => thread.Tid == timer.Target)?.Tracee : task.Leader.Tracee;
        return tracee is not null && tracee.PeekQueuedSignals(shared: !timer.ToThread).Exists(siginfo =>
            BinaryPrimitives.ReadInt32LittleEndian(siginfo.AsSpan(8)) == TimerCode
            && BinaryPrimitives.ReadInt32LittleEndian(siginfo.AsSpan(16)) == timer.Id);
    }

    // The clock of the calling thread: no id in it, and of a thread (include/linux/posix-timers.h, MAKE_THREAD_CPUCLOCK).
    private static bool IsOfMaker(PosixTimerEntry timer)
    {
        const int PerThread = 4;
        int clock = (int)timer.ClockId;
        return clock < 0 && (clock & PerThread) != 0 && ~(clock >> 3) == 0;
    }

    private static RestoredThread MakerOf(RestoredTask task, PosixTimerEntry timer)
        => IsOfMaker(timer) && timer.HasNotifyThreadId
            ? task.Threads.Find(thread => thread.Tid == timer.NotifyThreadId) ?? task.Leader
            : task.Leader;

    // timer_create takes the id that the task's own pid namespace has.
    private static int NotifiedBy(RestoredTask task, PosixTimerEntry timer)
        => task.Threads.Find(thread => thread.Tid == timer.NotifyThreadId)?.OwnTid ?? timer.NotifyThreadId;

    private static int Notify(TaskTimer timer) => timer.Notification switch
    {
        TimerNotification.None => SigevNone,
        TimerNotification.Thread => SigevThread,
        _ => SigevSignal,
    } | (timer.ToThread ? SigevThreadId : 0);
}
