using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>Changes attributes of netlink messages (netlink(7)): what the kernel tells becomes what it is asked for.</summary>
internal static class NetlinkEditing
{
    private const int HeaderSize = 4;

    /// <summary>Gives each attribute as it was, with another value, or not at all.</summary>
    /// <param name="attributes">The attributes.</param>
    /// <param name="value">Told the type, without flags, and the value; gives the new value, or null to leave it out.</param>
    public static byte[] Change(ReadOnlySpan<byte> attributes, Func<ushort, byte[], byte[]?> value)
    {
        List<byte> kept = [];
        for (ReadOnlySpan<byte> rest = attributes; rest.Length >= HeaderSize;)
        {
            Nlattr header = MemoryMarshal.Read<Nlattr>(rest);
            if (header.nla_len < HeaderSize || header.nla_len > rest.Length)
            {
                break;
            }

            ushort type = (ushort)(header.nla_type & ~(NetlinkConstants.NLA_F_NESTED | NetlinkConstants.NLA_F_NET_BYTEORDER));
            if (value(type, rest[HeaderSize..header.nla_len].ToArray()) is { } changed)
            {
                Append(kept, header.nla_type, changed);
            }

            rest = rest[Math.Min(rest.Length, (header.nla_len + 3) & ~3)..];
        }

        return [.. kept];
    }

    /// <summary>Adds an attribute.</summary>
    public static void Append(List<byte> to, ushort type, ReadOnlySpan<byte> value)
    {
        int length = HeaderSize + value.Length;
        to.AddRange([(byte)length, (byte)(length >> 8), (byte)type, (byte)(type >> 8)]);
        to.AddRange(value);
        to.AddRange(new byte[-length & 3]);
    }

    /// <summary>The value of the first attribute of a type; empty if there is none.</summary>
    public static ReadOnlySpan<byte> Value(ReadOnlySpan<byte> attributes, ushort type)
    {
        var walk = new NetlinkAttributes(attributes);
        while (walk.MoveNext())
        {
            if (walk.Type == type)
            {
                return walk.Value;
            }
        }

        return default;
    }
}
