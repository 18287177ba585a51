using System.Runtime.InteropServices;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>The options of the levels of IP and TCP that the format has: both halves.</summary>
/// <remarks>ip(7), ipv6(7), tcp(7). Options at rest are left out, as CRIU does.</remarks>
internal static class InetOptions
{
    // Of ICMP one (struct icmp_filter), of ICMPv6 eight (struct icmp6_filter).
    private const int IcmpFilterWords = 8;

    // ---- dump

    /// <summary>Reads the options of IP.</summary>
    /// <exception cref="LinuxException">One can't be read.</exception>
    public static IpOptsEntry ReadIp(Fd socket, SocketFamily family, int protocol)
    {
        bool isInet6 = family == SocketFamily.AF_INET6;
        var entry = new IpOptsEntry();
        int freebind = isInet6
            ? Get(socket, SocketLevel.IPPROTO_IPV6, Ipv6Option.IPV6_FREEBIND)
            : Get(socket, SocketLevel.SOL_IP, IpOption.IP_FREEBIND);
        if (freebind != 0)
        {
            entry.Freebind = true;
        }

        if (protocol == SocketLevel.IPPROTO_MPTCP)
        {
            // It has no more of them (net/mptcp/sockopt.c).
            entry.Tos = (uint)Get(socket, SocketLevel.SOL_IP, IpOption.IP_TOS);
            return entry;
        }

        int packetInfo = isInet6
            ? Get(socket, SocketLevel.IPPROTO_IPV6, Ipv6Option.IPV6_RECVPKTINFO)
            : Get(socket, SocketLevel.SOL_IP, IpOption.IP_PKTINFO);
        if (packetInfo != 0)
        {
            entry.Pktinfo = true;
        }

        // Raw and ping sockets of IPv6 have nothing of IPv4.
        if (!Sys.GetSocketOption(socket.Number, SocketLevel.SOL_IP, IpOption.IP_TOS, out int tos).IsError)
        {
            if (tos != 0)
            {
                entry.Tos = (uint)tos;
            }

            entry.Ttl = (uint)Get(socket, SocketLevel.SOL_IP, IpOption.IP_TTL);
        }

        return entry;
    }

    /// <summary>Reads the options of raw sockets.</summary>
    /// <exception cref="LinuxException">One can't be read.</exception>
    public static IpOptsRawEntry ReadRaw(Fd socket, SocketFamily family, int protocol)
    {
        bool isInet6 = family == SocketFamily.AF_INET6;
        var entry = new IpOptsRawEntry
        {
            Hdrincl = isInet6
                ? Get(socket, SocketLevel.IPPROTO_IPV6, Ipv6Option.IPV6_HDRINCL) != 0
                : Get(socket, SocketLevel.SOL_IP, IpOption.IP_HDRINCL) != 0,
        };
        if (!isInet6)
        {
            entry.Nodefrag = Get(socket, SocketLevel.SOL_IP, IpOption.IP_NODEFRAG) != 0;
            entry.Checksum = Get(socket, SocketLevel.SOL_IP, IpOption.IP_CHECKSUM) != 0;
        }

        if (FilterLevel(protocol) is int level)
        {
            Span<uint> filter = stackalloc uint[IcmpFilterWords];
            Sys.GetSocketOption(socket.Number, level, RawOption.ICMP_FILTER, MemoryMarshal.AsBytes(filter), out int length)
                .OrThrow($"getsockopt({socket}, ICMP_FILTER)");
            entry.IcmpvFilter.Add(filter[..(length / sizeof(uint))].ToArray());
        }

        return entry;
    }

    /// <summary>Reads the options of TCP.</summary>
    /// <exception cref="LinuxException">One can't be read.</exception>
    public static TcpOptsEntry ReadTcp(Fd socket)
    {
        var entry = new TcpOptsEntry
        {
            Keepcnt = (uint)Get(socket, SocketLevel.IPPROTO_TCP, TcpOption.TCP_KEEPCNT),
            Keepidle = (uint)Get(socket, SocketLevel.IPPROTO_TCP, TcpOption.TCP_KEEPIDLE),
            Keepintvl = (uint)Get(socket, SocketLevel.IPPROTO_TCP, TcpOption.TCP_KEEPINTVL),
        };
        if (Get(socket, SocketLevel.IPPROTO_TCP, TcpOption.TCP_CORK) != 0)
        {
            entry.Cork = true;
        }

        if (Get(socket, SocketLevel.IPPROTO_TCP, TcpOption.TCP_NODELAY) != 0)
        {
            entry.Nodelay = true;
        }

        return entry;
    }

    // ---- restore

    /// <summary>Sets what a message has of both.</summary>
    /// <exception cref="LinuxException">The kernel refuses one.</exception>
    public static void Write(Fd socket, InetSkEntry message)
    {
        bool isInet6 = message.Family == (uint)SocketFamily.AF_INET6;
        if (message.IpOpts is { } ip)
        {
            Set(
                socket,
                isInet6 ? SocketLevel.IPPROTO_IPV6 : SocketLevel.SOL_IP,
                isInet6 ? Ipv6Option.IPV6_FREEBIND : IpOption.IP_FREEBIND,
                ip.Freebind ? 1 : 0);
            if (message.Proto != SocketLevel.IPPROTO_MPTCP)
            {
                Set(
                    socket,
                    isInet6 ? SocketLevel.IPPROTO_IPV6 : SocketLevel.SOL_IP,
                    isInet6 ? Ipv6Option.IPV6_RECVPKTINFO : IpOption.IP_PKTINFO,
                    ip.Pktinfo ? 1 : 0);
            }

            if (ip.HasTos || !isInet6)
            {
                Set(socket, SocketLevel.SOL_IP, IpOption.IP_TOS, (int)ip.Tos);
            }

            if (ip.HasTtl)
            {
                Set(socket, SocketLevel.SOL_IP, IpOption.IP_TTL, (int)ip.Ttl);
            }
        }

        if (message.IpOpts?.Raw is { } raw)
        {
            WriteRaw(socket, message, raw, isInet6);
        }

        if (message.Proto is not (SocketLevel.IPPROTO_TCP or SocketLevel.IPPROTO_MPTCP))
        {
            return;
        }

        // Older image sets have the keep-alive times with the options of all sockets.
        TcpOptsEntry tcp = message.TcpOpts ?? new TcpOptsEntry();
        SetTcp(socket, TcpOption.TCP_KEEPCNT, tcp.HasKeepcnt, tcp.Keepcnt, message.Opts.HasTcpKeepcnt, message.Opts.TcpKeepcnt);
        SetTcp(socket, TcpOption.TCP_KEEPIDLE, tcp.HasKeepidle, tcp.Keepidle, message.Opts.HasTcpKeepidle, message.Opts.TcpKeepidle);
        SetTcp(socket, TcpOption.TCP_KEEPINTVL, tcp.HasKeepintvl, tcp.Keepintvl, message.Opts.HasTcpKeepintvl, message.Opts.TcpKeepintvl);
        Set(socket, SocketLevel.IPPROTO_TCP, TcpOption.TCP_CORK, tcp.Cork ? 1 : 0);
        Set(socket, SocketLevel.IPPROTO_TCP, TcpOption.TCP_NODELAY, tcp.Nodelay ? 1 : 0);
    }

    /// <summary>Reads an option that is an int.</summary>
    /// <exception cref="LinuxException">It can't be read.</exception>
    public static int Get(Fd socket, int level, int option)
    {
        Sys.GetSocketOption(socket.Number, level, option, out int value).OrThrow($"getsockopt({socket}, {level}, {option})");
        return value;
    }

    /// <summary>Sets an option that is an int, if it isn't so already.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static void Set(Fd socket, int level, int option, int value)
    {
        if (Get(socket, level, option) != value)
        {
            Sys.SetSocketOption(socket.Number, level, option, value).OrThrow($"setsockopt({socket}, {level}, {option}, {value})");
        }
    }

    private static void WriteRaw(Fd socket, InetSkEntry message, IpOptsRawEntry raw, bool isInet6)
    {
        Set(
            socket,
            isInet6 ? SocketLevel.IPPROTO_IPV6 : SocketLevel.SOL_IP,
            isInet6 ? Ipv6Option.IPV6_HDRINCL : IpOption.IP_HDRINCL,
            raw.Hdrincl ? 1 : 0);
        if (!isInet6)
        {
            Set(socket, SocketLevel.SOL_IP, IpOption.IP_NODEFRAG, raw.Nodefrag ? 1 : 0);
            Set(socket, SocketLevel.SOL_IP, IpOption.IP_CHECKSUM, raw.Checksum ? 1 : 0);
        }

        if (raw.IcmpvFilter.Count is > 0 and <= IcmpFilterWords && FilterLevel((int)message.Proto) is int level)
        {
            Sys.SetSocketOption(
                socket.Number, level, RawOption.ICMP_FILTER, MemoryMarshal.AsBytes<uint>(raw.IcmpvFilter.ToArray()))
                .OrThrow($"setsockopt({socket}, ICMP_FILTER)");
        }
    }

    private static int? FilterLevel(int protocol) => protocol switch
    {
        SocketLevel.IPPROTO_ICMP => SocketLevel.IPPROTO_RAW,
        SocketLevel.IPPROTO_ICMPV6 => SocketLevel.IPPROTO_ICMPV6,
        _ => null,
    };

    private static void SetTcp(Fd socket, int option, bool isHere, uint here, bool isThere, uint there)
    {
        if (isHere || isThere)
        {
            Set(socket, SocketLevel.IPPROTO_TCP, option, (int)(isHere ? here : there));
        }
    }
}
