using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>Walks over the attributes of a netlink message (struct nlattr, netlink(7)): for use with foreach.</summary>
/// <param name="attributes">The attributes.</param>
public ref struct NetlinkAttributes(ReadOnlySpan<byte> attributes)
{
    private const int HeaderSize = 4;

    private ReadOnlySpan<byte> rest = attributes;

    /// <summary>The type at hand, without its flags.</summary>
    public ushort Type { get; private set; }

    /// <summary>The value at hand.</summary>
    public ReadOnlySpan<byte> Value { get; private set; }

    /// <summary>Goes on to the next attribute; false at the end.</summary>
    public bool MoveNext()
    {
        if (rest.Length < HeaderSize)
        {
            return false;
        }

        Nlattr header = MemoryMarshal.Read<Nlattr>(rest);
        if (header.nla_len < HeaderSize || header.nla_len > rest.Length)
        {
            return false;
        }

        Type = (ushort)(header.nla_type & ~(NetlinkConstants.NLA_F_NESTED | NetlinkConstants.NLA_F_NET_BYTEORDER));
        Value = rest[HeaderSize..header.nla_len];
        rest = rest[Math.Min(rest.Length, (header.nla_len + 3) & ~3)..];
        return true;
    }
}
