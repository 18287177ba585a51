using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Constants of netlink(7) and of its messages (include/uapi/linux/netlink.h).</summary>
public static class NetlinkConstants
{
    public const int NETLINK_ROUTE = 0;
    public const int NETLINK_SOCK_DIAG = 4;
    public const int NETLINK_LIST_MEMBERSHIPS = 9;
    public const ushort NLM_F_REQUEST = 1;
    public const ushort NLM_F_ACK = 4;
    public const ushort NLM_F_DUMP_INTR = 0x10;
    public const ushort NLM_F_ROOT = 0x100;
    public const ushort NLM_F_MATCH = 0x200;
    public const ushort NLM_F_DUMP = 0x300;
    public const ushort NLM_F_EXCL = 0x200;
    public const ushort NLM_F_CREATE = 0x400;
    public const ushort NLM_F_APPEND = 0x800;
    public const ushort NLMSG_NOOP = 1;
    public const ushort NLMSG_ERROR = 2;
    public const ushort NLMSG_DONE = 3;
    public const ushort NLMSG_OVERRUN = 4;
    public const ushort NLA_F_NESTED = 0x8000;
    public const ushort NLA_F_NET_BYTEORDER = 0x4000;
}

/// <summary>struct nlmsghdr (include/uapi/linux/netlink.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Nlmsghdr
{
    public uint nlmsg_len;
    public ushort nlmsg_type;
    public ushort nlmsg_flags;
    public uint nlmsg_seq;
    public uint nlmsg_pid;
}

/// <summary>struct nlattr (include/uapi/linux/netlink.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Nlattr
{
    public ushort nla_len;
    public ushort nla_type;
}

/// <summary>Constants of sock_diag(7) (include/uapi/linux/sock_diag.h, unix_diag.h, inet_diag.h).</summary>
public static class DiagConstants
{
    public const ushort SOCK_DIAG_BY_FAMILY = 20;
    public const uint UDIAG_SHOW_NAME = 1;
    public const uint UDIAG_SHOW_VFS = 2;
    public const uint UDIAG_SHOW_PEER = 4;
    public const uint UDIAG_SHOW_ICONS = 8;
    public const uint UDIAG_SHOW_RQLEN = 0x10;
    public const uint UDIAG_SHOW_MEMINFO = 0x20;
    public const uint UDIAG_SHOW_UID = 0x40;
    public const ushort UNIX_DIAG_NAME = 0;
    public const ushort UNIX_DIAG_VFS = 1;
    public const ushort UNIX_DIAG_PEER = 2;
    public const ushort UNIX_DIAG_ICONS = 3;
    public const ushort UNIX_DIAG_RQLEN = 4;
    public const ushort UNIX_DIAG_MEMINFO = 5;
    public const ushort UNIX_DIAG_SHUTDOWN = 6;
    public const ushort UNIX_DIAG_UID = 7;
    public const ushort INET_DIAG_MEMINFO = 1;
    public const ushort INET_DIAG_INFO = 2;
    public const ushort INET_DIAG_SKMEMINFO = 7;
    public const ushort INET_DIAG_SHUTDOWN = 8;
    public const ushort INET_DIAG_PROTOCOL = 10;
    public const ushort INET_DIAG_SKV6ONLY = 11;
    public const ushort INET_DIAG_MARK = 15;
    public const ushort INET_DIAG_CLASS_ID = 17;
    public const ushort INET_DIAG_MD5SIG = 18;
    public const ushort INET_DIAG_CGROUP_ID = 21;
    public const ushort INET_DIAG_SOCKOPT = 22;
    public const byte NDIAG_PROTO_ALL = 0xff;
    public const uint NDIAG_SHOW_FLAGS = 8;
    public const ushort NETLINK_DIAG_FLAGS = 4;
    public const uint NDIAG_FLAG_CB_RUNNING = 1;
}

/// <summary>struct unix_diag_req (include/uapi/linux/unix_diag.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct UnixDiagReq
{
    public byte sdiag_family;
    public byte sdiag_protocol;
    public ushort pad;
    public uint udiag_states;
    public uint udiag_ino;
    public uint udiag_show;
    public ulong udiag_cookie;
}

/// <summary>struct unix_diag_msg (include/uapi/linux/unix_diag.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct UnixDiagMsg
{
    public byte udiag_family;
    public byte udiag_type;
    public byte udiag_state;
    public byte pad;
    public uint udiag_ino;
    public ulong udiag_cookie;
}

/// <summary>struct netlink_diag_req (include/uapi/linux/netlink_diag.h).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct NetlinkDiagReq
{
    public byte sdiag_family;
    public byte sdiag_protocol;
    public ushort pad;
    public uint ndiag_ino;
    public uint ndiag_show;
    public ulong ndiag_cookie;
}

/// <summary>struct netlink_diag_msg (include/uapi/linux/netlink_diag.h).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct NetlinkDiagMsg
{
    public byte ndiag_family;
    public byte ndiag_type;
    public byte ndiag_protocol;
    public byte ndiag_state;
    public uint ndiag_portid;
    public uint ndiag_dst_portid;
    public uint ndiag_dst_group;
    public uint ndiag_ino;
    public ulong ndiag_cookie;
}

/// <summary>struct inet_diag_sockid (include/uapi/linux/inet_diag.h); ports and addresses in network order.</summary>
/// <remarks>The cookie is two words of 32 bits in C, and aligned as they are.</remarks>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct InetDiagSockid
{
    public ushort idiag_sport;
    public ushort idiag_dport;
    public Ipv6Address idiag_src;
    public Ipv6Address idiag_dst;
    public uint idiag_if;
    public ulong idiag_cookie;
}

/// <summary>struct inet_diag_req_v2 (include/uapi/linux/inet_diag.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct InetDiagReqV2
{
    public byte sdiag_family;
    public byte sdiag_protocol;
    public byte idiag_ext;
    public byte pad;
    public uint idiag_states;
    public InetDiagSockid id;
}

/// <summary>struct inet_diag_msg (include/uapi/linux/inet_diag.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct InetDiagMsg
{
    public byte idiag_family;
    public byte idiag_state;
    public byte idiag_timer;
    public byte idiag_retrans;
    public InetDiagSockid id;
    public uint idiag_expires;
    public uint idiag_rqueue;
    public uint idiag_wqueue;
    public uint idiag_uid;
    public uint idiag_inode;
}
