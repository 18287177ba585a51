using Firn.Linux.Abi;

namespace Firn.Linux;

// SAFETY, of all that follows: the kernel reads and writes what it is given during the call alone, and no more than the structure.
public static unsafe partial class Sys
{
    /// <summary>timerfd_settime(2); the flags are TFD_TIMER_*.</summary>
    public static SysResult TimerFdSetTime(int fd, int flags, in Itimerspec time)
    {
        fixed (Itimerspec* pointer = &time)
        {
            return Kernel.Call(Sysno.timerfd_settime, fd, flags, (nint)pointer);
        }
    }

    /// <summary>timerfd_gettime(2); it also brings what fdinfo shows up to date, and takes nothing from who reads.</summary>
    public static SysResult TimerFdGetTime(int fd, out Itimerspec time)
    {
        fixed (Itimerspec* pointer = &time)
        {
            *pointer = default;
            return Kernel.Call(Sysno.timerfd_gettime, fd, (nint)pointer);
        }
    }

    /// <summary>signalfd4(2): a new one for -1, otherwise the mask of one that exists.</summary>
    public static SysResult SignalFd(int fd, ulong mask, SignalFdFlags flags)
        => Kernel.Call(Sysno.signalfd4, fd, (nint)(&mask), sizeof(ulong), (nint)flags);

    /// <summary>epoll_ctl(2); the operation is EPOLL_CTL_*.</summary>
    public static SysResult EpollControl(int epoll, int operation, int fd, EpollEvent target)
        => Kernel.Call(Sysno.epoll_ctl, epoll, operation, fd, (nint)(&target));

    /// <summary>epoll_wait(2).</summary>
    public static SysResult EpollWait(int epoll, Span<EpollEvent> events, int timeoutMilliseconds)
    {
        fixed (EpollEvent* pointer = events)
        {
            return Kernel.Call(Sysno.epoll_wait, epoll, (nint)pointer, events.Length, timeoutMilliseconds);
        }
    }

    /// <summary>inotify_add_watch(2); gives the watch descriptor.</summary>
    public static SysResult InotifyAddWatch(int fd, string path, uint mask)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(path, text) ? Kernel.Call(Sysno.inotify_add_watch, fd, (nint)text, (nint)mask) : TooLong;
    }

    /// <summary>fanotify_init(2).</summary>
    /// <param name="flags">FAN_*: of the group.</param>
    /// <param name="eventFlags">O_*: of the descriptors in events.</param>
    public static SysResult FanotifyInit(uint flags, uint eventFlags)
        => Kernel.Call(Sysno.fanotify_init, (nint)flags, (nint)eventFlags);

    /// <summary>fanotify_mark(2).</summary>
    public static SysResult FanotifyMark(int fd, uint flags, ulong mask, string path)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(path, text)
            ? Kernel.Call(Sysno.fanotify_mark, fd, (nint)flags, (nint)mask, At.AT_FDCWD, (nint)text)
            : TooLong;
    }
}
