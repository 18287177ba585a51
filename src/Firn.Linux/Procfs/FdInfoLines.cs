namespace Firn.Linux.Procfs;

/// <summary>What fdinfo says of a timerfd (fs/timerfd.c, timerfd_show()).</summary>
/// <param name="ClockId">CLOCK_*.</param>
/// <param name="Ticks">Expirations not read yet; right after timerfd_gettime(2) only, which brings them up to date.</param>
/// <param name="SettimeFlags">TFD_TIMER_* of the last timerfd_settime(2).</param>
/// <param name="ValueNanoseconds">Time left to the next expiration; 0 if it isn't armed, or expired and not brought up to date.</param>
/// <param name="IntervalNanoseconds">The interval, 0 for none.</param>
public sealed record TimerFdInfo(int ClockId, ulong Ticks, int SettimeFlags, long ValueNanoseconds, long IntervalNanoseconds);

/// <summary>A <c>tfd:</c> line of an epoll's fdinfo (fs/eventpoll.c, ep_show_fdinfo()).</summary>
/// <param name="Fd">The number that it was added with: the descriptor of that number may be closed, or another file, by now.</param>
/// <param name="Events">EPOLL*; a one-shot entry that has fired has its flags alone.</param>
/// <param name="Data">What epoll_wait(2) gives back.</param>
/// <param name="Position">The file's position.</param>
/// <param name="Inode">The file's inode number.</param>
/// <param name="Device">The file's s_dev in the kernel's form: major shifted left by 20, and minor.</param>
public sealed record EpollTarget(int Fd, uint Events, ulong Data, long Position, ulong Inode, uint Device);

/// <summary>A line of an inotify's fdinfo (fs/notify/fdinfo.c, inotify_fdinfo()). The kernel writes the newest first.</summary>
/// <param name="Watch">The watch descriptor.</param>
/// <param name="Inode">The inode number.</param>
/// <param name="Device">The s_dev in the kernel's form: major shifted left by 20, and minor.</param>
/// <param name="Mask">IN_*.</param>
/// <param name="IgnoredMask">Always 0.</param>
/// <param name="Handle">A handle for open_by_handle_at(2), or null where the file system has none.</param>
public sealed record InotifyWatch(int Watch, ulong Inode, uint Device, uint Mask, uint IgnoredMask, FileHandle? Handle);

/// <summary>The kind of a fanotify mark.</summary>
public enum FanotifyMarkKind
{
    /// <summary>On an inode.</summary>
    Inode,

    /// <summary>On a mount (FAN_MARK_MOUNT).</summary>
    Mount,

    /// <summary>On a file system (FAN_MARK_FILESYSTEM).</summary>
    FileSystem,

    /// <summary>On a mount namespace (FAN_MARK_MNTNS).</summary>
    MountNamespace,
}

/// <summary>A mark in a fanotify's fdinfo (fs/notify/fdinfo.c, fanotify_fdinfo()).</summary>
/// <param name="Kind">What it is on.</param>
/// <param name="Id">The inode number, mount id or mount namespace; 0 for a file system.</param>
/// <param name="Device">The s_dev in the kernel's form, of an inode or a file system.</param>
/// <param name="MarkFlags">FAN_MARK_* that stay with the mark.</param>
/// <param name="Mask">FAN_*.</param>
/// <param name="IgnoredMask">FAN_* that are ignored.</param>
/// <param name="Handle">A handle for open_by_handle_at(2), of an inode.</param>
public sealed record FanotifyMark(
    FanotifyMarkKind Kind, ulong Id, uint Device, uint MarkFlags, ulong Mask, ulong IgnoredMask, FileHandle? Handle);

/// <summary>A fanotify group, as its fdinfo has it.</summary>
/// <param name="Flags">FAN_* of fanotify_init(2).</param>
/// <param name="EventFlags">O_* of the descriptors in events.</param>
public sealed record FanotifyGroup(uint Flags, uint EventFlags)
{
    /// <summary>Its marks, in the kernel's order.</summary>
    public List<FanotifyMark> Marks { get; } = [];
}
