using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Flags of eventfd2(2) (include/uapi/linux/eventfd.h).</summary>
[Flags]
public enum EventFdFlags
{
    None = 0,
    EFD_SEMAPHORE = 1,
    EFD_NONBLOCK = 0x800,
    EFD_CLOEXEC = 0x80000,
}

/// <summary>Flags of timerfd_create(2) and timerfd_settime(2), and its ioctl (include/uapi/linux/timerfd.h).</summary>
public static class TimerFdConstants
{
    public const int TFD_TIMER_ABSTIME = 1;
    public const int TFD_TIMER_CANCEL_ON_SET = 2;
    public const int TFD_NONBLOCK = 0x800;
    public const int TFD_CLOEXEC = 0x80000;
    public const uint TFD_IOC_SET_TICKS = 0x40085400;
}

/// <summary>Flags of signalfd4(2) (include/uapi/linux/signalfd.h).</summary>
[Flags]
public enum SignalFdFlags
{
    None = 0,
    SFD_NONBLOCK = 0x800,
    SFD_CLOEXEC = 0x80000,
}

/// <summary>Constants of epoll(7) (include/uapi/linux/eventpoll.h).</summary>
public static class Epoll
{
    public const int EPOLL_CLOEXEC = 0x80000;
    public const int EPOLL_CTL_ADD = 1;
    public const int EPOLL_CTL_DEL = 2;
    public const int EPOLL_CTL_MOD = 3;
    public const uint EPOLLIN = 1;
    public const uint EPOLLPRI = 2;
    public const uint EPOLLOUT = 4;
    public const uint EPOLLERR = 8;
    public const uint EPOLLHUP = 0x10;
    public const uint EPOLLRDHUP = 0x2000;
    public const uint EPOLLEXCLUSIVE = 1u << 28;
    public const uint EPOLLWAKEUP = 1u << 29;
    public const uint EPOLLONESHOT = 1u << 30;
    public const uint EPOLLET = 1u << 31;
}

/// <summary>struct epoll_event, packed on x86_64 (include/uapi/linux/eventpoll.h).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct EpollEvent
{
    public uint events;
    public ulong data;
}

/// <summary>struct kcmp_epoll_slot: the last argument of KCMP_EPOLL_TFD (include/uapi/linux/kcmp.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KcmpEpollSlot
{
    public uint efd;
    public uint tfd;
    public uint toff;
}

/// <summary>Constants of inotify(7) (include/uapi/linux/inotify.h).</summary>
public static class Inotify
{
    public const int IN_NONBLOCK = 0x800;
    public const int IN_CLOEXEC = 0x80000;
    public const uint IN_ONLYDIR = 0x01000000;
    public const uint IN_DONT_FOLLOW = 0x02000000;
    public const uint IN_EXCL_UNLINK = 0x04000000;
    public const uint IN_MASK_CREATE = 0x10000000;
    public const uint IN_MASK_ADD = 0x20000000;
    public const uint IN_ISDIR = 0x40000000;
    public const uint IN_ONESHOT = 0x80000000;
    public const uint IN_ALL_EVENTS = 0xfff;
    public const uint INOTIFY_IOC_SETNEXTWD = 0x40044900;
}

/// <summary>Constants of fanotify(7) (include/uapi/linux/fanotify.h).</summary>
public static class Fanotify
{
    public const uint FAN_CLOEXEC = 1;
    public const uint FAN_NONBLOCK = 2;
    public const uint FAN_MARK_ADD = 1;
    public const uint FAN_MARK_MOUNT = 0x10;
    public const uint FAN_MARK_IGNORED_MASK = 0x20;
    public const uint FAN_MARK_IGNORED_SURV_MODIFY = 0x40;
    public const uint FAN_MARK_FILESYSTEM = 0x100;
    public const uint FAN_MARK_EVICTABLE = 0x200;
    public const uint FAN_MARK_IGNORE = 0x400;
    public const ulong FAN_OPEN_PERM = 0x10000;
    public const ulong FAN_ACCESS_PERM = 0x20000;
    public const ulong FAN_OPEN_EXEC_PERM = 0x40000;
}
