using System.Globalization;
using Firn.Engine.Kinds.Namespaces.Mounts;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Files;

/// <summary>Pseudo-terminals, both sides, and /dev/tty.</summary>
/// <remarks>
/// A pair whose master is in the tree is made anew, with what waits in it. A slave whose master is outside belongs to whoever started the
/// tree: at the restore it becomes the caller's terminal, if that was asked for. pty(7), ioctl_tty(2), drivers/tty/pty.c.
/// </remarks>
internal sealed partial class Terminal : FileKind
{
    private const uint FirstSlaveMajor = 136;
    private const uint LastSlaveMajor = 143;
    private const uint AlternateMajor = 5;
    private const uint ControllingMinor = 0;
    private const uint MasterMinor = 2;

    // CRIU's numbering: an index above those of all pseudo-terminals.
    private const int ControllingIndex = 1006;

    private enum Side
    {
        None,
        Master,
        Slave,
        Controlling,
    }

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Tty;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => file.IsDescriptor && !file.IsPathOnly && SideOf(file) != Side.None;

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        FileOwner.Examine(context, file);
        switch (SideOf(file))
        {
            case Side.Slave when !HasMaster(context, file) && !context.Options.ShellJob && !IsHungUp(file) && !IsExternal(context, file):
                context.Problems.Add(
                    "shell-job",
                    file.Owner.Pid,
                    file.Resource,
                    "it is a terminal of a program outside of the tree",
                    "allow it with --shell-job, also at the restore, where the caller's terminal takes its place");
                break;
            case Side.Master when (PollOf(file.Taken.Number) & PollEvents.POLLPRI) != 0:
                context.Problems.Add(
                    "terminal-packet-status",
                    file.Owner.Pid,
                    file.Resource,
                    "in packet mode, a change of the terminal's state waits to be read, and reading would take it away",
                    "let the program read it");
                break;
            case Side.Master when context.Files.Files.Any(
                other => other != file && other.IsDescriptor && SideOf(other) == Side.Master && IndexOf(other) == IndexOf(file)):
                context.Problems.Add(
                    "terminal-instance",
                    file.Owner.Pid,
                    file.Resource,
                    $"two terminals of the tree have the number {IndexOf(file)}, in different instances of devpts",
                    "let the program close one of them");
                break;
            case Side.Master when HolderOutside(context, file) is { } holder:
                context.Problems.Add(
                    "terminal-outside",
                    file.Owner.Pid,
                    file.Resource,
                    $"its other side, pts {IndexOf(file)}, is open in process {holder} alone, outside of the tree, which would lose it",
                    "dump a tree that holds both sides, or end that process");
                break;
            case Side.Controlling when !context.Options.ShellJob && !IsOfTree(context, file.Owner):
                context.Problems.Add(
                    "controlling-terminal",
                    file.Owner.Pid,
                    file.Resource,
                    "it stands for the terminal of a session",
                    "allow the caller's terminal with --shell-job");
                break;
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        uint infoId = InfoId(file);
        uint pathId = context.Files.NextId();
        FownEntry owner = FileOwner.Dump(context, file);
        var path = new RegFileEntry
        {
            Id = pathId,
            Flags = (uint)file.Flags,
            Pos = 0,
            Fown = owner,
            Name = FileName.Of(context, file).Path,
            Mode = file.Stat.st_mode,
        };
        if (context.Files.State.Get<MountViews>().MountOf(file) is int mount and not -1)
        {
            path.MntId = mount;
        }

        context.Images.Add(ImageKind.Files, 0, new FileEntry { Type = FdTypes.Reg, Id = pathId, Reg = path });
        entry.Tty = new TtyFileEntry { Id = file.Id, TtyInfoId = infoId, Flags = (uint)file.Flags, Fown = owner, RegfId = pathId };
        Dumped state = context.Files.State.Get<Dumped>();
        if (state.Infos.Add(infoId))
        {
            TtyInfoEntry info = DumpInfo(context, file, infoId);
            context.Images.Add(ImageKind.TtyInfo, 0, info);
            state.ById.Add(infoId, info);
            if (state.Stops.TryGetValue(infoId, out uint stop))
            {
                info.Stopped = stop;
            }

            if (SideOf(file) == Side.Master)
            {
                DumpData(context, file, info);
            }
        }
    }

    private static TtyInfoEntry DumpInfo(DumpContext context, OpenFile file, uint id)
    {
        int fd = file.Taken.Number;
        Side side = SideOf(file);
        var info = new TtyInfoEntry
        {
            Id = id,
            Type = side == Side.Controlling ? TtyType.Ctty : TtyType.Pty,
            Locked = side == Side.Master && IsLocked(fd),
            Exclusive = !Sys.IoctlGet(fd, TerminalIoctl.TIOCGEXCL, out int exclusive).IsError && exclusive != 0,
            PacketMode = side == Side.Master && IsPacketMode(fd),
            Sid = 0,
            Pgrp = 0,
            Rdev = (uint)file.Stat.st_rdev,
            Dev = (uint)file.Stat.st_dev,
            Uid = file.Stat.st_uid,
            Gid = file.Stat.st_gid,
        };
        if (side != Side.Controlling)
        {
            info.Pty = new TtyPtyEntry { Index = (uint)IndexOf(file) };
            (info.Sid, info.Pgrp) = FindSession(context, file);
        }

        if (Sys.TerminalGet(fd, out Termios2 settings) is { IsError: true } failed)
        {
            // A slave whose master is gone answers EIO to everything, and has no settings any more.
            return failed.Errno == Errno.EIO ? info : throw new LinuxException($"ioctl({file.Resource}, TCGETS2)", failed.Errno);
        }

        info.Termios = ToEntry(settings);
        Sys.IoctlGet(fd, TerminalIoctl.TIOCGLCKTRMIOS, out Termios2 lockedSettings).OrThrow($"ioctl({file.Resource}, TIOCGLCKTRMIOS)");
        info.TermiosLocked = ToEntry(lockedSettings);
        Sys.TerminalGetSize(fd, out Winsize size).OrThrow($"ioctl({file.Resource}, TIOCGWINSZ)");
        info.Winsize = new WinsizeEntry { WsRow = size.ws_row, WsCol = size.ws_col, WsXpixel = size.ws_xpixel, WsYpixel = size.ws_ypixel };
        return info;
    }

    // A terminal answers TIOCGSID to its own session alone; /proc/PID/stat says the same to anyone.
    private static (uint Sid, uint Pgrp) FindSession(DumpContext context, OpenFile file)
    {
        uint device = SlaveDevice(IndexOf(file));
        DumpedTask? member = context.Tasks.Find(task => !task.IsZombie && (uint)task.Stat.TtyNumber == device);
        return member is null
            ? default
            : ((uint)member.InnerSession, (uint)context.InnerGroup(Math.Max(0, member.Stat.TerminalProcessGroup)));
    }

    private static TermiosEntry ToEntry(in Termios2 settings)
    {
        var entry = new TermiosEntry
        {
            CIflag = settings.c_iflag,
            COflag = settings.c_oflag,
            CCflag = settings.c_cflag,
            CLflag = settings.c_lflag,
            CLine = settings.c_line,
            CIspeed = settings.c_ispeed,
            COspeed = settings.c_ospeed,
        };
        foreach (byte character in settings.c_cc)
        {
            entry.CCc.Add(character);
        }

        return entry;
    }

    private static Side SideOf(OpenFile file)
    {
        if (file.FileType != InodeMode.S_IFCHR)
        {
            return Side.None;
        }

        return (DeviceNumber.Major(file.Stat.st_rdev), DeviceNumber.Minor(file.Stat.st_rdev)) switch
        {
            ( >= FirstSlaveMajor and <= LastSlaveMajor, _) => Side.Slave,
            (AlternateMajor, MasterMinor) when file.Info.TtyIndex is not null => Side.Master,
            (AlternateMajor, ControllingMinor) => Side.Controlling,
            _ => Side.None,
        };
    }

    private static int IndexOf(OpenFile file) => SideOf(file) switch
    {
        Side.Master => file.Info.TtyIndex ?? 0,
        Side.Slave => (int)(((DeviceNumber.Major(file.Stat.st_rdev) - FirstSlaveMajor) << 8) | DeviceNumber.Minor(file.Stat.st_rdev)),
        _ => ControllingIndex,
    };

    private static uint InfoId(OpenFile file) => ((uint)IndexOf(file) << 1) + (SideOf(file) == Side.Master ? 1u : 0);

    private static uint SlaveDevice(int index) => ((FirstSlaveMajor + ((uint)index >> 8)) << 8) | ((uint)index & 0xff);

    // Whether the terminal of a task's session is open in the tree by its own name too, and the session is the tree's.
    private static bool IsOfTree(DumpContext context, DumpedTask task)
        => context.FindTask(task.Stat.Session) is not null
            && context.Files.Files.Any(file => file.IsDescriptor && SideOf(file) is Side.Slave or Side.Master
                && SlaveDevice(IndexOf(file)) == (uint)task.Stat.TtyNumber);

    private static OpenFile? FindMaster(DumpContext context, int index)
        => context.Files.Files.FirstOrDefault(file => file.IsDescriptor && SideOf(file) == Side.Master && IndexOf(file) == index);

    private static bool HasMaster(DumpContext context, OpenFile file) => FindMaster(context, IndexOf(file)) is not null;

    private static bool IsHungUp(OpenFile file) => Sys.TerminalGet(file.Taken.Number, out _).Errno == Errno.EIO;

    private static bool IsExternal(DumpContext context, OpenFile file)
        => context.Options.OrphanTerminals || context.Options.External.Contains("tty", ExternalId(file.Stat.st_rdev, file.Stat.st_dev));

    private static string ExternalId(ulong rdev, ulong dev) => string.Create(CultureInfo.InvariantCulture, $"{rdev:x}:{dev:x}");

    private sealed class Dumped
    {
        public HashSet<uint> Infos { get; } = [];

        public Dictionary<uint, TtyInfoEntry> ById { get; } = [];

        /// <summary>Why slaves are stopped, by the id of their info, which may come later.</summary>
        public Dictionary<uint, uint> Stops { get; } = [];

        /// <summary>What waits in the pairs, once that was looked for.</summary>
        public Contents? Contents { get; set; }
    }
}
