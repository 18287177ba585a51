using System.Buffers.Binary;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Google.Protobuf;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>The keys by which TCP sockets sign their segments (TCP_MD5SIG, RFC 2385), as programs for BGP set them: both halves.</summary>
/// <remarks>
/// No getsockopt(2) has them, but sock_diag, for whoever has CAP_NET_ADMIN (net/ipv4/tcp_diag.c); not of a socket that is neither bound nor
/// connected, and not the routing domain (VRF) of a key.
/// </remarks>
internal sealed class TcpKeys
{
    // struct tcp_md5sig (include/uapi/linux/tcp.h).
    private const int Size = 216;
    private const int FlagsOffset = 128;
    private const int PrefixOffset = 129;
    private const int LengthOffset = 130;
    private const int KeyOffset = 136;
    private const int LongestKey = 80;
    private const int MappedPrefix = 12;

    private readonly Dictionary<uint, Dictionary<ulong, List<TcpKeyInfo>>> known = [];

    // ---- dump

    /// <summary>Saves the keys of a socket.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Read(DumpContext context, OpenFile file, InetSkEntry message)
    {
        foreach (TcpKeyInfo key in Of(context, file))
        {
            message.Md5Keys.Add(new TcpKeyEntry
            {
                Address = ByteString.CopyFrom(key.Address),
                Prefix = key.Prefix,
                Key = ByteString.CopyFrom(key.Key),
            });
        }
    }

    /// <summary>The keys of a socket.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public IReadOnlyList<TcpKeyInfo> Of(DumpContext context, OpenFile file)
    {
        DumpedNamespace network = SocketTables.NetworkOf(context, file);
        if (!known.TryGetValue(network.Id, out Dictionary<ulong, List<TcpKeyInfo>>? keys))
        {
            using NamespaceVisit? visit = network.IsNested ? network.Visit() : null;
            using var diag = SockDiag.Open();
            known.Add(network.Id, keys = diag.ReadTcpKeys());
        }

        return keys.GetValueOrDefault(file.Stat.st_ino) ?? [];
    }

    // ---- restore

    /// <summary>
    /// Sets the keys of a socket. From then on it takes no segment of these peers that isn't signed, and so none of Firn's.
    /// </summary>
    /// <exception cref="LinuxException">The kernel refuses, or has no such keys (CONFIG_TCP_MD5SIG).</exception>
    public static void Write(Fd socket, InetSkEntry message)
    {
        foreach (TcpKeyEntry key in message.Md5Keys)
        {
            if (key.Address.Length is not (4 or 16) || key.Key.Length > LongestKey)
            {
                throw new ImageFormatException(
                    "files.img", -1, "tcp-key", $"has a key of TCP for no address, or longer than {LongestKey} bytes; the file is damaged");
            }

            byte[] value = new byte[Size];
            Linux.SocketAddress.Inet(AddressFor((SocketFamily)message.Family, key.Address.ToByteArray()), 0).CopyTo(value, 0);
            value[FlagsOffset] = TcpOption.TCP_MD5SIG_FLAG_PREFIX;
            value[PrefixOffset] = (byte)key.Prefix;
            BinaryPrimitives.WriteUInt16LittleEndian(value.AsSpan(LengthOffset), (ushort)key.Key.Length);
            key.Key.Span.CopyTo(value.AsSpan(KeyOffset));
            Sys.SetSocketOption(socket.Number, SocketLevel.IPPROTO_TCP, TcpOption.TCP_MD5SIG_EXT, value)
                .OrThrow($"setsockopt({socket}, TCP_MD5SIG_EXT) of file {message.Id}");
        }
    }

    // A socket of IPv6 takes addresses of IPv4 as mapped ones.
    private static byte[] AddressFor(SocketFamily family, byte[] address)
    {
        if (family != SocketFamily.AF_INET6 || address.Length == 16)
        {
            return address;
        }

        byte[] mapped = new byte[16];
        mapped[10] = mapped[11] = 0xFF;
        address.CopyTo(mapped, MappedPrefix);
        return mapped;
    }
}
