using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>One control message of a socket (cmsg(3)); its data lies in the buffer that was read.</summary>
public readonly ref struct ControlMessage
{
    internal ControlMessage(int level, int type, ReadOnlySpan<byte> data)
    {
        Level = level;
        Type = type;
        Data = data;
    }

    /// <summary>SOL_SOCKET or another level.</summary>
    public int Level { get; }

    /// <summary>SCM_* or a type of that level.</summary>
    public int Type { get; }

    /// <summary>The data.</summary>
    public ReadOnlySpan<byte> Data { get; }
}

/// <summary>Walks over the control messages that came with a message (cmsg(3)): for use with foreach.</summary>
/// <param name="control">What came.</param>
public ref struct ControlMessages(ReadOnlySpan<byte> control)
{
    private const int HeaderSize = 16;

    private ReadOnlySpan<byte> rest = control;

    /// <summary>The message at hand.</summary>
    public ControlMessage Current { get; private set; }

    /// <summary>CMSG_SPACE: the room that data of a size takes, in bytes.</summary>
    public static int Space(int dataLength) => HeaderSize + ((dataLength + 7) & ~7);

    /// <summary>Writes one control message at the start of a buffer; gives the room that it takes.</summary>
    public static int Write(Span<byte> control, int level, int type, ReadOnlySpan<byte> data)
    {
        int space = Space(data.Length);
        control[..space].Clear();
        Cmsghdr header = new() { cmsg_len = HeaderSize + data.Length, cmsg_level = level, cmsg_type = type };
        MemoryMarshal.Write(control, in header);
        data.CopyTo(control[HeaderSize..]);
        return space;
    }

    /// <summary>Gives itself: the pattern of foreach.</summary>
    public readonly ControlMessages GetEnumerator() => this;

    /// <summary>Goes on to the next message; false at the end.</summary>
    public bool MoveNext()
    {
        if (rest.Length < HeaderSize)
        {
            return false;
        }

        Cmsghdr header = MemoryMarshal.Read<Cmsghdr>(rest);
        int length = (int)header.cmsg_len;
        if (length < HeaderSize || length > rest.Length)
        {
            return false;
        }

        Current = new ControlMessage(header.cmsg_level, header.cmsg_type, rest[HeaderSize..length]);
        rest = rest[Math.Min(rest.Length, Space(length - HeaderSize))..];
        return true;
    }
}

/// <summary>What recvmsg(2) says of a message beside its data.</summary>
/// <param name="ControlLength">Bytes of control messages.</param>
/// <param name="AddressLength">Bytes of the sender's address, which may be more than there was room for.</param>
/// <param name="Flags">MSG_TRUNC, MSG_CTRUNC, MSG_OOB, MSG_EOR and their like.</param>
public readonly record struct ReceivedMessage(int ControlLength, int AddressLength, MessageFlags Flags);
