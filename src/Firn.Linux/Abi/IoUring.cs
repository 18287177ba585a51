using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Numbers of io_uring_setup(2) and io_uring_enter(2) (include/uapi/linux/io_uring.h).</summary>
public static class IoUringConstants
{
    public const uint IORING_SETUP_SUBMIT_ALL = 0x80;
    public const uint IORING_ENTER_GETEVENTS = 1;
    public const long IORING_OFF_SQ_RING = 0;
    public const long IORING_OFF_CQ_RING = 0x8000000;
    public const long IORING_OFF_SQES = 0x10000000;
    public const byte IORING_OP_RECVMSG = 10;
    public const byte IORING_OP_URING_CMD = 46;
    public const uint SOCKET_URING_OP_SETSOCKOPT = 3;
}

/// <summary>Where things lie in the ring of requests: struct io_sqring_offsets (include/uapi/linux/io_uring.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IoSqringOffsets
{
    public uint head;
    public uint tail;
    public uint ring_mask;
    public uint ring_entries;
    public uint flags;
    public uint dropped;
    public uint array;
    public uint resv1;
    public ulong resv2;
}

/// <summary>Where things lie in the ring of answers: struct io_cqring_offsets (include/uapi/linux/io_uring.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IoCqringOffsets
{
    public uint head;
    public uint tail;
    public uint ring_mask;
    public uint ring_entries;
    public uint overflow;
    public uint cqes;
    public uint flags;
    public uint resv1;
    public ulong resv2;
}

/// <summary>What io_uring_setup(2) takes and gives: struct io_uring_params (include/uapi/linux/io_uring.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IoUringParams
{
    public uint sq_entries;
    public uint cq_entries;
    public uint flags;
    public uint sq_thread_cpu;
    public uint sq_thread_idle;
    public uint features;
    public uint wq_fd;
    public uint unused0;
    public ulong unused1;
    public IoSqringOffsets sq_off;
    public IoCqringOffsets cq_off;
}

/// <summary>A request: struct io_uring_sqe (include/uapi/linux/io_uring.h).</summary>
/// <remarks>
/// Of a command for a socket, off is its number, addr the level with the option's name above it, file_index the value's length and addr3
/// the value's address.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
public struct IoUringSqe
{
    public byte opcode;
    public byte flags;
    public ushort ioprio;
    public int fd;
    public ulong off;
    public ulong addr;
    public uint len;
    public uint msg_flags;
    public ulong user_data;
    public ushort buf_index;
    public ushort personality;
    public uint file_index;
    public ulong addr3;
    public ulong unused;
}

/// <summary>An answer: struct io_uring_cqe (include/uapi/linux/io_uring.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IoUringCqe
{
    public ulong user_data;
    public int res;
    public uint flags;
}
