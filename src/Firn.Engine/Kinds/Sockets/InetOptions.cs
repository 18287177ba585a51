using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>The options of the levels of IP and TCP that the format has: both halves.</summary>
/// <remarks>ip(7), ipv6(7), tcp(7). Options at rest are left out, as CRIU does.</remarks>
internal static class InetOptions
{
    // ---- dump

    /// <summary>Reads the options of IP.</summary>
    /// <exception cref="LinuxException">One can't be read.</exception>
    public static IpOptsEntry ReadIp(Fd socket, SocketFamily family)
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

        int packetInfo = isInet6
            ? Get(socket, SocketLevel.IPPROTO_IPV6, Ipv6Option.IPV6_RECVPKTINFO)
            : Get(socket, SocketLevel.SOL_IP, IpOption.IP_PKTINFO);
        if (packetInfo != 0)
        {
            entry.Pktinfo = true;
        }

        if (Get(socket, SocketLevel.SOL_IP, IpOption.IP_TOS) is not 0 and int tos)
        {
            entry.Tos = (uint)tos;
        }

        entry.Ttl = (uint)Get(socket, SocketLevel.SOL_IP, IpOption.IP_TTL);
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
            Set(
                socket,
                isInet6 ? SocketLevel.IPPROTO_IPV6 : SocketLevel.SOL_IP,
                isInet6 ? Ipv6Option.IPV6_RECVPKTINFO : IpOption.IP_PKTINFO,
                ip.Pktinfo ? 1 : 0);
            Set(socket, SocketLevel.SOL_IP, IpOption.IP_TOS, (int)ip.Tos);
            if (ip.HasTtl)
            {
                Set(socket, SocketLevel.SOL_IP, IpOption.IP_TTL, (int)ip.Ttl);
            }
        }

        if (message.Proto != SocketLevel.IPPROTO_TCP)
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

    private static void SetTcp(Fd socket, int option, bool isHere, uint here, bool isThere, uint there)
    {
        if (isHere || isThere)
        {
            Set(socket, SocketLevel.IPPROTO_TCP, option, (int)(isHere ? here : there));
        }
    }
}
