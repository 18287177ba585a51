namespace Firn.Linux.Procfs;

/// <summary>How a POSIX timer tells that it expired (SIGEV_* of sigevent(7)).</summary>
public enum TimerNotification
{
    /// <summary>signal: SIGEV_SIGNAL.</summary>
    Signal = 0,

    /// <summary>none: SIGEV_NONE.</summary>
    None = 1,

    /// <summary>thread: SIGEV_THREAD, which the kernel treats as a signal.</summary>
    Thread = 2,
}

/// <summary>A POSIX timer of a process.</summary>
/// <param name="Id">The timer's id.</param>
/// <param name="Signal">The signal's number, or 0.</param>
/// <param name="Value">sigev_value: what the signal carries.</param>
/// <param name="Notification">How it tells.</param>
/// <param name="ToThread">Whether the signal goes to one thread (SIGEV_THREAD_ID), which <paramref name="Target"/> is then.</param>
/// <param name="Target">The process or thread that gets the signal, as the namespace of the reader's /proc has it; 0 if it is gone.</param>
/// <param name="ClockId">CLOCK_*, or a clock of a process or thread.</param>
public sealed record TaskTimer(int Id, int Signal, ulong Value, TimerNotification Notification, bool ToThread, int Target, int ClockId);

/// <summary>/proc/PID/timers: the POSIX timers of a process (timer_create(2)), without their times.</summary>
/// <remarks>Kernel: fs/proc/base.c, show_timer(); proc_pid_timers(5). No order can be relied on.</remarks>
public static class TaskTimers
{
    /// <summary>Reads the timers of a process.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT if the process is gone, or the kernel has no such file.</exception>
    /// <exception cref="FormatException">The kernel writes something unknown.</exception>
    public static List<TaskTimer> Read(int pid) => Parse(ProcFile.Read($"/proc/{pid}/timers"));

    /// <summary>Parses the text of timers.</summary>
    /// <exception cref="FormatException">It is not such a text.</exception>
    public static List<TaskTimer> Parse(ReadOnlySpan<byte> text)
    {
        var timers = new List<TaskTimer>();
        var reader = new ByteReader(text);
        while (!reader.AtEnd)
        {
            reader.Take("ID:"u8);
            int id = reader.Int32();
            reader.Take("\nsignal:"u8);
            int signal = reader.Int32();
            reader.Take("/"u8);
            ulong value = reader.Hex();
            reader.Take("\nnotify:"u8);
            reader.SkipBlanks();
            TimerNotification notification = reader.TryTake("none"u8) ? TimerNotification.None
                : reader.TryTake("thread"u8) ? TimerNotification.Thread
                : TimerNotification.Signal;
            reader.TryTake("signal"u8);
            reader.Take("/"u8);
            bool toThread = reader.TryTake("tid."u8);
            if (!toThread)
            {
                reader.Take("pid."u8);
            }

            int target = reader.Int32();
            reader.Take("\nClockID:"u8);
            timers.Add(new TaskTimer(id, signal, value, notification, toThread, target, reader.Int32()));
            reader.TryTake("\n"u8);
        }

        return timers;
    }
}
