using System.Buffers.Binary;
using System.Net;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Firn.Linux;
using Firn.Linux.Abi;
using SocketAddress = Firn.Linux.SocketAddress;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>An address and port of IPv4 or IPv6.</summary>
/// <param name="Bytes">The address in network order: 4 or 16 bytes.</param>
/// <param name="Port">The port.</param>
/// <param name="ScopeId">The interface of a link-local address, or 0.</param>
internal readonly record struct InetAddress(byte[] Bytes, ushort Port, uint ScopeId)
{
    /// <summary>Asks for an address; all zeroes where there is none.</summary>
    public static InetAddress Read(SocketFamily family, Func<byte[], (SysResult Result, int Length)> ask)
    {
        byte[] buffer = new byte[28];
        (SysResult result, _) = ask(buffer);
        int length = family == SocketFamily.AF_INET ? 4 : 16;
        if (result.IsError)
        {
            return new InetAddress(new byte[length], 0, 0);
        }

        ushort port = BinaryPrimitives.ReadUInt16BigEndian(buffer.AsSpan(2));
        return family == SocketFamily.AF_INET
            ? new InetAddress(buffer[4..8], port, 0)
            : new InetAddress(buffer[8..24], port, BinaryPrimitives.ReadUInt32LittleEndian(buffer.AsSpan(24)));
    }

    /// <summary>The own address of a socket.</summary>
    public static InetAddress OfSocket(Fd socket, SocketFamily family)
        => Read(family, buffer => (Sys.GetSockName(socket.Number, buffer, out int length), length));

    /// <summary>The peer's address, also of a connection that is only asked for or is over (SO_PEERNAME); all zeroes for none.</summary>
    public static InetAddress OfPeer(Fd socket, SocketFamily family)
    {
        // Asked for more bytes than the address has, the kernel says EINVAL.
        int size = family == SocketFamily.AF_INET ? Unsafe.SizeOf<SockaddrIn>() : Unsafe.SizeOf<SockaddrIn6>();
        return Read(family, buffer => (
            Sys.GetSocketOption(
                socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PEERNAME, buffer.AsSpan(0, size), out int length), length));
    }

    /// <summary>Makes one of the words of a message.</summary>
    public static InetAddress Of(IEnumerable<uint> words, ushort port, uint scopeId)
        => new(MemoryMarshal.AsBytes(words.ToArray().AsSpan()).ToArray(), port, scopeId);

    /// <summary>The address as the format has it: words, as they lie in memory.</summary>
    public uint[] Words() => MemoryMarshal.Cast<byte, uint>(Bytes).ToArray();

    /// <summary>struct sockaddr_in or sockaddr_in6.</summary>
    public byte[] ToSockaddr()
    {
        var address = new IPAddress(Bytes);
        bool isLocal = address.IsIPv6LinkLocal || address.IsIPv6Multicast;
        return SocketAddress.Inet(Bytes, Port, isLocal ? ScopeId : 0);
    }

    /// <inheritdoc/>
    public override string ToString() => new IPEndPoint(new IPAddress(Bytes), Port).ToString();
}
