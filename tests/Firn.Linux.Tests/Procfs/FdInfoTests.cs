using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Xunit;

namespace Firn.Linux.Tests.Procfs;

/// <summary>fdinfo of every kind, recorded on Linux 6.18.</summary>
public class FdInfoTests
{
    [Fact]
    public void Every_descriptor_has_position_flags_mount_and_inode()
    {
        FdInfo info = FdInfo.Parse(Texts.Lines("pos:\t4096", "flags:\t02100002", "mnt_id:\t27", "ino:\t11657505"));
        Assert.Equal(4096, info.Position);
        Assert.Equal(OpenFlags.O_RDWR | OpenFlags.O_LARGEFILE | OpenFlags.O_CLOEXEC, info.Flags);
        Assert.Equal((27, 11657505UL), (info.MountId, info.Inode));
        Assert.Null(info.EventCount);
        Assert.Empty(info.Locks);
    }

    [Fact]
    public void The_count_of_an_eventfd_is_hexadecimal()
    {
        FdInfo info = FdInfo.Parse(Texts.Lines("pos:\t0", "eventfd-count:               1a", "eventfd-id: 1", "eventfd-semaphore: 1"));
        Assert.Equal(26UL, info.EventCount);
        Assert.True(info.EventSemaphore);
        Assert.Equal(0xfffffffffffffffeUL, FdInfo.Parse(Texts.Lines("eventfd-count: fffffffffffffffe")).EventCount);
    }

    [Fact]
    public void A_timerfd_has_its_times_in_nanoseconds()
    {
        FdInfo info = FdInfo.Parse(Texts.Lines(
            "clockid: 1", "ticks: 3", "settime flags: 01", "it_value: (99, 999970018)", "it_interval: (1, 5)"));
        Assert.Equal(new TimerFdInfo(1, 3, 1, 99_999_970_018, 1_000_000_005), info.Timer);
    }

    [Fact]
    public void An_io_uring_has_its_counters_what_waits_and_what_is_registered()
    {
        IoUringInfo ring = FdInfo.Parse(Texts.Lines(
            "SqMask:\t0x7", "SqHead:\t1", "SqTail:\t4294967295", "CachedSqHead:\t3", "CqMask:\t0xf", "CqHead:\t2", "CqTail:\t4",
            "CachedCqTail:\t5", "SQEs:\t2",
            "    0: opcode:NOP, fd:0, flags:0, off:0, addr:0x0, rw_flags:0x0, buf_index:0 user_data:5, e0:0x0, e1:0x0",
            "CQEs:\t1", "    3: user_data:0, res:0, flag:0, extra1:5, extra2:0", "", "SqThread:\t-1", "SqThreadCpu:\t-1",
            "SqTotalTime:\t0", "SqWorkTime:\t0", "UserFiles:\t4", "    1: /tmp/a\\040b", "    2: socket:[77]", "UserBufs:\t2",
            "    0: 0x7f00/4096", "    1: <none>", "PollList:", "  op=6, task_works=0", "CqOverflowList:",
            "  user_data=1, res=0, flags=0", "NAPI:\tdisabled")).IoUring!;
        Assert.Equal((7u, uint.MaxValue, 3u), (ring.SubmissionMask, ring.SubmissionTail, ring.Taken));
        Assert.Equal((15u, 2u, 4u, 5u), (ring.CompletionMask, ring.CompletionHead, ring.CompletionTail, ring.Completed));
        Assert.Equal((1, true, 1, true), (ring.ShownRequests, ring.HasWideRequests, ring.ShownCompletions, ring.HasWideCompletions));
        Assert.Equal((-1, 4, 2, 1, 1), (ring.Thread, ring.Files, ring.Buffers, ring.ArmedPolls, ring.Overflown));
        Assert.Equal([new(1, "/tmp/a b"), new(2, "socket:[77]")], ring.FileSlots);
        Assert.Equal([new IoUringBufferSlot(0, 0x7f00, 4096)], ring.BufferSlots);
        Assert.False(ring.PollsDevices);
        Assert.True(FdInfo.Parse(Texts.Lines("NAPI:\tenabled")).IoUring!.PollsDevices);
    }

    [Fact]
    public void A_signalfd_has_its_mask()
        => Assert.Equal(0x8000000000000201UL, FdInfo.Parse(Texts.Lines("sigmask:\t8000000000000201")).SignalMask);

    [Fact]
    public void An_epoll_has_its_targets_in_the_order_of_the_kernel()
    {
        FdInfo info = FdInfo.Parse(Texts.Lines(
            "tfd:        8 events: 80000019 data:                8  pos:0 ino:40e sdev:10",
            "tfd:       14 events: 8000001c data: deadbeefcafebabe  pos:-1 ino:3766 sdev:f"));
        Assert.Equal(
            [new EpollTarget(8, 0x80000019, 8, 0, 0x40e, 0x10), new EpollTarget(14, 0x8000001c, 0xdeadbeefcafebabe, -1, 0x3766, 0xf)],
            info.EpollTargets);
    }

    [Fact]
    public void An_inotify_has_its_watches_with_handles()
    {
        FdInfo info = FdInfo.Parse(Texts.Lines(
            "inotify wd:2 ino:59b sdev:fe00000 mask:80000fff ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:9b05000000000000",
            "inotify wd:1 ino:3c570 sdev:1f mask:100 ignored_mask:0 "));
        Assert.Equal(
            [
                new InotifyWatch(2, 0x59b, 0xfe00000, 0x80000fff, 0, new FileHandle(1, [0x9b, 5, 0, 0, 0, 0, 0, 0])),
                new InotifyWatch(1, 0x3c570, 0x1f, 0x100, 0, null),
            ],
            info.InotifyWatches);
    }

    [Fact]
    public void A_fanotify_has_marks_of_three_kinds()
    {
        FdInfo info = FdInfo.Parse(Texts.Lines(
            "fanotify flags:200 event-flags:8000",
            "fanotify sdev:fe00000 mflags:0 mask:2 ignored_mask:0",
            "fanotify ino:3c570 sdev:fe00000 mflags:0 mask:2 ignored_mask:1 fhandle-bytes:8 fhandle-type:1 f_handle:70c5030000000000",
            "fanotify mnt_id:1b mflags:40 mask:21 ignored_mask:0"));
        Assert.NotNull(info.Fanotify);
        Assert.Equal((0x200u, 0x8000u), (info.Fanotify.Flags, info.Fanotify.EventFlags));
        Assert.Equal(
            [
                new FanotifyMark(FanotifyMarkKind.FileSystem, 0, 0xfe00000, 0, 2, 0, null),
                new FanotifyMark(FanotifyMarkKind.Inode, 0x3c570, 0xfe00000, 0, 2, 1, new FileHandle(1, [0x70, 0xc5, 3, 0, 0, 0, 0, 0])),
                new FanotifyMark(FanotifyMarkKind.Mount, 0x1b, 0, 0x40, 0x21, 0, null),
            ],
            info.Fanotify.Marks);
    }

    [Fact]
    public void Terminal_pidfd_and_socket_lines()
    {
        Assert.Equal(0, FdInfo.Parse(Texts.Lines("tty-index:\t0")).TtyIndex);
        Assert.Equal(2, FdInfo.Parse(Texts.Lines("scm_fds: 2")).QueuedFds);
        FdInfo pidfd = FdInfo.Parse(Texts.Lines("Pid:\t4250", "NSpid:\t4250\t7"));
        Assert.Equal(4250, pidfd.Pid);
        Assert.Equal([4250, 7], pidfd.NSpid);
        Assert.Equal(-1, FdInfo.Parse(Texts.Lines("Pid:\t-1", "NSpid:\t-1")).Pid);
    }

    [Fact]
    public void Locks_in_fdinfo()
    {
        FdInfo info = FdInfo.Parse(Texts.Lines(
            "lock:\t1: POSIX  ADVISORY  WRITE 4209 fe:00:11657505 5 14", "lock:\t2: OFDLCK ADVISORY  READ -1 fe:00:11657505 100 EOF"));
        Assert.Equal(2, info.Locks.Count);
        Assert.Equal(
            new FileLock
            {
                Id = 1,
                Kind = FileLockKind.Posix,
                Write = true,
                Pid = 4209,
                DevMajor = 0xfe,
                Inode = 11657505,
                Start = 5,
                End = 14,
            },
            info.Locks[0]);
        Assert.Equal((FileLockKind.OpenFileDescription, -1, long.MaxValue), (info.Locks[1].Kind, info.Locks[1].Pid, info.Locks[1].End));
    }

    [Fact]
    public void All_locks_and_who_waits_for_them()
    {
        List<FileLock> locks = Locks.Parse(Texts.Lines(
            "1: LEASE  ACTIVE    READ 4209 fe:00:11657513 0 EOF",
            "2: LEASE  BREAKING  UNLCK 4209 fe:00:11657513 0 EOF",
            "3: FLOCK  ADVISORY  READ 4209 fe:00:11657512 0 EOF",
            "4: POSIX  ADVISORY  WRITE 4209 fe:00:11657505 5 14",
            "4: -> POSIX  ADVISORY  WRITE 4250 fe:00:11657505 5 14",
            "5: POSIX  *NOINODE* READ 0 <none>:0 0 EOF"));
        Assert.Equal(
            [FileLockKind.Lease, FileLockKind.Lease, FileLockKind.Flock, FileLockKind.Posix, FileLockKind.Posix, FileLockKind.Posix],
            locks.Select(held => held.Kind));
        Assert.True(locks[1].Breaking && locks[1].Unlocking && !locks[0].Breaking);
        Assert.True(locks[4].Waiting);
        Assert.Equal((4L, 4250), (locks[4].Id, locks[4].Pid));
        Assert.Equal(0UL, locks[5].Inode);
    }

    [Fact]
    public void A_number_that_is_missing_is_a_format_error()
        => Assert.Throws<FormatException>(() => FdInfo.Parse(Texts.Lines("pos:\t")));
}
