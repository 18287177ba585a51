using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Google.Protobuf;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>The options of internet sockets that CRIU's format has no place for: both halves.</summary>
/// <remarks>
/// socket(7), tcp(7), udp(7), ip(7), ipv6(7); kernel: net/core/sock.c, net/ipv4/tcp.c, ip_sockglue.c, net/ipv6/ipv6_sockglue.c. Saved is
/// what differs from a fresh socket of the same kind. Left out is what the kernel itself changes all the time (TCP_QUICKACK,
/// SO_INCOMING_CPU, the mtu), and of a connection what was agreed on with the peer.
/// </remarks>
internal sealed class MoreOptions : IDisposable
{
    private const int LongestValue = 64;

    private static readonly int[] OfAll =
    [
        SocketOption.SO_DEBUG, SocketOption.SO_TIMESTAMP_OLD, SocketOption.SO_TIMESTAMPNS_OLD, SocketOption.SO_TIMESTAMP_NEW,
        SocketOption.SO_TIMESTAMPNS_NEW, SocketOption.SO_TIMESTAMPING_OLD, SocketOption.SO_RXQ_OVFL, SocketOption.SO_WIFI_STATUS,
        SocketOption.SO_PEEK_OFF, SocketOption.SO_NOFCS, SocketOption.SO_SELECT_ERR_QUEUE, SocketOption.SO_BUSY_POLL,
        SocketOption.SO_MAX_PACING_RATE, SocketOption.SO_ZEROCOPY, SocketOption.SO_TXTIME, SocketOption.SO_PREFER_BUSY_POLL,
        SocketOption.SO_BUSY_POLL_BUDGET, SocketOption.SO_TXREHASH, SocketOption.SO_RCVMARK, SocketOption.SO_RCVPRIORITY,
    ];

    private static readonly int[] OfIp =
    [
        IpOption.IP_RECVOPTS, IpOption.IP_RETOPTS, IpOption.IP_MTU_DISCOVER, IpOption.IP_RECVERR, IpOption.IP_RECVTTL, IpOption.IP_RECVTOS,
        IpOption.IP_PASSSEC, IpOption.IP_TRANSPARENT, IpOption.IP_RECVORIGDSTADDR, IpOption.IP_MINTTL, IpOption.IP_CHECKSUM,
        IpOption.IP_BIND_ADDRESS_NO_PORT, IpOption.IP_RECVFRAGSIZE, IpOption.IP_MULTICAST_IF, IpOption.IP_MULTICAST_TTL,
        IpOption.IP_MULTICAST_LOOP, IpOption.IP_MULTICAST_ALL, IpOption.IP_UNICAST_IF, IpOption.IP_LOCAL_PORT_RANGE,
    ];

    private static readonly int[] OfIpv6 =
    [
        Ipv6Option.IPV6_UNICAST_HOPS, Ipv6Option.IPV6_MULTICAST_IF, Ipv6Option.IPV6_MULTICAST_HOPS, Ipv6Option.IPV6_MULTICAST_LOOP,
        Ipv6Option.IPV6_MTU_DISCOVER, Ipv6Option.IPV6_RECVERR, Ipv6Option.IPV6_MULTICAST_ALL, Ipv6Option.IPV6_ROUTER_ALERT_ISOLATE,
        Ipv6Option.IPV6_FLOWINFO_SEND, Ipv6Option.IPV6_RECVHOPLIMIT, Ipv6Option.IPV6_RECVHOPOPTS, Ipv6Option.IPV6_RECVRTHDR,
        Ipv6Option.IPV6_RECVDSTOPTS, Ipv6Option.IPV6_RECVPATHMTU, Ipv6Option.IPV6_DONTFRAG, Ipv6Option.IPV6_RECVTCLASS,
        Ipv6Option.IPV6_TCLASS, Ipv6Option.IPV6_AUTOFLOWLABEL, Ipv6Option.IPV6_ADDR_PREFERENCES, Ipv6Option.IPV6_MINHOPCOUNT,
        Ipv6Option.IPV6_RECVORIGDSTADDR, Ipv6Option.IPV6_TRANSPARENT, Ipv6Option.IPV6_UNICAST_IF, Ipv6Option.IPV6_RECVFRAGSIZE,
    ];

    // They can be read of a stream, and not be set.
    private static readonly (int Level, int Name)[] OfMulticast =
    [
        (SocketLevel.SOL_IP, IpOption.IP_MULTICAST_IF), (SocketLevel.SOL_IP, IpOption.IP_MULTICAST_TTL),
        (SocketLevel.SOL_IP, IpOption.IP_MULTICAST_LOOP), (SocketLevel.SOL_IP, IpOption.IP_MULTICAST_ALL),
        (SocketLevel.IPPROTO_IPV6, Ipv6Option.IPV6_MULTICAST_IF), (SocketLevel.IPPROTO_IPV6, Ipv6Option.IPV6_MULTICAST_HOPS),
        (SocketLevel.IPPROTO_IPV6, Ipv6Option.IPV6_MULTICAST_LOOP), (SocketLevel.IPPROTO_IPV6, Ipv6Option.IPV6_MULTICAST_ALL),
    ];

    private static readonly int[] OfTcp =
    [
        TcpOption.TCP_SYNCNT, TcpOption.TCP_LINGER2, TcpOption.TCP_DEFER_ACCEPT, TcpOption.TCP_CONGESTION,
        TcpOption.TCP_THIN_LINEAR_TIMEOUTS, TcpOption.TCP_USER_TIMEOUT, TcpOption.TCP_NOTSENT_LOWAT, TcpOption.TCP_SAVE_SYN,
        TcpOption.TCP_INQ, TcpOption.TCP_TX_DELAY, TcpOption.TCP_RTO_MAX_MS, TcpOption.TCP_RTO_MIN_US, TcpOption.TCP_DELACK_MAX_US,
    ];

    private static readonly int[] OfUnconnectedTcp =
    [
        TcpOption.TCP_MAXSEG, TcpOption.TCP_WINDOW_CLAMP, TcpOption.TCP_FASTOPEN, TcpOption.TCP_FASTOPEN_CONNECT,
        TcpOption.TCP_FASTOPEN_NO_COOKIE,
    ];

    private static readonly int[] OfUdp =
    [
        UdpOption.UDP_CORK, UdpOption.UDP_ENCAP, UdpOption.UDP_NO_CHECK6_TX, UdpOption.UDP_NO_CHECK6_RX, UdpOption.UDP_SEGMENT,
        UdpOption.UDP_GRO,
    ];

    private readonly Dictionary<(SocketFamily Family, SocketType Type, int Protocol), Dictionary<(int Level, int Name), byte[]>> fresh = [];

    // ---- dump

    /// <summary>Saves what differs from a fresh socket. The thread is in the socket's network namespace.</summary>
    /// <exception cref="LinuxException">No fresh socket can be made.</exception>
    public void Read(Fd socket, InetSkEntry message, bool isConnection)
    {
        Dictionary<(int Level, int Name), byte[]> atRest = Fresh(message);
        Span<byte> value = stackalloc byte[LongestValue];
        foreach ((int level, int name) in All(message, isConnection))
        {
            if (!Sys.GetSocketOption(socket.Number, level, name, value, out int length).IsError
                && atRest.TryGetValue((level, name), out byte[]? usual)
                && !value[..length].SequenceEqual(usual))
            {
                message.Options.Add(new SocketOptionEntry { Level = level, Name = name, Value = ByteString.CopyFrom(value[..length]) });
            }
        }

        if (IsSet(socket, SocketOption.SO_LOCK_FILTER))
        {
            message.Options.Add(LockedFilter);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => fresh.Clear();

    // ---- restore

    /// <summary>Sets them, but for what forbids to set others. Before the socket is bound.</summary>
    /// <exception cref="LinuxException">The kernel refuses one.</exception>
    public static void Write(Fd socket, InetSkEntry message)
    {
        HashSet<(int Level, int Name)> known = [.. All(message, isConnection: false)];
        foreach (SocketOptionEntry option in message.Options)
        {
            // An image says only which; what may be set is said here.
            if (known.Contains((option.Level, option.Name)))
            {
                Sys.SetSocketOption(socket.Number, option.Level, option.Name, option.Value.Span)
                    .OrThrow($"setsockopt({socket}, {option.Level}, {option.Name}) of file {message.Id}");
            }
        }
    }

    /// <summary>Sets what comes last: no filter may be changed any more (SO_LOCK_FILTER).</summary>
    public static void WriteLast(Fd socket, InetSkEntry message)
    {
        if (message.Options.Contains(LockedFilter))
        {
            InetOptions.Set(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_LOCK_FILTER, 1);
        }
    }

    private static SocketOptionEntry LockedFilter => new()
    {
        Level = SocketLevel.SOL_SOCKET,
        Name = SocketOption.SO_LOCK_FILTER,
        Value = ByteString.CopyFrom(1, 0, 0, 0),
    };

    private static bool IsSet(Fd socket, int option) => InetOptions.Get(socket, SocketLevel.SOL_SOCKET, option) != 0;

    private static IEnumerable<(int Level, int Name)> All(InetSkEntry message, bool isConnection)
    {
        int protocol = (int)message.Proto;
        bool isRaw = (SocketType)message.Type == SocketType.SOCK_RAW;
        bool isStream = (SocketType)message.Type == SocketType.SOCK_STREAM;
        IEnumerable<(int Level, int Name)> all = OfAll.Select(name => (SocketLevel.SOL_SOCKET, name))
            .Concat(OfIp.Select(name => (SocketLevel.SOL_IP, name)))
            .Where(option => !isStream || !OfMulticast.Contains(option));
        if ((SocketFamily)message.Family == SocketFamily.AF_INET6)
        {
            all = all.Concat(OfIpv6.Select(name => (SocketLevel.IPPROTO_IPV6, name))
                .Where(option => !isStream || !OfMulticast.Contains(option)));
            if (isRaw)
            {
                all = all.Append((SocketLevel.IPPROTO_RAW, Ipv6Option.IPV6_CHECKSUM));
            }
        }

        if (isRaw)
        {
            return all;
        }

        return protocol switch
        {
            SocketLevel.IPPROTO_TCP or SocketLevel.IPPROTO_MPTCP => all.Concat((isConnection ? OfTcp : OfTcp.Concat(OfUnconnectedTcp))
                .Select(name => (SocketLevel.IPPROTO_TCP, name))),
            SocketLevel.IPPROTO_UDP => all.Concat(OfUdp.Select(name => (SocketLevel.IPPROTO_UDP, name))),
            SocketLevel.IPPROTO_UDPLITE => all.Append((SocketLevel.IPPROTO_UDPLITE, RawOption.UDPLITE_SEND_CSCOV))
                .Append((SocketLevel.IPPROTO_UDPLITE, RawOption.UDPLITE_RECV_CSCOV)),
            _ => all,
        };
    }

    private Dictionary<(int Level, int Name), byte[]> Fresh(InetSkEntry message)
    {
        var key = ((SocketFamily)message.Family, (SocketType)message.Type, (int)message.Proto);
        if (fresh.TryGetValue(key, out Dictionary<(int Level, int Name), byte[]>? options))
        {
            return options;
        }

        options = [];
        SysResult made = Sys.Socket(key.Item1, key.Item2 | SocketType.SOCK_CLOEXEC, key.Item3);
        if (made.Errno == Errno.EACCES && key.Item2 == SocketType.SOCK_DGRAM)
        {
            // Ping sockets are for certain groups; their options are those of UDP.
            made = Sys.Socket(key.Item1, key.Item2 | SocketType.SOCK_CLOEXEC, SocketLevel.IPPROTO_UDP);
        }

        using var socket = new Fd(made.OrThrow($"socket({key.Item1}, {key.Item2}, {key.Item3})").Int32);
        byte[] value = new byte[LongestValue];
        foreach ((int level, int name) in All(message, isConnection: false))
        {
            if (!Sys.GetSocketOption(socket.Number, level, name, value, out int length).IsError)
            {
                options[(level, name)] = value[..length];
            }
        }

        fresh.Add(key, options);
        return options;
    }
}
