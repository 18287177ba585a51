using System.Buffers.Binary;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>Flags of a TCP segment (RFC 9293).</summary>
[Flags]
internal enum TcpFlags : byte
{
    /// <summary>No more data comes.</summary>
    Fin = 1,

    /// <summary>A connection begins.</summary>
    Syn = 2,

    /// <summary>The connection is void.</summary>
    Rst = 4,

    /// <summary>The acknowledgement number counts.</summary>
    Ack = 0x10,

    /// <summary>The urgent pointer counts.</summary>
    Urg = 0x20,
}

/// <summary>A segment that the peer of a connection might have sent, given to the kernel as if it came in (raw(7)).</summary>
/// <remarks>It is sent to an address of the namespace itself, so it goes over the loopback, which has to be up.</remarks>
/// <param name="Ends">The connection as the sender sees it: its source is the peer.</param>
/// <param name="Flags">Flags.</param>
/// <param name="Sequence">The number of its first byte.</param>
/// <param name="Acknowledgement">The number of the next byte that the peer expects.</param>
/// <param name="Window">The peer's window, scaled.</param>
internal readonly record struct ForgedSegment(
    ConnectionEnds Ends, TcpFlags Flags, uint Sequence, uint Acknowledgement, ushort Window)
{
    private const int TcpHeaderSize = 20;
    private const int InetHeaderSize = 20;
    private const int Inet6HeaderSize = 40;
    private const int HopLimit = 64;

    /// <summary>Its urgent pointer, with <see cref="TcpFlags.Urg"/>.</summary>
    public ushort Urgent { get; init; }

    /// <summary>Its options, whole words of four bytes.</summary>
    public ReadOnlyMemory<byte> Options { get; init; }

    /// <summary>Its data.</summary>
    public ReadOnlyMemory<byte> Data { get; init; }

    /// <summary>Opens a socket for <see cref="Send"/>, in the thread's network namespace. Its packets pass a lock.</summary>
    /// <exception cref="LinuxException">It can't be made.</exception>
    public static Fd OpenSocket(bool isInet4)
    {
        SocketFamily family = isInet4 ? SocketFamily.AF_INET : SocketFamily.AF_INET6;
        var socket = new Fd(Sys.Socket(family, SocketType.SOCK_RAW | SocketType.SOCK_CLOEXEC, SocketLevel.IPPROTO_RAW)
            .OrThrow($"socket({family}, SOCK_RAW)").Int32);
        Sys.SetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_MARK, unchecked((int)PacketLock.Mark))
            .OrThrow("setsockopt(SO_MARK)");
        return socket;
    }

    /// <summary>Gives it to the kernel.</summary>
    /// <param name="socket">A socket of <see cref="OpenSocket"/> for the family of its addresses.</param>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Send(Fd socket)
    {
        // The port in the address of a raw socket is a protocol, or 0 (ipv6: EINVAL for any other).
        Sys.SendTo(socket.Number, ToBytes(), MessageFlags.None, Linux.SocketAddress.Inet(Ends.Destination, 0))
            .OrThrow($"sendto({socket}): a TCP segment to the socket itself; is the loopback up?");
    }

    internal byte[] ToBytes()
    {
        int size = TcpHeaderSize + Options.Length + Data.Length;
        byte[] packet;
        if (Ends.IsInet4)
        {
            packet = new byte[InetHeaderSize + size];
            packet[0] = 0x45;
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
            packet[8] = HopLimit;
            packet[9] = SocketLevel.IPPROTO_TCP;
            Ends.Source.CopyTo(packet, 12);
            Ends.Destination.CopyTo(packet, 16);
        }
        else
        {
            packet = new byte[Inet6HeaderSize + size];
            packet[0] = 0x60;
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)size);
            packet[6] = SocketLevel.IPPROTO_TCP;
            packet[7] = HopLimit;
            Ends.Source.CopyTo(packet, 8);
            Ends.Destination.CopyTo(packet, 24);
        }

        Span<byte> segment = packet.AsSpan(packet.Length - size);
        BinaryPrimitives.WriteUInt16BigEndian(segment, Ends.SourcePort);
        BinaryPrimitives.WriteUInt16BigEndian(segment[2..], Ends.DestinationPort);
        BinaryPrimitives.WriteUInt32BigEndian(segment[4..], Sequence);
        BinaryPrimitives.WriteUInt32BigEndian(segment[8..], Acknowledgement);
        segment[12] = (byte)((TcpHeaderSize + Options.Length) / sizeof(uint) << 4);
        segment[13] = (byte)Flags;
        BinaryPrimitives.WriteUInt16BigEndian(segment[14..], Window);
        BinaryPrimitives.WriteUInt16BigEndian(segment[18..], Urgent);
        Options.Span.CopyTo(segment[TcpHeaderSize..]);
        Data.Span.CopyTo(segment[(TcpHeaderSize + Options.Length)..]);

        // Of the IPv4 header the kernel makes the checksum.
        BinaryPrimitives.WriteUInt16BigEndian(
            segment[16..], Checksum(Ends.Source, Ends.Destination, (uint)size, SocketLevel.IPPROTO_TCP, segment));
        return packet;
    }

    /// <summary>The checksum of TCP and UDP: over addresses, length and protocol, too (RFC 1071, RFC 8200 section 8.1).</summary>
    internal static ushort Checksum(
        ReadOnlySpan<byte> source, ReadOnlySpan<byte> destination, uint size, byte protocol, ReadOnlySpan<byte> content)
    {
        uint sum = Sum(source) + Sum(destination) + size + protocol + Sum(content);
        while (sum > ushort.MaxValue)
        {
            sum = (sum & ushort.MaxValue) + (sum >> 16);
        }

        return (ushort)~sum;
    }

    private static uint Sum(ReadOnlySpan<byte> bytes)
    {
        uint sum = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            sum += (i & 1) == 0 ? (uint)bytes[i] << 8 : bytes[i];
        }

        return sum;
    }
}
