using Firn.Linux.Abi;

namespace Firn.Linux.Procfs;

/// <summary>/proc/PID/fdinfo/FD: what the kernel tells of an open descriptor.</summary>
/// <remarks>
/// Kernel: fs/proc/fd.c, seq_show(), and the show_fdinfo of each kind; proc_pid_fdinfo(5). Properties of other kinds are null or empty.
/// </remarks>
public sealed class FdInfo
{
    private const int LongestKey = 24;

    private FdInfo()
    {
    }

    /// <summary>The position in the file.</summary>
    public long Position { get; private set; }

    /// <summary>Flags as of F_GETFL, and O_CLOEXEC if the descriptor has it.</summary>
    public OpenFlags Flags { get; private set; }

    /// <summary>
    /// The id of the mount, as in mountinfo; one that isn't there belongs to another namespace, or is detached or internal.
    /// </summary>
    public int MountId { get; private set; }

    /// <summary>The inode number.</summary>
    public ulong Inode { get; private set; }

    /// <summary>Locks of the open file description, and POSIX locks of the process whose fdinfo this is.</summary>
    public List<FileLock> Locks { get; } = [];

    /// <summary>eventfd: its counter.</summary>
    public ulong? EventCount { get; private set; }

    /// <summary>eventfd: whether it was made with EFD_SEMAPHORE.</summary>
    public bool EventSemaphore { get; private set; }

    /// <summary>signalfd: its mask; bit 0 is signal 1.</summary>
    public ulong? SignalMask { get; private set; }

    /// <summary>timerfd: its state.</summary>
    public TimerFdInfo? Timer { get; private set; }

    /// <summary>epoll: what it watches, in the kernel's order.</summary>
    public List<EpollTarget> EpollTargets { get; } = [];

    /// <summary>inotify: its watches, the newest first.</summary>
    public List<InotifyWatch> InotifyWatches { get; } = [];

    /// <summary>fanotify: the group and its marks.</summary>
    public FanotifyGroup? Fanotify { get; private set; }

    /// <summary>The master of a pseudoterminal: its index.</summary>
    public int? TtyIndex { get; private set; }

    /// <summary>pidfd: the process as the reader's pid namespace has it; -1 when it has been waited for, 0 when it can't be seen.</summary>
    public int? Pid { get; private set; }

    /// <summary>pidfd: the process in each pid namespace, from the reader's to the innermost.</summary>
    public int[] NSpid { get; private set; } = [];

    /// <summary>Unix socket: descriptors that wait in its queue.</summary>
    public int? QueuedFds { get; private set; }

    /// <summary>io_uring: what is under way in it.</summary>
    public IoUringInfo? IoUring { get; private set; }

    /// <summary>tun: the name of its interface.</summary>
    public string? Interface { get; private set; }

    /// <summary>Reads a descriptor of a process.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT if descriptor or process are gone.</exception>
    /// <exception cref="FormatException">The kernel writes something unknown.</exception>
    public static FdInfo Read(int pid, int fd) => Parse(ProcFile.Read($"/proc/{pid}/fdinfo/{fd}"));

    /// <summary>Reads a descriptor that may be gone: null then, with the error.</summary>
    public static SysResult TryRead(int pid, int fd, out FdInfo? info)
    {
        SysResult result = ProcFile.TryRead($"/proc/{pid}/fdinfo/{fd}", out ReadOnlySpan<byte> text);
        info = result.IsError ? null : Parse(text);
        return result;
    }

    /// <summary>Parses the text of fdinfo. Lines that it doesn't know are passed over.</summary>
    /// <exception cref="FormatException">A line that it knows isn't as the kernel writes it.</exception>
    public static FdInfo Parse(ReadOnlySpan<byte> text)
    {
        var info = new FdInfo();
        var timer = new TimerFdInfo(0, 0, 0, 0, 0);
        var reader = new ByteReader(text);
        Span<char> buffer = stackalloc char[LongestKey];
        while (reader.TryLine(out ReadOnlySpan<byte> line))
        {
            var value = new ByteReader(line);
            if (value.TryTake("inotify "u8))
            {
                info.InotifyWatches.Add(ParseInotify(value));
            }
            else if (info.IoUring is { } ring && line.StartsWith("  "u8))
            {
                ring.AddRow(value);
            }
            else if (value.TryTake("fanotify "u8))
            {
                info.ParseFanotify(value);
            }
            else if (ProcText.TryKey(line, buffer, out ReadOnlySpan<char> key))
            {
                value.Skip(key.Length + 1);
                info.Set(key, value, ref timer);
            }
        }

        return info;
    }

    private void Set(ReadOnlySpan<char> key, ByteReader value, ref TimerFdInfo timer)
    {
        switch (key)
        {
            case "pos":
                Position = value.Signed();
                break;
            case "flags":
                Flags = (OpenFlags)value.Octal();
                break;
            case "mnt_id":
                MountId = value.Int32();
                break;
            case "ino":
                Inode = value.Decimal();
                break;
            case "lock":
                Locks.Add(FileLock.Parse(value.Rest));
                break;
            case "eventfd-count":
                EventCount = value.Hex();
                break;
            case "eventfd-semaphore":
                EventSemaphore = value.Decimal() != 0;
                break;
            case "sigmask":
                SignalMask = value.Hex();
                break;
            case "clockid":
                timer = timer with { ClockId = value.Int32() };
                Timer = timer;
                break;
            case "ticks":
                timer = timer with { Ticks = value.Decimal() };
                break;
            case "settime flags":
                timer = timer with { SettimeFlags = (int)value.Octal() };
                break;
            case "it_value":
                timer = timer with { ValueNanoseconds = ParseTime(value) };
                break;
            case "it_interval":
                timer = timer with { IntervalNanoseconds = ParseTime(value) };
                Timer = timer;
                break;
            case "tfd":
                EpollTargets.Add(ParseEpoll(value));
                break;
            case "tty-index":
                TtyIndex = value.Int32();
                break;
            case "Pid":
                Pid = value.Int32();
                break;
            case "NSpid":
                NSpid = value.Int32s();
                break;
            case "scm_fds":
                QueuedFds = value.Int32();
                break;
            case var ring when IoUringInfo.IsKey(ring):
                (IoUring ??= new IoUringInfo()).Set(ring, value);
                break;
            case "iff":
                value.SkipBlanks();
                Interface = ProcText.Unescape(value.Rest);
                break;
        }
    }

    private static long ParseTime(ByteReader value)
    {
        value.Take("("u8);
        long seconds = value.Signed();
        value.Take(","u8);
        return (seconds * 1_000_000_000) + value.Signed();
    }

    private static EpollTarget ParseEpoll(ByteReader value)
    {
        int fd = value.Int32();
        value.Take("events:"u8);
        uint events = (uint)value.Hex();
        value.Take("data:"u8);
        ulong data = value.Hex();
        value.Take("pos:"u8);
        long position = value.Signed();
        value.Take("ino:"u8);
        ulong inode = value.Hex();
        value.Take("sdev:"u8);
        return new EpollTarget(fd, events, data, position, inode, (uint)value.Hex());
    }

    private static InotifyWatch ParseInotify(ByteReader value)
    {
        value.Take("wd:"u8);
        int watch = (int)value.Hex();
        value.Take("ino:"u8);
        ulong inode = value.Hex();
        value.Take("sdev:"u8);
        uint device = (uint)value.Hex();
        value.Take("mask:"u8);
        uint mask = (uint)value.Hex();
        value.Take("ignored_mask:"u8);
        return new InotifyWatch(watch, inode, device, mask, (uint)value.Hex(), ParseHandle(ref value));
    }

    private void ParseFanotify(ByteReader value)
    {
        if (value.TryTake("flags:"u8))
        {
            uint flags = (uint)value.Hex();
            value.Take("event-flags:"u8);
            Fanotify = new FanotifyGroup(flags, (uint)value.Hex());
            return;
        }

        FanotifyMarkKind kind = FanotifyMarkKind.FileSystem;
        ulong id = 0;
        uint device = 0;
        if (value.TryTake("mnt_id:"u8))
        {
            kind = FanotifyMarkKind.Mount;
            id = value.Hex();
        }
        else if (value.TryTake("mnt_ns:"u8))
        {
            kind = FanotifyMarkKind.MountNamespace;
            id = value.Decimal();
        }
        else
        {
            if (value.TryTake("ino:"u8))
            {
                kind = FanotifyMarkKind.Inode;
                id = value.Hex();
            }

            value.Take("sdev:"u8);
            device = (uint)value.Hex();
        }

        value.Take("mflags:"u8);
        uint markFlags = (uint)value.Hex();
        value.Take("mask:"u8);
        ulong mask = value.Hex();
        value.Take("ignored_mask:"u8);
        ulong ignored = value.Hex();
        Fanotify ??= new FanotifyGroup(0, 0);
        Fanotify.Marks.Add(new FanotifyMark(kind, id, device, markFlags, mask, ignored, ParseHandle(ref value)));
    }

    private static FileHandle? ParseHandle(ref ByteReader value)
    {
        value.SkipBlanks();
        if (!value.TryTake("fhandle-bytes:"u8))
        {
            return null;
        }

        int length = (int)value.Hex();
        value.Take("fhandle-type:"u8);
        int type = (int)value.Hex();
        value.Take("f_handle:"u8);
        return new FileHandle(type, value.HexBytes(length));
    }
}
