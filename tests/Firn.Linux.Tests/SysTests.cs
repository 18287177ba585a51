using System.Text;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Xunit;

namespace Firn.Linux.Tests;

/// <summary>System calls with structures, each once on a real object.</summary>
public class SysTests
{
    [Fact]
    public void Eventfd_and_signalfd_are_in_fdinfo_as_they_were_made()
    {
        using var eventFd = new Fd(Sys.EventFd(26, EventFdFlags.EFD_SEMAPHORE | EventFdFlags.EFD_CLOEXEC).OrThrow("eventfd2").Int32);
        FdInfo info = FdInfo.Read(Sys.GetPid(), eventFd.Number);
        Assert.Equal((26UL, true), (info.EventCount, info.EventSemaphore));
        using var signalFd = new Fd(Sys.SignalFd(-1, 0x8000000000000201, SignalFdFlags.SFD_CLOEXEC).OrThrow("signalfd4").Int32);
        Assert.Equal(0x8000000000000201UL, FdInfo.Read(Sys.GetPid(), signalFd.Number).SignalMask);
    }

    [Fact]
    public void Timerfd_keeps_its_time_and_ticks()
    {
        using var timer = new Fd(Sys.TimerFdCreate(ClockId.CLOCK_MONOTONIC, TimerFdConstants.TFD_CLOEXEC).OrThrow("timerfd_create").Int32);
        var time = new Itimerspec
        {
            it_interval = Timespec.FromNanoseconds(1_000_000_005),
            it_value = Timespec.FromNanoseconds(100_000_000_007),
        };
        Sys.TimerFdSetTime(timer.Number, 0, in time).OrThrow("timerfd_settime");
        SysResult ticks = Sys.TimerFdSetTicks(timer.Number, 3);
        Sys.TimerFdGetTime(timer.Number, out Itimerspec left).OrThrow("timerfd_gettime");
        Assert.InRange(left.it_value.Nanoseconds, 90_000_000_000, 100_000_000_007);
        FdInfo info = FdInfo.Read(Sys.GetPid(), timer.Number);
        Assert.Equal((1, 1_000_000_005), (info.Timer!.ClockId, info.Timer.IntervalNanoseconds));

        // ENOTTY: a kernel without CONFIG_CHECKPOINT_RESTORE.
        Assert.True(ticks.Errno == Errno.ENOTTY || info.Timer.Ticks == 3);
    }

    [Fact]
    public void Epoll_and_inotify_are_in_fdinfo_as_they_were_made()
    {
        using var eventFd = new Fd(Sys.EventFd(1, EventFdFlags.EFD_CLOEXEC).OrThrow("eventfd2").Int32);
        using var epoll = new Fd(Sys.EpollCreate().OrThrow("epoll_create1").Int32);
        var wanted = new EpollEvent { events = Epoll.EPOLLIN | Epoll.EPOLLET, data = 0xdeadbeefcafebabe };
        Sys.EpollControl(epoll.Number, Epoll.EPOLL_CTL_ADD, eventFd.Number, wanted).OrThrow("epoll_ctl");
        EpollTarget target = Assert.Single(FdInfo.Read(Sys.GetPid(), epoll.Number).EpollTargets);
        Assert.Equal((eventFd.Number, 0xdeadbeefcafebabeUL), (target.Fd, target.Data));
        Span<EpollEvent> events = new EpollEvent[2];
        Assert.Equal(1, Sys.EpollWait(epoll.Number, events, 0).Int32);
        Assert.Equal((Epoll.EPOLLIN, 0xdeadbeefcafebabeUL), (events[0].events, events[0].data));

        using var inotify = new Fd(Sys.InotifyInit().OrThrow("inotify_init1").Int32);
        SysResult next = Sys.InotifySetNextWatch(inotify.Number, 7);
        int watch = Sys.InotifyAddWatch(inotify.Number, "/tmp", Inotify.IN_ALL_EVENTS).OrThrow("inotify_add_watch").Int32;
        Assert.True(next.Errno == Errno.ENOTTY || watch == 7);
        Assert.Equal(watch, Assert.Single(FdInfo.Read(Sys.GetPid(), inotify.Number).InotifyWatches).Watch);
    }

    [Fact]
    public void Tee_leaves_a_pipe_as_it_was()
    {
        Sys.Pipe(out int r, out int w, OpenFlags.O_CLOEXEC).OrThrow("pipe2");
        using var read = new Fd(r);
        using var write = new Fd(w);
        Sys.Pipe(out int r2, out int w2, OpenFlags.O_CLOEXEC).OrThrow("pipe2");
        using var copyRead = new Fd(r2);
        using var copyWrite = new Fd(w2);
        Sys.Write(write.Number, "content"u8).OrThrow("write");
        Assert.Equal(7, Sys.Tee(read.Number, copyWrite.Number, 65536, SpliceFlags.SPLICE_F_NONBLOCK).Int32);
        byte[] data = new byte[16];
        Assert.Equal(7, Sys.Read(copyRead.Number, data).Int32);
        Assert.Equal(7, Sys.Read(read.Number, data).Int32);
        Assert.True(data.AsSpan(0, 7).SequenceEqual("content"u8));
    }

    [Fact]
    public void Files_have_owner_mode_times_locks_and_handles()
    {
        string directory = Path.Combine(Path.GetTempPath(), $"firn-{Environment.ProcessId}-files");
        Sys.MkdirAt(At.AT_FDCWD, directory, 0x1c0).OrThrow("mkdir");
        try
        {
            using Fd file = Sys.Open(directory + "/a", OpenFlags.O_CREAT | OpenFlags.O_RDWR, 0x180);
            Sys.Fallocate(file.Number, AllocateMode.None, 0, 8192).OrThrow("fallocate");
            Sys.Fchmod(file.Number, 0x1a0).OrThrow("fchmod");
            Sys.Fchown(file.Number, uint.MaxValue, uint.MaxValue).OrThrow("fchown");
            Sys.UtimensAt(file.Number, null, Timespec.FromNanoseconds(1_000_000_002), Timespec.FromNanoseconds(3_000_000_004))
                .OrThrow("utimensat");
            Sys.Flock(file.Number, FlockOperation.LOCK_EX).OrThrow("flock");
            Sys.Fdatasync(file.Number).OrThrow("fdatasync");
            Sys.Fstat(file.Number, out FileStat stat).OrThrow("fstat");
            Assert.Equal((8192L, 0x1a0u), (stat.st_size, stat.st_mode & 0xfff));
            Assert.Equal((1UL, 2UL, 3UL, 4UL), (stat.st_atime, stat.st_atime_nsec, stat.st_mtime, stat.st_mtime_nsec));
            FileLock held = Assert.Single(FdInfo.Read(Sys.GetPid(), file.Number).Locks);
            Assert.Equal((FileLockKind.Flock, true, stat.st_ino), (held.Kind, held.Write, held.Inode));

            Sys.LinkAt(At.AT_FDCWD, directory + "/a", At.AT_FDCWD, directory + "/b").OrThrow("linkat");
            Assert.Equal(8192L, Sys.CopyFileRange(file.Number, 0, file.Number, 8192, 8192).OrThrow("copy_file_range").Int64);
            Sys.FstatFs(file.Number, out StatFs byFd).OrThrow("fstatfs");
            Sys.StatFs(directory, out StatFs byPath).OrThrow("statfs");
            Assert.Equal(byFd.f_type, byPath.f_type);

            SysResult named = Sys.NameToHandleAt(file.Number, string.Empty, out FileHandle? handle, out int mount, At.AT_EMPTY_PATH);
            if (!named.IsError)
            {
                Assert.Equal(FdInfo.Read(Sys.GetPid(), file.Number).MountId, mount);
                using var again = new Fd(Sys.OpenByHandleAt(file.Number, handle!, OpenFlags.O_PATH).OrThrow("open_by_handle_at").Int32);
                Assert.StartsWith(directory, FdList.ReadLink(Sys.GetPid(), again.Number), StringComparison.Ordinal);
            }
        }
        finally
        {
            Sys.UnlinkAt(At.AT_FDCWD, directory + "/a");
            Sys.UnlinkAt(At.AT_FDCWD, directory + "/b");
            Sys.RmdirAt(At.AT_FDCWD, directory).OrThrow("rmdir");
        }
    }

    [Fact]
    public void A_pseudoterminal_has_settings_size_and_index()
    {
        using Fd master = Sys.Open("/dev/ptmx", OpenFlags.O_RDWR | OpenFlags.O_NOCTTY);
        Sys.TerminalLock(master.Number, locked: false).OrThrow("TIOCSPTLCK");
        Sys.TerminalIndex(master.Number, out int index).OrThrow("TIOCGPTN");
        Assert.Equal(index, FdInfo.Read(Sys.GetPid(), master.Number).TtyIndex);
        using var slave = new Fd(Sys.TerminalOpenPeer(master.Number, OpenFlags.O_RDWR | OpenFlags.O_NOCTTY).OrThrow("TIOCGPTPEER").Int32);
        Sys.TerminalGet(slave.Number, out Termios2 settings).OrThrow("TCGETS2");
        Assert.Equal(4, settings.c_cc[TerminalFlags.VEOF]);
        settings.c_lflag &= ~TerminalFlags.ECHO;
        Sys.TerminalSet(slave.Number, settings).OrThrow("TCSETS2");
        Sys.TerminalGet(master.Number, out Termios2 after).OrThrow("TCGETS2");
        Assert.Equal(0u, after.c_lflag & TerminalFlags.ECHO);
        Sys.TerminalSetSize(master.Number, new Winsize { ws_row = 33, ws_col = 99 }).OrThrow("TIOCSWINSZ");
        Sys.TerminalGetSize(slave.Number, out Winsize size).OrThrow("TIOCGWINSZ");
        Assert.Equal((33, 99), (size.ws_row, size.ws_col));
        Sys.TerminalPacketMode(master.Number, out int packet).OrThrow("TIOCGPKT");
        Assert.Equal(0, packet);
        Assert.Equal(Errno.ENOTTY, Sys.TerminalSession(master.Number, out _).Errno);
        Sys.TerminalGroup(master.Number, out int group).OrThrow("TIOCGPGRP");
        Assert.Equal(0, group);
    }

    [Fact]
    public void Scheduling_limits_and_the_robust_list_of_this_thread()
    {
        Sys.SchedGetAttr(0, out SchedAttr attributes).OrThrow("sched_getattr");
        Assert.Equal(SchedPolicy.SCHED_NORMAL, attributes.sched_policy);
        Sys.SchedSetAttr(0, attributes).OrThrow("sched_setattr");
        Assert.Equal(20 - attributes.sched_nice, Sys.GetPriority(PriorityWhich.PRIO_PROCESS, 0).Int32);
        Sys.GetLimit(0, ResourceLimit.RLIMIT_NOFILE, out Rlimit64 limit).OrThrow("prlimit64");
        Assert.True(limit.rlim_cur <= limit.rlim_max);
        Sys.SetLimit(0, ResourceLimit.RLIMIT_NOFILE, limit).OrThrow("prlimit64");
        Sys.GetRobustList(0, out ulong head, out ulong length).OrThrow("get_robust_list");
        Assert.True(head != 0 && length == 24);
    }

    [Fact]
    public void A_scan_finds_the_pages_that_were_touched()
    {
        using MappedMemory memory = MappedMemory.Anonymous(16 * Kernel.PageSize);
        memory.Slice(2 * Kernel.PageSize, 1)[0] = 1;
        memory.Slice(3 * Kernel.PageSize, 1)[0] = 1;
        memory.Slice(9 * Kernel.PageSize, 1)[0] = 1;
        using Fd pagemap = Sys.Open("/proc/self/pagemap", OpenFlags.O_RDONLY);
        var arguments = new PmScanArg
        {
            start = (ulong)memory.Address,
            end = (ulong)(memory.Address + memory.Length),
            category_mask = PageCategories.PAGE_IS_PRESENT,
            return_mask = PageCategories.PAGE_IS_PRESENT,
        };
        Span<PageRegion> regions = new PageRegion[4];
        Assert.Equal(2, Sys.PagemapScan(pagemap.Number, ref arguments, regions).OrThrow("PAGEMAP_SCAN").Int32);
        Assert.Equal((ulong)memory.Address + (2 * Kernel.PageSize), regions[0].start);
        Assert.Equal((ulong)memory.Address + (4 * Kernel.PageSize), regions[0].end);
        Assert.Equal((ulong)memory.Address + (9 * Kernel.PageSize), regions[1].start);
        Assert.Equal(arguments.end, arguments.walk_end);
    }

    [Fact]
    public void Mapped_memory_is_inside_or_an_exception()
    {
        MappedMemory memory = MappedMemory.Anonymous(Kernel.PageSize, shared: true);
        Encoding.ASCII.GetBytes("x").CopyTo(memory.Span);
        Assert.Equal(Kernel.PageSize, memory.Span.Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Slice(4096, 1).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Slice(0, 4097).Length);
        Assert.Throws<LinuxException>(() => MappedMemory.Map(-1, 0, 4096, ProtectionFlags.PROT_READ, MapFlags.MAP_PRIVATE));
        memory.Dispose();
        memory.Dispose();
        Assert.Throws<ObjectDisposedException>(() => memory.Address);
    }

    [Fact]
    public void Random_bytes_fill_the_span()
    {
        Span<byte> bytes = stackalloc byte[64];
        Assert.Equal(64, Sys.GetRandom(bytes).Int32);
        Assert.True(bytes.ContainsAnyExcept((byte)0));
    }
}
