using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>ioctl requests of terminals (include/uapi/asm-generic/ioctls.h; ioctl_tty(2)).</summary>
public static class TerminalIoctl
{
    public const uint TCGETS = 0x5401;
    public const uint TCSETS = 0x5402;
    public const uint TCXONC = 0x540A;
    public const uint TIOCEXCL = 0x540C;
    public const uint TIOCNXCL = 0x540D;
    public const uint TIOCSCTTY = 0x540E;
    public const uint TIOCGPGRP = 0x540F;
    public const uint TIOCSPGRP = 0x5410;
    public const uint TIOCOUTQ = 0x5411;
    public const uint TIOCSTI = 0x5412;
    public const uint TIOCGWINSZ = 0x5413;
    public const uint TIOCSWINSZ = 0x5414;
    public const uint FIONREAD = 0x541B;
    public const uint TIOCINQ = 0x541B;
    public const uint TIOCPKT = 0x5420;
    public const uint FIONBIO = 0x5421;
    public const uint TIOCNOTTY = 0x5422;
    public const uint TIOCSETD = 0x5423;
    public const uint TIOCGETD = 0x5424;
    public const uint TIOCGSID = 0x5429;
    public const uint TCGETS2 = 0x802C542A;
    public const uint TCSETS2 = 0x402C542B;
    public const uint TIOCGPTN = 0x80045430;
    public const uint TIOCSPTLCK = 0x40045431;
    public const uint TIOCGDEV = 0x80045432;
    public const uint TIOCSIG = 0x40045436;
    public const uint TIOCGPKT = 0x80045438;
    public const uint TIOCGPTLCK = 0x80045439;
    public const uint TIOCGEXCL = 0x80045440;
    public const uint TIOCGPTPEER = 0x5441;
    public const uint TIOCGLCKTRMIOS = 0x5456;
    public const uint TIOCSLCKTRMIOS = 0x5457;
    public const int TCOOFF = 0;
    public const int TCOON = 1;
}

/// <summary>Flags of struct termios2 (include/uapi/asm-generic/termbits.h).</summary>
public static class TerminalFlags
{
    public const uint ICRNL = 0x100;
    public const uint IXON = 0x400;
    public const uint OPOST = 1;
    public const uint ISIG = 1;
    public const uint ICANON = 2;
    public const uint ECHO = 8;
    public const uint IEXTEN = 0x8000;
    public const uint EXTPROC = 0x10000;
    public const int VEOF = 4;
    public const int VTIME = 5;
    public const int VMIN = 6;
    public const int VSTART = 8;
    public const int VSTOP = 9;
    public const int VEOL = 11;
    public const int VEOL2 = 16;
}

/// <summary>struct termios2 (include/uapi/asm-generic/termbits.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Termios2
{
    public uint c_iflag;
    public uint c_oflag;
    public uint c_cflag;
    public uint c_lflag;
    public byte c_line;
    public TerminalCharacters c_cc;
    public uint c_ispeed;
    public uint c_ospeed;
}

/// <summary>The 19 control characters of a terminal.</summary>
[InlineArray(19)]
public struct TerminalCharacters
{
    private byte first;
}

/// <summary>struct winsize (include/uapi/asm-generic/termios.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Winsize
{
    public ushort ws_row;
    public ushort ws_col;
    public ushort ws_xpixel;
    public ushort ws_ypixel;
}
