using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>A netlink message under construction: header, the header of its family, attributes (netlink(7)).</summary>
public sealed class NetlinkMessage
{
    private const int HeaderSize = 16;
    private const int AttributeHeaderSize = 4;
    private const int FirstSize = 256;

    private byte[] bytes = new byte[FirstSize];
    private int length = HeaderSize;

    /// <summary>Begins a message.</summary>
    /// <param name="type">nlmsg_type.</param>
    /// <param name="flags">nlmsg_flags besides NLM_F_REQUEST, which it has anyway.</param>
    public NetlinkMessage(ushort type, ushort flags = 0)
    {
        Type = type;
        Flags = (ushort)(flags | NetlinkConstants.NLM_F_REQUEST);
    }

    /// <summary>nlmsg_type.</summary>
    public ushort Type { get; }

    /// <summary>nlmsg_flags.</summary>
    public ushort Flags { get; }

    /// <summary>Adds the header of the family, or any other bytes, up to the next boundary of four.</summary>
    public NetlinkMessage Header<T>(in T header)
        where T : unmanaged
        => Raw(MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in header)));

    /// <summary>Adds bytes as they are: attributes of another message.</summary>
    public NetlinkMessage Raw(ReadOnlySpan<byte> value)
    {
        value.CopyTo(Grow(value.Length));
        return this;
    }

    /// <summary>Adds an attribute.</summary>
    public NetlinkMessage Add(ushort type, ReadOnlySpan<byte> value)
    {
        Nlattr header = new() { nla_len = (ushort)(AttributeHeaderSize + value.Length), nla_type = type };
        Span<byte> room = Grow(header.nla_len);
        MemoryMarshal.Write(room, in header);
        value.CopyTo(room[AttributeHeaderSize..]);
        return this;
    }

    /// <summary>Adds an attribute that is a number, in the byte order of the host.</summary>
    public NetlinkMessage Add<T>(ushort type, T value)
        where T : unmanaged
        => Add(type, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)));

    /// <summary>Adds an attribute that is a number of 32 bits in network order, as all of netfilter's are.</summary>
    public NetlinkMessage AddNetworkOrder(ushort type, uint value) => Add(type, BinaryPrimitives.ReverseEndianness(value));

    /// <summary>Adds an attribute that is a text, with its end.</summary>
    public NetlinkMessage Add(ushort type, string text) => Add(type, Encoding.UTF8.GetBytes(text + "\0"));

    /// <summary>Adds an attribute that holds others.</summary>
    /// <param name="type">Its type, with NLA_F_NESTED where the kernel asks for that.</param>
    /// <param name="content">Adds those.</param>
    public NetlinkMessage Nest(ushort type, Action<NetlinkMessage> content)
    {
        ArgumentNullException.ThrowIfNull(content);
        int start = length;
        Grow(AttributeHeaderSize);
        content(this);
        Nlattr header = new() { nla_len = (ushort)(length - start), nla_type = type };
        MemoryMarshal.Write(bytes.AsSpan(start), in header);
        return this;
    }

    /// <summary>The whole message, with a number for its answer.</summary>
    /// <param name="sequence">nlmsg_seq.</param>
    /// <param name="flags">More flags.</param>
    internal ReadOnlySpan<byte> Finish(uint sequence, ushort flags)
    {
        Nlmsghdr header = new()
        {
            nlmsg_len = (uint)length,
            nlmsg_type = Type,
            nlmsg_flags = (ushort)(Flags | flags),
            nlmsg_seq = sequence,
        };
        MemoryMarshal.Write(bytes, in header);
        return bytes.AsSpan(0, length);
    }

    // New room is zero, so padding is.
    private Span<byte> Grow(int size)
    {
        int aligned = (size + 3) & ~3;
        if (length + aligned > bytes.Length)
        {
            Array.Resize(ref bytes, Math.Max(bytes.Length * 2, length + aligned));
        }

        Span<byte> room = bytes.AsSpan(length, size);
        length += aligned;
        return room;
    }
}
