using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Address families of socket(2) (include/linux/socket.h).</summary>
public enum SocketFamily : ushort
{
    AF_UNSPEC = 0,
    AF_UNIX = 1,
    AF_INET = 2,
    AF_INET6 = 10,
    AF_NETLINK = 16,
    AF_PACKET = 17,
    AF_ALG = 38,
    AF_VSOCK = 40,
    AF_XDP = 44,
}

/// <summary>Types of sockets, and the flags that may go with them (include/linux/net.h).</summary>
[Flags]
public enum SocketType
{
    SOCK_STREAM = 1,
    SOCK_DGRAM = 2,
    SOCK_RAW = 3,
    SOCK_RDM = 4,
    SOCK_SEQPACKET = 5,
    SOCK_PACKET = 10,
    SOCK_NONBLOCK = 0x800,
    SOCK_CLOEXEC = 0x80000,
}

/// <summary>Flags of send(2) and recv(2) (include/linux/socket.h).</summary>
[Flags]
public enum MessageFlags : uint
{
    None = 0,
    MSG_OOB = 1,
    MSG_PEEK = 2,
    MSG_DONTROUTE = 4,
    MSG_CTRUNC = 8,
    MSG_TRUNC = 0x20,
    MSG_DONTWAIT = 0x40,
    MSG_EOR = 0x80,
    MSG_WAITALL = 0x100,
    MSG_ERRQUEUE = 0x2000,
    MSG_NOSIGNAL = 0x4000,
    MSG_MORE = 0x8000,
    MSG_WAITFORONE = 0x10000,
    MSG_CMSG_CLOEXEC = 0x40000000,
}

/// <summary>How shutdown(2) shuts.</summary>
public enum ShutdownHow
{
    SHUT_RD = 0,
    SHUT_WR = 1,
    SHUT_RDWR = 2,
}

/// <summary>Levels of socket options (include/linux/socket.h, include/uapi/linux/in.h).</summary>
public static class SocketLevel
{
    public const int SOL_IP = 0;
    public const int SOL_SOCKET = 1;
    public const int IPPROTO_ICMP = 1;
    public const int IPPROTO_TCP = 6;
    public const int IPPROTO_UDP = 17;
    public const int IPPROTO_IPV6 = 41;
    public const int IPPROTO_ICMPV6 = 58;
    public const int IPPROTO_UDPLITE = 136;
    public const int IPPROTO_RAW = 255;
    public const int IPPROTO_MPTCP = 262;
    public const int SOL_PACKET = 263;
    public const int SOL_NETLINK = 270;
}

/// <summary>Options of the level SOL_SOCKET (include/uapi/asm-generic/socket.h).</summary>
public static class SocketOption
{
    public const int SO_DEBUG = 1;
    public const int SO_REUSEADDR = 2;
    public const int SO_TYPE = 3;
    public const int SO_ERROR = 4;
    public const int SO_DONTROUTE = 5;
    public const int SO_BROADCAST = 6;
    public const int SO_SNDBUF = 7;
    public const int SO_RCVBUF = 8;
    public const int SO_KEEPALIVE = 9;
    public const int SO_OOBINLINE = 10;
    public const int SO_NO_CHECK = 11;
    public const int SO_PRIORITY = 12;
    public const int SO_LINGER = 13;
    public const int SO_BSDCOMPAT = 14;
    public const int SO_REUSEPORT = 15;
    public const int SO_PASSCRED = 16;
    public const int SO_PEERCRED = 17;
    public const int SO_RCVLOWAT = 18;
    public const int SO_SNDLOWAT = 19;
    public const int SO_RCVTIMEO_OLD = 20;
    public const int SO_SNDTIMEO_OLD = 21;
    public const int SO_BINDTODEVICE = 25;
    public const int SO_ATTACH_FILTER = 26;
    public const int SO_GET_FILTER = 26;
    public const int SO_DETACH_FILTER = 27;
    public const int SO_PEERNAME = 28;
    public const int SO_TIMESTAMP_OLD = 29;
    public const int SO_ACCEPTCONN = 30;
    public const int SO_PEERSEC = 31;
    public const int SO_SNDBUFFORCE = 32;
    public const int SO_RCVBUFFORCE = 33;
    public const int SO_PASSSEC = 34;
    public const int SO_TIMESTAMPNS_OLD = 35;
    public const int SO_MARK = 36;
    public const int SO_TIMESTAMPING_OLD = 37;
    public const int SO_PROTOCOL = 38;
    public const int SO_DOMAIN = 39;
    public const int SO_RXQ_OVFL = 40;
    public const int SO_WIFI_STATUS = 41;
    public const int SO_PEEK_OFF = 42;
    public const int SO_NOFCS = 43;
    public const int SO_LOCK_FILTER = 44;
    public const int SO_SELECT_ERR_QUEUE = 45;
    public const int SO_BUSY_POLL = 46;
    public const int SO_MAX_PACING_RATE = 47;
    public const int SO_INCOMING_CPU = 49;
    public const int SO_ATTACH_BPF = 50;
    public const int SO_MEMINFO = 55;
    public const int SO_INCOMING_NAPI_ID = 56;
    public const int SO_COOKIE = 57;
    public const int SO_PEERGROUPS = 59;
    public const int SO_ZEROCOPY = 60;
    public const int SO_TXTIME = 61;
    public const int SO_BINDTOIFINDEX = 62;
    public const int SO_TIMESTAMP_NEW = 63;
    public const int SO_TIMESTAMPNS_NEW = 64;
    public const int SO_TIMESTAMPING_NEW = 65;
    public const int SO_RCVTIMEO_NEW = 66;
    public const int SO_SNDTIMEO_NEW = 67;
    public const int SO_PREFER_BUSY_POLL = 69;
    public const int SO_BUSY_POLL_BUDGET = 70;
    public const int SO_NETNS_COOKIE = 71;
    public const int SO_BUF_LOCK = 72;
    public const int SO_RESERVE_MEM = 73;
    public const int SO_TXREHASH = 74;
    public const int SO_RCVMARK = 75;
    public const int SO_PASSPIDFD = 76;
    public const int SO_PEERPIDFD = 77;
    public const int SO_RCVPRIORITY = 82;
    public const int SO_PASSRIGHTS = 83;
}

/// <summary>Types of control messages of the level SOL_SOCKET (include/linux/socket.h).</summary>
public static class ControlMessageType
{
    public const int SCM_RIGHTS = 1;
    public const int SCM_CREDENTIALS = 2;
    public const int SCM_SECURITY = 3;
}

/// <summary>ioctl requests of sockets (include/uapi/linux/sockios.h and un.h).</summary>
public static class SocketIoctl
{
    public const uint SIOCINQ = 0x541B;
    public const uint SIOCOUTQ = 0x5411;
    public const uint SIOCOUTQNSD = 0x894B;
    public const uint SIOCGSKNS = 0x894C;
    public const uint SIOCUNIXFILE = 0x89E0;
    public const uint SIOCATMARK = 0x8905;
}

/// <summary>struct sockaddr_un (unix(7)); a name may fill all of sun_path, and then has no terminator.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SockaddrUn
{
    public ushort sun_family;
    public UnixPath sun_path;
}

/// <summary>The 108 bytes of sun_path.</summary>
[System.Runtime.CompilerServices.InlineArray(Length)]
public struct UnixPath
{
    public const int Length = 108;

    private byte first;
}

/// <summary>struct sockaddr_in (ip(7)); port and address in network order.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SockaddrIn
{
    public ushort sin_family;
    public ushort sin_port;
    public uint sin_addr;
    public ulong pad;
}

/// <summary>struct sockaddr_in6 (ipv6(7)); port, flow and address in network order.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SockaddrIn6
{
    public ushort sin6_family;
    public ushort sin6_port;
    public uint sin6_flowinfo;
    public Ipv6Address sin6_addr;
    public uint sin6_scope_id;
}

/// <summary>struct in6_addr.</summary>
[System.Runtime.CompilerServices.InlineArray(16)]
public struct Ipv6Address
{
    private byte first;
}

/// <summary>struct sockaddr_nl (netlink(7)).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SockaddrNl
{
    public ushort nl_family;
    public ushort nl_pad;
    public uint nl_pid;
    public uint nl_groups;
}

/// <summary>struct ucred: SO_PEERCRED and SCM_CREDENTIALS (unix(7)).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Ucred
{
    public int pid;
    public uint uid;
    public uint gid;
}

/// <summary>struct linger: SO_LINGER (socket(7)).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Linger
{
    public int l_onoff;
    public int l_linger;
}

/// <summary>struct msghdr of sendmsg(2), as the kernel has it.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Msghdr
{
    public nint msg_name;
    public int msg_namelen;
    public int pad;
    public nint msg_iov;
    public nint msg_iovlen;
    public nint msg_control;
    public nint msg_controllen;
    public MessageFlags msg_flags;
    public int pad1;
}

/// <summary>struct cmsghdr (cmsg(3)).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Cmsghdr
{
    public nint cmsg_len;
    public int cmsg_level;
    public int cmsg_type;
}

/// <summary>struct pollfd (poll(2)).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Pollfd
{
    public int fd;
    public PollEvents events;
    public PollEvents revents;
}

/// <summary>Events of poll(2) (include/uapi/asm-generic/poll.h).</summary>
[Flags]
public enum PollEvents : short
{
    None = 0,
    POLLIN = 1,
    POLLPRI = 2,
    POLLOUT = 4,
    POLLERR = 8,
    POLLHUP = 0x10,
    POLLNVAL = 0x20,
    POLLRDHUP = 0x2000,
}
