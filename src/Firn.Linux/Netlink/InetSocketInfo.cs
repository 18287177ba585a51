using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>A TCP, UDP or UDP-Lite socket, as sock_diag has it.</summary>
/// <remarks>Kernel: net/ipv4/inet_diag.c, include/uapi/linux/inet_diag.h.</remarks>
public sealed class InetSocketInfo
{
    /// <summary>The inode number: that of <c>socket:[N]</c>; 0 for a connection that wasn't accepted yet, or is an orphan.</summary>
    public ulong Inode { get; init; }

    /// <summary>AF_INET or AF_INET6.</summary>
    public SocketFamily Family { get; init; }

    /// <summary>IPPROTO_TCP, IPPROTO_UDP or IPPROTO_UDPLITE.</summary>
    public int Protocol { get; init; }

    /// <summary>SOCK_STREAM or SOCK_DGRAM.</summary>
    public SocketType Type => Protocol == SocketLevel.IPPROTO_TCP ? SocketType.SOCK_STREAM : SocketType.SOCK_DGRAM;

    /// <summary>The state; UDP is TCP_ESTABLISHED when connected and TCP_CLOSE otherwise.</summary>
    public TcpState State { get; init; }

    /// <summary>A number that tells it from a later socket with the same inode number (SO_COOKIE).</summary>
    public ulong Cookie { get; init; }

    /// <summary>The local address in network order: 4 or 16 bytes.</summary>
    public byte[] SourceAddress { get; init; } = [];

    /// <summary>The local port.</summary>
    public ushort SourcePort { get; init; }

    /// <summary>The peer's address in network order: 4 or 16 bytes.</summary>
    public byte[] DestinationAddress { get; init; } = [];

    /// <summary>The peer's port, 0 for none.</summary>
    public ushort DestinationPort { get; init; }

    /// <summary>The interface that it is bound to (SO_BINDTODEVICE), or 0.</summary>
    public uint Interface { get; init; }

    /// <summary>Bytes to be read; of a listening socket, connections that wait for accept.</summary>
    public uint ReceiveQueue { get; init; }

    /// <summary>Bytes not acknowledged; of a listening socket, the backlog.</summary>
    public uint SendQueue { get; init; }

    /// <summary>The owner of the socket's inode, as the user namespace of the asking socket maps it.</summary>
    public uint Uid { get; init; }

    /// <summary>Bit 0: no more is received; bit 1: no more is sent.</summary>
    public byte Shutdown { get; private set; }

    /// <summary>IPV6_V6ONLY, which is told of sockets that listen or aren't connected.</summary>
    public bool V6Only { get; private set; }

    /// <summary>The cgroup v2 of its maker, which stays for life; 0 if it isn't told.</summary>
    public ulong CgroupId { get; private set; }

    /// <summary>TCPI_OPT_*, of one that was asked for alone.</summary>
    public byte TcpOptions { get; private set; }

    /// <summary>The window scale that its peer uses for what it receives, in the upper four bits its own; of one asked for alone.</summary>
    public byte WindowScales { get; private set; }

    /// <summary>Parses one message of a list.</summary>
    /// <param name="payload">The message.</param>
    /// <param name="protocol">The protocol that the list was asked for.</param>
    public static InetSocketInfo Parse(ReadOnlySpan<byte> payload, int protocol)
    {
        InetDiagMsg message = MemoryMarshal.Read<InetDiagMsg>(payload);
        int length = message.idiag_family == (int)SocketFamily.AF_INET ? 4 : 16;
        ReadOnlySpan<byte> source = message.id.idiag_src;
        ReadOnlySpan<byte> destination = message.id.idiag_dst;
        var info = new InetSocketInfo
        {
            Inode = message.idiag_inode,
            Family = (SocketFamily)message.idiag_family,
            Protocol = protocol,
            State = (TcpState)message.idiag_state,
            Cookie = message.id.idiag_cookie,
            SourceAddress = source[..length].ToArray(),
            SourcePort = BinaryPrimitives.ReverseEndianness(message.id.idiag_sport),
            DestinationAddress = destination[..length].ToArray(),
            DestinationPort = BinaryPrimitives.ReverseEndianness(message.id.idiag_dport),
            Interface = message.id.idiag_if,
            ReceiveQueue = message.idiag_rqueue,
            SendQueue = message.idiag_wqueue,
            Uid = message.idiag_uid,
        };
        var attributes = new NetlinkAttributes(payload[Unsafe.SizeOf<InetDiagMsg>()..]);
        while (attributes.MoveNext())
        {
            switch (attributes.Type)
            {
                case DiagConstants.INET_DIAG_INFO:
                    // struct tcp_info (include/uapi/linux/tcp.h).
                    info.TcpOptions = attributes.Value[5];
                    info.WindowScales = attributes.Value[6];
                    break;
                case DiagConstants.INET_DIAG_SHUTDOWN:
                    info.Shutdown = attributes.Value[0];
                    break;
                case DiagConstants.INET_DIAG_SKV6ONLY:
                    info.V6Only = attributes.Value[0] != 0;
                    break;
                case DiagConstants.INET_DIAG_CGROUP_ID:
                    info.CgroupId = MemoryMarshal.Read<ulong>(attributes.Value);
                    break;
            }
        }

        return info;
    }
}
