using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Google.Protobuf;

namespace Firn.Engine.Kinds.Files;

/// <content>What waits in a pair.</content>
internal sealed partial class Terminal
{
    private const OpenFlags PeerFlags = OpenFlags.O_RDWR | OpenFlags.O_NOCTTY | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC;

    // ---- dump

    /// <summary>
    /// Saves what waits in both directions, when the master is saved. Of a pair whose master is outside it is not the tree's.
    /// </summary>
    private static void DumpData(DumpContext context, OpenFile master, TtyInfoEntry info)
    {
        int fd = master.Taken.Number;
        SysResult opened = FindSlave(context, IndexOf(master)) is { } slave
            ? Sys.Fcntl(slave.Taken.Number, FcntlCommand.F_DUPFD_CLOEXEC)
            : new SysResult(-(nint)Errno.ENOENT);
        if (opened.IsError)
        {
            // Never opened, and nothing can have been written by it; or closed: then to open and close it once more changes nothing.
            if ((PollOf(fd) & PollEvents.POLLHUP) == 0)
            {
                return;
            }

            info.HungUp = true;

            opened = Unlocked(fd, info.Locked, () => Sys.TerminalOpenPeer(fd, PeerFlags));
        }

        using var slaveFd = new Fd(opened.OrThrow($"ioctl({master.Resource}, TIOCGPTPEER)").Int32);
        TerminalContent content = Exchange(fd, slaveFd.Number, info, master.Resource);
        if (content.MasterStop != TerminalStop.None)
        {
            info.Stopped = (uint)content.MasterStop;
        }

        uint slaveId = info.Id - 1;
        Note(context.Files.State.Get<Dumped>(), slaveId, (uint)content.SlaveStop);
        AddData(context, info.Id, content.Output, 0);
        AddData(context, slaveId, content.Input, content.Unprocessed);
    }

    private static void Note(Dumped state, uint slaveId, uint stop)
    {
        if (stop == 0)
        {
            return;
        }

        state.Stops[slaveId] = stop;
        if (state.ById.TryGetValue(slaveId, out TtyInfoEntry? slave))
        {
            slave.Stopped = stop;
        }
    }

    private static void AddData(DumpContext context, uint id, byte[] data, int unprocessed)
    {
        if (data.Length > 0)
        {
            var entry = new TtyDataEntry { TtyId = id, Data = ByteString.CopyFrom(data) };
            if (unprocessed > 0)
            {
                entry.Unprocessed = (uint)unprocessed;
            }

            context.Images.Add(ImageKind.TtyData, 0, entry);
        }
    }

    private static TerminalContent Exchange(int master, int slave, TtyInfoEntry info, string name)
    {
        Sys.TerminalGet(slave, out Termios2 found).OrThrow($"ioctl({name}, TCGETS2)");
        if (IsKnownEmpty(master, slave, found))
        {
            return default(TerminalContent) with { Output = [], Input = [] };
        }

        Sys.IoctlGet(slave, TerminalIoctl.TIOCGLCKTRMIOS, out Termios2 locked).OrThrow($"ioctl({name}, TIOCGLCKTRMIOS)");
        bool isLocked = IsLocking(locked);
        if (isLocked)
        {
            Termios2 none = default;
            Sys.Ioctl(slave, TerminalIoctl.TIOCSLCKTRMIOS, ref none).OrThrow($"ioctl({name}, TIOCSLCKTRMIOS)");
        }

        var content = new TerminalContent([], [], 0, TerminalStop.None, TerminalStop.None);
        SetPacketMode(master, info.PacketMode ? 0 : null, name);
        using var queues = new TerminalQueues(master, slave, name);
        try
        {
            queues.Take(found, taken => content = taken);
        }
        finally
        {
            queues.Put(content, found, () =>
            {
                Sys.TerminalSet(slave, found).OrThrow($"ioctl({name}, TCSETS2)");
                if (isLocked)
                {
                    Sys.Ioctl(slave, TerminalIoctl.TIOCSLCKTRMIOS, ref locked).OrThrow($"ioctl({name}, TIOCSLCKTRMIOS)");
                }
            });
            SetPacketMode(master, info.PacketMode ? 1 : null, name);
        }

        return content;
    }

    // In canonical mode a line that is not complete can't be seen; in raw mode, as of shells and editors, nothing has to be touched.
    private static bool IsKnownEmpty(int master, int slave, in Termios2 found)
        => (found.c_lflag & TerminalFlags.ICANON) == 0
        && ((PollOf(master) | PollOf(slave)) & PollEvents.POLLIN) == 0
        && Sys.IoctlGet(slave, TerminalIoctl.TIOCINQ, out int waiting) is { IsError: false }
        && waiting == 0
        && TerminalQueues.IsWritable(slave)
        && TerminalQueues.IsWritable(master);

    private static OpenFile? FindSlave(DumpContext context, int index)
        => context.Files.Files.FirstOrDefault(
            file => file is { IsDescriptor: true, IsPathOnly: false } && SideOf(file) == Side.Slave && IndexOf(file) == index);

    private static bool IsLocking(in Termios2 mask)
    {
        bool any = (mask.c_iflag | mask.c_oflag | mask.c_cflag | mask.c_lflag | mask.c_line) != 0;
        foreach (byte character in mask.c_cc)
        {
            any |= character != 0;
        }

        return any;
    }

    // ---- both

    private static PollEvents PollOf(int fd)
    {
        Pollfd[] poll = [new Pollfd { fd = fd, events = PollEvents.POLLIN | PollEvents.POLLPRI }];
        Sys.Poll(poll, 0).OrThrow("poll(terminal)");
        return poll[0].revents;
    }

    /// <summary>A locked pair can't be opened, so the lock is off for the moment.</summary>
    private static SysResult Unlocked(int master, bool isLocked, Func<SysResult> work)
    {
        if (!isLocked)
        {
            return work();
        }

        Sys.TerminalLock(master, false).OrThrow("ioctl(master, TIOCSPTLCK)");
        SysResult result = work();
        Sys.TerminalLock(master, true).OrThrow("ioctl(master, TIOCSPTLCK)");
        return result;
    }

    private static void SetPacketMode(int master, int? wanted, string name)
    {
        if (wanted is int mode)
        {
            Sys.Ioctl(master, TerminalIoctl.TIOCPKT, ref mode).OrThrow($"ioctl({name}, TIOCPKT)");
        }
    }

    // ---- restore

    /// <summary>Gives a pair its settings and all that waits in it: once for both sides.</summary>
    private static void RestorePair(RestoreContext context, Pair pair, TtyInfoEntry? masterInfo, TtyInfoEntry? slaveInfo)
    {
        TtyInfoEntry info = slaveInfo?.Termios is null ? masterInfo ?? slaveInfo! : slaveInfo;
        string name = $"terminal {info.Id}";
        TtyDataEntry? output = FindData(context, masterInfo);
        TtyDataEntry? input = context.Images.All<TtyDataEntry>(ImageKind.TtyData).FirstOrDefault(data => data.TtyId == info.Pty.Index << 1);
        int waiting = input?.Data.Length ?? 0;
        var content = new TerminalContent(
            output?.Data.ToByteArray() ?? [],
            input?.Data.ToByteArray() ?? [],
            (int)Math.Min(input?.Unprocessed ?? 0, (uint)waiting),
            (TerminalStop)(slaveInfo?.Stopped ?? 0),
            (TerminalStop)(masterInfo?.Stopped ?? 0));
        if (slaveInfo is null && masterInfo is { HungUp: false } && content.IsEmpty)
        {
            // A slave that no one has opened stays so; its settings can be had from the master.
            Settle();
            return;
        }

        using var slave = new Fd(
            Sys.TerminalOpenPeer(pair.Master.Number, PeerFlags).OrThrow($"ioctl({name}, TIOCGPTPEER)").Int32);
        using var queues = new TerminalQueues(pair.Master.Number, slave.Number, name);
        queues.Put(content, info.Termios is null ? default : FromEntry(info.Termios), Settle);

        void Settle()
        {
            if (info.Termios is not null)
            {
                RestoreSettings(pair.Master.Number, info);
            }
        }
    }

    private static TtyDataEntry? FindData(RestoreContext context, TtyInfoEntry? info)
        => info is null ? null : context.Images.All<TtyDataEntry>(ImageKind.TtyData).FirstOrDefault(data => data.TtyId == info.Id);
}
