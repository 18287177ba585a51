using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Files;

/// <content>The restore half.</content>
internal sealed partial class Terminal
{
    private const int MaxFillers = 4096;
    private const string PtmxName = "ptmx";
    private const string Multiplexer = "/dev/" + PtmxName;
    private const string StandardPtmx = "/dev/pts/" + PtmxName;

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        TtyFileEntry file = entry.Tty;
        Pairs state = context.Files.State.Get<Pairs>();
        TtyInfoEntry info = state.InfoOf(context, file.TtyInfoId);
        OpenFlags flags = ((OpenFlags)file.Flags & ~OpenFlags.O_ASYNC) | OpenFlags.O_NOCTTY;
        if (info.Type == TtyType.Ctty)
        {
            return state.FindOfSession(context, entry.Id) is { } own && IsMadeHere(context, state, own)
                ? OpenSlave(state.PairOf(context, own.Pty.Index), own, flags)
                : OpenCaller(context, info, flags);
        }

        if (info.Type != TtyType.Pty || info.Pty is null)
        {
            throw new CheckpointException($"terminal {info.Id} is a {info.Type}, which Firn can't restore");
        }

        uint slaveId = info.Pty.Index << 1;
        bool isMaster = info.Id != slaveId;
        if (!isMaster && info.Termios is not null && !IsMadeHere(context, state, info))
        {
            Fd caller = OpenCaller(context, info, flags);
            RestoreSettings(caller.Number, info);
            return caller;
        }

        Pair pair = state.PairOf(context, info.Pty.Index);
        return isMaster ? pair.TakeMaster(flags) : OpenSlave(pair, info, flags);
    }

    /// <inheritdoc/>
    /// <remarks>Content first, settings after: it is put back past all processing anyway.</remarks>
    public override void Link(RestoreContext context, FileEntry entry, Fd fd)
    {
        Pairs state = context.Files.State.Get<Pairs>();
        TtyInfoEntry info = state.InfoOf(context, entry.Tty.TtyInfoId);
        if (info.Pty is null || !state.Linked.Add(info.Id) || !state.ByIndex.TryGetValue(info.Pty.Index, out Pair? pair))
        {
            return;
        }

        bool isMaster = (info.Id & 1) != 0;
        if (state.Filled.Add(info.Pty.Index))
        {
            uint slaveId = info.Pty.Index << 1;
            RestorePair(context, pair, state.Find(context, slaveId + 1), state.Find(context, slaveId));
        }

        if (isMaster)
        {
            int packets = info.PacketMode ? 1 : 0;
            Sys.Ioctl(pair.Master.Number, TerminalIoctl.TIOCPKT, ref packets).OrThrow($"ioctl(master {info.Pty.Index}, TIOCPKT)");
            Sys.TerminalLock(pair.Master.Number, info.Locked).OrThrow($"ioctl(master {info.Pty.Index}, TIOCSPTLCK)");
        }
        else if (info.HasUid)
        {
            Sys.Fchown(fd.Number, info.Uid, info.Gid).OrThrow($"fchown(pts {info.Pty.Index})");
        }

        // What was hung up, and so has no settings, has lost its master for good.
        bool isAlone = !isMaster && info.Termios is not null && !state.HasMaster(context, info.Id + 1) && IsOrphan(context, info);
        if (isAlone && !context.Hooks.OfferTerminal(pair.Master.Number))
        {
            throw new CheckpointException(
                $"no one takes the master of terminal {info.Pty.Index}, whose program is outside of the tree; --orphan-pts-master is for a "
                    + "container engine that asks for it");
        }
    }

    /// <inheritdoc/>
    public override void Attach(RestoreContext context, FileEntry entry, RestoredTask task, FdinfoEntry descriptor, RemoteBatch batch)
    {
        FileOwner.Attach(entry.Tty.Flags, descriptor, batch);
        TtyInfoEntry info = context.Files.State.Get<Pairs>().InfoOf(context, entry.Tty.TtyInfoId);
        bool isSlave = info.Pty is { } pty && info.Id == pty.Index << 1;
        if (!isSlave || info.Sid == 0)
        {
            return;
        }

        // The session leader takes its terminal, and so the leader knows it again: a call that may be made twice.
        if (task.Entry.Pid == info.Sid)
        {
            batch.Call(Sysno.ioctl, descriptor.Fd, TerminalIoctl.TIOCSCTTY, 0);
            if (info.Pgrp != 0)
            {
                batch.Call(Sysno.ioctl, descriptor.Fd, TerminalIoctl.TIOCSPGRP, batch.Data(context.GroupFor(task, (int)info.Pgrp)));
            }
        }
        else if (context.Options.ShellJob && task.Parent is null && info.Pgrp == task.Entry.Pgid)
        {
            // The session is the caller's: the job that was in the foreground is so again, if the caller's terminal is that of its session.
            batch.Try(Sysno.ioctl, descriptor.Fd, TerminalIoctl.TIOCSPGRP, batch.Data((int)info.Pgrp));
        }
    }

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd)
    {
        FileOwner.Arm(context, entry.Tty.Fown, fd, $"terminal {entry.Tty.TtyInfoId}");
        TtyInfoEntry info = context.Files.State.Get<Pairs>().InfoOf(context, entry.Tty.TtyInfoId);
        if (info.Exclusive)
        {
            // Last: no one can open it any more.
            Sys.Ioctl(fd.Number, TerminalIoctl.TIOCEXCL).OrThrow($"ioctl(terminal {info.Id}, TIOCEXCL)");
        }
    }

    private static Fd OpenSlave(Pair pair, TtyInfoEntry info, OpenFlags flags)
        => new(Sys.TerminalOpenPeer(
            pair.Master.Number, flags | OpenFlags.O_CLOEXEC).OrThrow($"ioctl(pts {info.Pty.Index}, TIOCGPTPEER)").Int32);

    private static bool IsMadeHere(RestoreContext context, Pairs state, TtyInfoEntry slave)
        => state.HasMaster(context, (slave.Pty.Index << 1) + 1) || IsOrphan(context, slave);

    // Its program is gone, and whoever asked for the restore takes the master of a new one.
    private static bool IsOrphan(RestoreContext context, TtyInfoEntry info)
        => context.Options.OrphanTerminals && !context.Options.InheritFd.ContainsKey($"tty[{ExternalId(info.Rdev, info.Dev)}]");

    private static Fd OpenCaller(RestoreContext context, TtyInfoEntry info, OpenFlags flags)
    {
        if (context.Options.InheritFd.TryGetValue($"tty[{ExternalId(info.Rdev, info.Dev)}]", out int inherited))
        {
            return Sys.Open(NamespaceVisit.PathOf(inherited), flags);
        }

        if (!context.Options.ShellJob)
        {
            throw new CheckpointException(
                $"terminal {info.Id} (pts {info.Pty?.Index}) belongs to a program outside of the tree; restore with --shell-job from a "
                    + "terminal that takes its place");
        }

        if (info.Type == TtyType.Ctty)
        {
            return Sys.Open("/dev/tty", flags);
        }

        return Sys.TerminalGet(0, out _).IsError
            ? throw new CheckpointException(
                $"restore: --shell-job puts the caller's terminal in place of pts {info.Pty?.Index}, but standard input is none")
            : Sys.Open(NamespaceVisit.PathOf(0), flags);
    }

    private static void RestoreSettings(int fd, TtyInfoEntry info)
    {
        string name = $"terminal {info.Id}";
        Termios2 settings = FromEntry(info.Termios);
        if (settings.c_ospeed == 0)
        {
            // Without speeds, as TCGETS leaves them: those that the flags say.
            Sys.Ioctl(fd, TerminalIoctl.TCSETS, ref settings).OrThrow($"ioctl({name}, TCSETS)");
        }
        else
        {
            Sys.TerminalSet(fd, settings).OrThrow($"ioctl({name}, TCSETS2)");
        }

        if (info.Winsize is { } size)
        {
            var window = new Winsize
            {
                ws_row = (ushort)size.WsRow,
                ws_col = (ushort)size.WsCol,
                ws_xpixel = (ushort)size.WsXpixel,
                ws_ypixel = (ushort)size.WsYpixel,
            };
            Sys.TerminalSetSize(fd, window).OrThrow($"ioctl({name}, TIOCSWINSZ)");
        }

        // What is locked can't be set any more, so this comes last.
        if (info.TermiosLocked is { } locked)
        {
            Termios2 mask = FromEntry(locked);
            Sys.Ioctl(fd, TerminalIoctl.TIOCSLCKTRMIOS, ref mask).OrThrow($"ioctl({name}, TIOCSLCKTRMIOS)");
        }
    }

    private static Termios2 FromEntry(TermiosEntry entry)
    {
        var settings = new Termios2
        {
            c_iflag = entry.CIflag,
            c_oflag = entry.COflag,
            c_cflag = entry.CCflag,
            c_lflag = entry.CLflag,
            c_line = (byte)entry.CLine,
            c_ispeed = entry.CIspeed,
            c_ospeed = entry.COspeed,
        };
        Span<byte> characters = settings.c_cc;
        for (int i = 0; i < Math.Min(characters.Length, entry.CCc.Count); i++)
        {
            characters[i] = (byte)entry.CCc[i];
        }

        return settings;
    }

    /// <summary>A pair under restore.</summary>
    private sealed class Pair(Fd master) : IDisposable
    {
        public Fd Master { get; } = master;

        /// <summary>Gives a descriptor of the master. It has one description: to open /dev/ptmx is to make another pair.</summary>
        public Fd TakeMaster(OpenFlags flags)
        {
            Sys.Fcntl(Master.Number, FcntlCommand.F_SETFL, (nint)(flags & FileOwner.Settable)).OrThrow("fcntl(master, F_SETFL)");
            return new Fd(Sys.Fcntl(Master.Number, FcntlCommand.F_DUPFD_CLOEXEC).OrThrow("fcntl(master, F_DUPFD_CLOEXEC)").Int32);
        }

        public void Dispose() => Master.Dispose();
    }

    private sealed class Pairs : IDisposable
    {
        private Dictionary<uint, TtyInfoEntry>? infos;

        public Dictionary<uint, Pair> ByIndex { get; } = [];

        public HashSet<uint> Linked { get; } = [];

        /// <summary>The indices of pairs that have their settings and content.</summary>
        public HashSet<uint> Filled { get; } = [];

        /// <summary>The terminal of an id, or null.</summary>
        public TtyInfoEntry? Find(RestoreContext context, uint id)
            => context.Images.All<TtyInfoEntry>(ImageKind.TtyInfo).FirstOrDefault(info => info.Id == id);

        public TtyInfoEntry InfoOf(RestoreContext context, uint id)
        {
            infos ??= context.Images.All<TtyInfoEntry>(ImageKind.TtyInfo).ToDictionary(info => info.Id);
            return infos.TryGetValue(id, out TtyInfoEntry? info)
                ? info
                : throw new ImageFormatException(
                    ImageKind.TtyInfo.FileName(0), 0, "tty-info", $"has no terminal {id}, which files.img names");
        }

        /// <summary>
        /// The terminal of the session of whoever holds a file: what /dev/tty stood for. Opened by its own name, it is the same.
        /// </summary>
        public TtyInfoEntry? FindOfSession(RestoreContext context, uint fileId)
        {
            uint session = context.Tasks.Find(task => task.Descriptors.Any(one => one.Id == fileId))?.Entry.Sid ?? 0;
            return session == 0 ? null : context.Images.All<TtyInfoEntry>(ImageKind.TtyInfo).FirstOrDefault(
                info => info.Sid == session && info.Type == TtyType.Pty && info.Pty is { } pty && info.Id == pty.Index << 1);
        }

        public bool HasMaster(RestoreContext context, uint masterId)
            => context.Files.Entries.Values.Any(entry => entry.Tty?.TtyInfoId == masterId);

        /// <summary>The pair of an index: made anew, with the same index if that is free.</summary>
        /// <remarks>The kernel gives the lowest free index; so fillers take all below, and are closed again.</remarks>
        public Pair PairOf(RestoreContext context, uint index)
        {
            if (ByIndex.TryGetValue(index, out Pair? pair))
            {
                return pair;
            }

            if (MountNamespace.TakeTerminal(context, (int)index) is { } mounted)
            {
                Sys.TerminalLock(mounted.Number, false).OrThrow($"ioctl(master {index}, TIOCSPTLCK)");
                ByIndex.Add(index, pair = new Pair(mounted));
                return pair;
            }

            string multiplexer = MultiplexerOf(context, index);
            var fillers = new List<Fd>();
            try
            {
                while (true)
                {
                    Fd master = Sys.Open(multiplexer, OpenFlags.O_RDWR | OpenFlags.O_NOCTTY);
                    Sys.TerminalIndex(master.Number, out int got).OrThrow($"ioctl({multiplexer}, TIOCGPTN)");
                    if (got < index && fillers.Count < MaxFillers)
                    {
                        fillers.Add(master);
                        continue;
                    }

                    if (got != index)
                    {
                        master.Dispose();
                        throw new RestoreConflictException(
                            $"terminal /dev/pts/{index} is taken by another program; close that, or restore into a mount namespace with "
                                + "its own devpts");
                    }

                    // Opened by TIOCGPTPEER, which needs it unlocked.
                    Sys.TerminalLock(master.Number, false).OrThrow($"ioctl({multiplexer}, TIOCSPTLCK)");
                    ByIndex.Add(index, pair = new Pair(master));
                    return pair;
                }
            }
            finally
            {
                fillers.ForEach(filler => filler.Dispose());
            }
        }

        // Each instance of devpts has one. A slave lies beside it.
        private static string MultiplexerOf(RestoreContext context, uint index)
        {
            foreach (FileEntry entry in context.Files.Entries.Values.Where(entry => entry.Tty?.TtyInfoId >> 1 == index))
            {
                string? name = context.Files.Entries.GetValueOrDefault(entry.Tty.RegfId)?.Reg?.Name;
                string? found = name is null || Path.GetFileName(name) == PtmxName
                    ? name
                    : Path.Combine(Path.GetDirectoryName(name) ?? "/", PtmxName);
                if (found is not null && found != StandardPtmx && !Sys.StatAt(At.AT_FDCWD, found, out FileStat stat).IsError
                    && stat.st_rdev == DeviceNumber.Make(AlternateMajor, MasterMinor))
                {
                    return found;
                }
            }

            return Multiplexer;
        }

        public void Dispose()
        {
            foreach (Pair pair in ByIndex.Values)
            {
                pair.Dispose();
            }
        }
    }
}
