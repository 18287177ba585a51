using Firn.Linux.Abi;

namespace Firn.Linux;

public static partial class Sys
{
    /// <summary>eventfd2(2).</summary>
    public static SysResult EventFd(uint count, EventFdFlags flags) => Kernel.Call(Sysno.eventfd2, (nint)count, (nint)flags);

    /// <summary>timerfd_create(2); the flags are TFD_*.</summary>
    public static SysResult TimerFdCreate(ClockId clock, int flags) => Kernel.Call(Sysno.timerfd_create, (nint)clock, flags);

    /// <summary>TFD_IOC_SET_TICKS: the expirations that the next read gives, after timerfd_settime(2). 0 is EINVAL.</summary>
    public static SysResult TimerFdSetTicks(int fd, ulong ticks) => Ioctl(fd, TimerFdConstants.TFD_IOC_SET_TICKS, ref ticks);

    /// <summary>epoll_create1(2).</summary>
    public static SysResult EpollCreate(int flags = Epoll.EPOLL_CLOEXEC) => Kernel.Call(Sysno.epoll_create1, flags);

    /// <summary>inotify_init1(2).</summary>
    public static SysResult InotifyInit(int flags = Inotify.IN_CLOEXEC) => Kernel.Call(Sysno.inotify_init1, flags);

    /// <summary>INOTIFY_IOC_SETNEXTWD: the watch descriptor that the next watch gets (fs/notify/inotify/inotify_user.c).</summary>
    public static SysResult InotifySetNextWatch(int fd, int watch) => Ioctl(fd, Inotify.INOTIFY_IOC_SETNEXTWD, watch);
}
