using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Options of the level IPPROTO_TCP (include/uapi/linux/tcp.h).</summary>
public static class TcpOption
{
    public const int TCP_NODELAY = 1;
    public const int TCP_MAXSEG = 2;
    public const int TCP_CORK = 3;
    public const int TCP_KEEPIDLE = 4;
    public const int TCP_KEEPINTVL = 5;
    public const int TCP_KEEPCNT = 6;
    public const int TCP_SYNCNT = 7;
    public const int TCP_LINGER2 = 8;
    public const int TCP_DEFER_ACCEPT = 9;
    public const int TCP_WINDOW_CLAMP = 10;
    public const int TCP_INFO = 11;
    public const int TCP_QUICKACK = 12;
    public const int TCP_CONGESTION = 13;
    public const int TCP_MD5SIG = 14;
    public const int TCP_MD5SIG_EXT = 32;
    public const byte TCP_MD5SIG_FLAG_PREFIX = 1;
    public const int TCP_THIN_LINEAR_TIMEOUTS = 16;
    public const int TCP_THIN_DUPACK = 17;
    public const int TCP_USER_TIMEOUT = 18;
    public const int TCP_REPAIR = 19;
    public const int TCP_REPAIR_QUEUE = 20;
    public const int TCP_QUEUE_SEQ = 21;
    public const int TCP_REPAIR_OPTIONS = 22;
    public const int TCP_FASTOPEN = 23;
    public const int TCP_TIMESTAMP = 24;
    public const int TCP_NOTSENT_LOWAT = 25;
    public const int TCP_SAVE_SYN = 27;
    public const int TCP_SAVED_SYN = 28;
    public const int TCP_REPAIR_WINDOW = 29;
    public const int TCP_FASTOPEN_CONNECT = 30;
    public const int TCP_ULP = 31;
    public const int TCP_FASTOPEN_NO_COOKIE = 34;
    public const int TCP_INQ = 36;
    public const int TCP_TX_DELAY = 37;
    public const int TCP_RTO_MAX_MS = 44;
    public const int TCP_RTO_MIN_US = 45;
    public const int TCP_DELACK_MAX_US = 46;

    public const int TCP_REPAIR_ON = 1;
    public const int TCP_REPAIR_OFF = 0;
    public const int TCP_REPAIR_OFF_NO_WP = -1;

    public const int TCP_NO_QUEUE = 0;
    public const int TCP_RECV_QUEUE = 1;
    public const int TCP_SEND_QUEUE = 2;
}

/// <summary>States of a TCP socket, which sock_diag uses for all kinds (include/net/tcp_states.h).</summary>
public enum TcpState : byte
{
    None = 0,
    TCP_ESTABLISHED = 1,
    TCP_SYN_SENT = 2,
    TCP_SYN_RECV = 3,
    TCP_FIN_WAIT1 = 4,
    TCP_FIN_WAIT2 = 5,
    TCP_TIME_WAIT = 6,
    TCP_CLOSE = 7,
    TCP_CLOSE_WAIT = 8,
    TCP_LAST_ACK = 9,
    TCP_LISTEN = 10,
    TCP_CLOSING = 11,
    TCP_NEW_SYN_RECV = 12,
    TCP_BOUND_INACTIVE = 13,
}

/// <summary>struct tcp_repair_opt: TCP_REPAIR_OPTIONS (include/uapi/linux/tcp.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct TcpRepairOpt
{
    public uint opt_code;
    public uint opt_val;
}

/// <summary>struct tcp_repair_window: TCP_REPAIR_WINDOW (include/uapi/linux/tcp.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct TcpRepairWindow
{
    public uint snd_wl1;
    public uint snd_wnd;
    public uint max_window;
    public uint rcv_wnd;
    public uint rcv_wup;
}

/// <summary>Options of the level SOL_IP (include/uapi/linux/in.h).</summary>
public static class IpOption
{
    public const int IP_TOS = 1;
    public const int IP_TTL = 2;
    public const int IP_HDRINCL = 3;
    public const int IP_OPTIONS = 4;
    public const int IP_RECVOPTS = 6;
    public const int IP_RETOPTS = 7;
    public const int IP_PKTINFO = 8;
    public const int IP_MTU_DISCOVER = 10;
    public const int IP_RECVERR = 11;
    public const int IP_RECVTTL = 12;
    public const int IP_RECVTOS = 13;
    public const int IP_MTU = 14;
    public const int IP_FREEBIND = 15;
    public const int IP_PASSSEC = 18;
    public const int IP_TRANSPARENT = 19;
    public const int IP_RECVORIGDSTADDR = 20;
    public const int IP_MINTTL = 21;
    public const int IP_NODEFRAG = 22;
    public const int IP_CHECKSUM = 23;
    public const int IP_BIND_ADDRESS_NO_PORT = 24;
    public const int IP_RECVFRAGSIZE = 25;
    public const int IP_MULTICAST_IF = 32;
    public const int IP_MULTICAST_TTL = 33;
    public const int IP_MULTICAST_LOOP = 34;
    public const int IP_ADD_MEMBERSHIP = 35;
    public const int IP_MSFILTER = 41;
    public const int MCAST_JOIN_GROUP = 42;
    public const int MCAST_MSFILTER = 48;
    public const int IP_MULTICAST_ALL = 49;
    public const int IP_UNICAST_IF = 50;
    public const int IP_LOCAL_PORT_RANGE = 51;
}

/// <summary>Options of the level IPPROTO_IPV6 (include/uapi/linux/in6.h).</summary>
public static class Ipv6Option
{
    public const int IPV6_ADDRFORM = 1;
    public const int IPV6_UNICAST_HOPS = 16;
    public const int IPV6_MULTICAST_IF = 17;
    public const int IPV6_MULTICAST_HOPS = 18;
    public const int IPV6_MULTICAST_LOOP = 19;
    public const int IPV6_ADD_MEMBERSHIP = 20;
    public const int IPV6_MTU_DISCOVER = 23;
    public const int IPV6_MTU = 24;
    public const int IPV6_RECVERR = 25;
    public const int IPV6_V6ONLY = 26;
    public const int IPV6_CHECKSUM = 7;
    public const int IPV6_MULTICAST_ALL = 29;
    public const int IPV6_ROUTER_ALERT_ISOLATE = 30;
    public const int IPV6_FLOWINFO_SEND = 33;
    public const int IPV6_HDRINCL = 36;
    public const int IPV6_RECVPKTINFO = 49;
    public const int IPV6_PKTINFO = 50;
    public const int IPV6_RECVHOPLIMIT = 51;
    public const int IPV6_RECVHOPOPTS = 53;
    public const int IPV6_RECVRTHDR = 56;
    public const int IPV6_RECVDSTOPTS = 58;
    public const int IPV6_RECVPATHMTU = 60;
    public const int IPV6_DONTFRAG = 62;
    public const int IPV6_AUTOFLOWLABEL = 70;
    public const int IPV6_ADDR_PREFERENCES = 72;
    public const int IPV6_MINHOPCOUNT = 73;
    public const int IPV6_RECVORIGDSTADDR = 74;
    public const int IPV6_RECVFRAGSIZE = 77;
    public const int IPV6_RECVTCLASS = 66;
    public const int IPV6_TCLASS = 67;
    public const int IPV6_TRANSPARENT = 75;
    public const int IPV6_UNICAST_IF = 76;
    public const int IPV6_FREEBIND = 78;
}

/// <summary>Options of the level IPPROTO_UDP (include/uapi/linux/udp.h).</summary>
public static class UdpOption
{
    public const int UDP_CORK = 1;
    public const int UDP_ENCAP = 100;
    public const int UDP_NO_CHECK6_TX = 101;
    public const int UDP_NO_CHECK6_RX = 102;
    public const int UDP_SEGMENT = 103;
    public const int UDP_GRO = 104;
}

/// <summary>Options of raw sockets (include/uapi/linux/icmp.h, icmpv6.h) and of UDP-Lite.</summary>
public static class RawOption
{
    public const int ICMP_FILTER = 1;
    public const int UDPLITE_SEND_CSCOV = 10;
    public const int UDPLITE_RECV_CSCOV = 11;
}
