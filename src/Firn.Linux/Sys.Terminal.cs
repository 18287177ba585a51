using Firn.Linux.Abi;

namespace Firn.Linux;

public static partial class Sys
{
    /// <summary>TCGETS2: the settings of a terminal (ioctl_tty(2)).</summary>
    public static SysResult TerminalGet(int fd, out Termios2 settings) => IoctlGet(fd, TerminalIoctl.TCGETS2, out settings);

    /// <summary>TCSETS2: sets a terminal at once.</summary>
    public static SysResult TerminalSet(int fd, Termios2 settings) => Ioctl(fd, TerminalIoctl.TCSETS2, ref settings);

    /// <summary>TIOCGWINSZ: the size of a terminal's window.</summary>
    public static SysResult TerminalGetSize(int fd, out Winsize size) => IoctlGet(fd, TerminalIoctl.TIOCGWINSZ, out size);

    /// <summary>TIOCSWINSZ: sets the size; SIGWINCH goes to the foreground group if it changes.</summary>
    public static SysResult TerminalSetSize(int fd, Winsize size) => Ioctl(fd, TerminalIoctl.TIOCSWINSZ, ref size);

    /// <summary>TIOCGPTN: the index of a pseudoterminal, from its master.</summary>
    public static SysResult TerminalIndex(int master, out int index) => IoctlGet(master, TerminalIoctl.TIOCGPTN, out index);

    /// <summary>TIOCSPTLCK: locks or unlocks the slave, from its master.</summary>
    public static SysResult TerminalLock(int master, bool locked)
    {
        int value = locked ? 1 : 0;
        return Ioctl(master, TerminalIoctl.TIOCSPTLCK, ref value);
    }

    /// <summary>TIOCGPTPEER: opens the slave of a master, whatever is mounted where.</summary>
    public static SysResult TerminalOpenPeer(int master, OpenFlags flags) => Ioctl(master, TerminalIoctl.TIOCGPTPEER, (nint)flags);

    /// <summary>TIOCGPKT: whether a master is in packet mode.</summary>
    public static SysResult TerminalPacketMode(int master, out int enabled) => IoctlGet(master, TerminalIoctl.TIOCGPKT, out enabled);

    /// <summary>TIOCGSID: the session of a terminal; from outside of it, through the master alone. ENOTTY if it has none.</summary>
    public static SysResult TerminalSession(int fd, out int session) => IoctlGet(fd, TerminalIoctl.TIOCGSID, out session);

    /// <summary>TIOCGPGRP: the foreground process group; from outside of the session, through the master alone. 0 for none.</summary>
    public static SysResult TerminalGroup(int fd, out int group) => IoctlGet(fd, TerminalIoctl.TIOCGPGRP, out group);
}
