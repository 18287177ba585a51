using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>Makes the bytes of socket addresses, for <see cref="Sys.Bind"/> and its kin.</summary>
public static class SocketAddress
{
    /// <summary>
    /// struct sockaddr_un with a name as sock_diag gives it: a path with or without a terminator, or abstract with a leading 0.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The name is longer than 108 bytes.</exception>
    public static byte[] Unix(ReadOnlySpan<byte> name)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(name.Length, UnixPath.Length);
        byte[] address = new byte[sizeof(ushort) + name.Length];
        BinaryPrimitives.WriteUInt16LittleEndian(address, (ushort)SocketFamily.AF_UNIX);
        name.CopyTo(address.AsSpan(sizeof(ushort)));
        return address;
    }

    /// <summary>struct sockaddr_in or sockaddr_in6, by the length of the address: 4 or 16 bytes.</summary>
    /// <param name="address">The address in network order.</param>
    /// <param name="port">The port as a number.</param>
    /// <param name="scopeId">sin6_scope_id, the interface of a link-local address.</param>
    /// <exception cref="ArgumentException">The address is neither 4 nor 16 bytes long.</exception>
    public static byte[] Inet(ReadOnlySpan<byte> address, ushort port, uint scopeId = 0)
    {
        ushort networkPort = BinaryPrimitives.ReverseEndianness(port);
        switch (address.Length)
        {
            case 4:
                var inet = new SockaddrIn
                {
                    sin_family = (ushort)SocketFamily.AF_INET,
                    sin_port = networkPort,
                    sin_addr = MemoryMarshal.Read<uint>(address),
                };
                return Bytes(in inet);
            case 16:
                var inet6 = new SockaddrIn6
                {
                    sin6_family = (ushort)SocketFamily.AF_INET6,
                    sin6_port = networkPort,
                    sin6_addr = MemoryMarshal.Read<Ipv6Address>(address),
                    sin6_scope_id = scopeId,
                };
                return Bytes(in inet6);
            default:
                throw new ArgumentException("an IP address has 4 or 16 bytes", nameof(address));
        }
    }

    private static byte[] Bytes<T>(in T address)
        where T : unmanaged => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in address)).ToArray();
}
