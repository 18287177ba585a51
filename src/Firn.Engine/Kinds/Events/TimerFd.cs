using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Timespec = Firn.Linux.Abi.Timespec;

namespace Firn.Engine.Kinds.Events;

/// <summary>timerfd: a timer that is read through a descriptor.</summary>
/// <remarks>
/// Kernel: fs/timerfd.c, timerfd_create(2), proc_pid_fdinfo(5). What is saved is the time that remains, also of an absolute timer, as CRIU
/// does: the time that the tree was away doesn't count.
/// </remarks>
internal sealed class TimerFd : FileKind
{
    private const ulong NanosecondsOfSecond = 1_000_000_000;

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Timerfd;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => file.IsAnonymousInode("[timerfd]");

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        // A periodic timer that has expired stands at (0, 0) until someone asks for it; asking forwards it, and takes no ticks away.
        Sys.TimerFdGetTime(file.Taken.Number, out _).OrThrow($"timerfd_gettime of pid {file.Owner.Pid} fd {file.Number}");
        TimerFdInfo timer = FdInfo.Read(file.HolderPid, file.Number).Timer
            ?? throw new CheckpointException(
                $"pid {file.Owner.Pid} fd {file.Number}: fdinfo of a timerfd without its timer")
            { Pid = file.Owner.Pid };
        entry.Tfd = new TimerfdEntry
        {
            Id = file.Id,
            Flags = (uint)file.Flags,
            Fown = FileOwner.Dump(context, file),
            Clockid = (uint)timer.ClockId,
            Ticks = timer.Ticks,
            SettimeFlags = (uint)timer.SettimeFlags,
            Vsec = (ulong)timer.ValueNanoseconds / NanosecondsOfSecond,
            Vnsec = (ulong)timer.ValueNanoseconds % NanosecondsOfSecond,
            Isec = (ulong)timer.IntervalNanoseconds / NanosecondsOfSecond,
            Insec = (ulong)timer.IntervalNanoseconds % NanosecondsOfSecond,
        };
    }

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        TimerfdEntry message = entry.Tfd;
        var fd = new Fd(Sys.TimerFdCreate((ClockId)message.Clockid, TimerFdConstants.TFD_CLOEXEC)
            .OrThrow($"timerfd_create({(ClockId)message.Clockid}) of file {entry.Id}").Int32);
        FileOwner.RestoreFlags(fd, message.Flags);
        return fd;
    }

    /// <inheritdoc/>
    /// <remarks>Armed last, so that no expiration is counted while the rest is being built.</remarks>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd)
    {
        TimerfdEntry message = entry.Tfd;
        Itimerspec time = Remaining(message);
        if ((message.SettimeFlags & TimerFdConstants.TFD_TIMER_ABSTIME) != 0 && time.it_value.Nanoseconds != 0)
        {
            long now = Sys.ClockNanoseconds((int)Readable((ClockId)message.Clockid));
            long left = time.it_value.Nanoseconds;
            // systemd waits for the clock to be set, until the end of all time: that stays where it is.
            time.it_value = Timespec.FromNanoseconds(left > long.MaxValue - now ? long.MaxValue : left + now);
        }

        Sys.TimerFdSetTime(fd.Number, (int)message.SettimeFlags, in time).OrThrow($"timerfd_settime of file {entry.Id}");
        if (message.Ticks != 0)
        {
            Sys.TimerFdSetTicks(fd.Number, message.Ticks).OrThrow($"ioctl(TFD_IOC_SET_TICKS, {message.Ticks}) of file {entry.Id}");
        }

        FileOwner.Arm(context, message.Fown, fd, fd.ToString());
    }

    // The clock of an alarm can be read only where there is hardware that wakes the machine; it shows the same time as the plain one.
    private static ClockId Readable(ClockId clock) => clock switch
    {
        ClockId.CLOCK_REALTIME_ALARM => ClockId.CLOCK_REALTIME,
        ClockId.CLOCK_BOOTTIME_ALARM => ClockId.CLOCK_BOOTTIME,
        _ => clock,
    };

    /// <summary>
    /// What to set. CRIU saves a periodic timer that has expired and wasn't read as (0, 0), which would stop it: the next expiration is
    /// then one interval away.
    /// </summary>
    internal static Itimerspec Remaining(TimerfdEntry message)
    {
        var time = new Itimerspec
        {
            it_value = new Timespec { tv_sec = (long)message.Vsec, tv_nsec = (long)message.Vnsec },
            it_interval = new Timespec { tv_sec = (long)message.Isec, tv_nsec = (long)message.Insec },
        };
        if (message.Ticks != 0 && time.it_value.Nanoseconds == 0)
        {
            time.it_value = time.it_interval;
        }

        return time;
    }
}
