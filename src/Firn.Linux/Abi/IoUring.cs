using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>How an io_uring is set up (IORING_SETUP_*, include/uapi/linux/io_uring.h).</summary>
[Flags]
public enum IoUringSetup : uint
{
    None = 0,
    IORING_SETUP_IOPOLL = 1 << 0,
    IORING_SETUP_SQPOLL = 1 << 1,
    IORING_SETUP_CQSIZE = 1 << 3,
    IORING_SETUP_R_DISABLED = 1 << 6,
    IORING_SETUP_SUBMIT_ALL = 1 << 7,
    IORING_SETUP_COOP_TASKRUN = 1 << 8,
    IORING_SETUP_TASKRUN_FLAG = 1 << 9,
    IORING_SETUP_SQE128 = 1 << 10,
    IORING_SETUP_CQE32 = 1 << 11,
    IORING_SETUP_SINGLE_ISSUER = 1 << 12,
    IORING_SETUP_DEFER_TASKRUN = 1 << 13,
    IORING_SETUP_NO_SQARRAY = 1 << 16,
}

/// <summary>Operations of io_uring_register(2) (enum io_uring_register_op).</summary>
public enum IoUringRegister : uint
{
    IORING_REGISTER_BUFFERS = 0,
    IORING_UNREGISTER_BUFFERS = 1,
    IORING_REGISTER_FILES = 2,
    IORING_REGISTER_EVENTFD = 4,
    IORING_REGISTER_RESTRICTIONS = 11,
    IORING_REGISTER_ENABLE_RINGS = 12,
    IORING_REGISTER_IOWQ_AFF = 17,
    IORING_UNREGISTER_IOWQ_AFF = 18,
    IORING_REGISTER_RING_FDS = 20,
    IORING_REGISTER_PBUF_STATUS = 26,
    IORING_REGISTER_NAPI = 27,
    IORING_REGISTER_MEM_REGION = 34,
    IORING_REGISTER_USE_REGISTERED_RING = 1U << 31,
}

/// <summary>Constants of io_uring_enter(2), and where a ring is mapped.</summary>
public static class IoUringConstants
{
    public const uint IORING_ENTER_GETEVENTS = 1 << 0;
    public const uint IORING_ENTER_REGISTERED_RING = 1 << 4;
    public const ulong IORING_OFF_SQ_RING = 0;
    public const ulong IORING_OFF_CQ_RING = 0x8000000;
    public const ulong IORING_OFF_SQES = 0x10000000;
    public const byte IORING_OP_RECVMSG = 10;
    public const byte IORING_OP_URING_CMD = 46;
    public const uint SOCKET_URING_OP_SETSOCKOPT = 3;
}

/// <summary>Where things lie in the rings, from their beginning (struct io_sqring_offsets, struct io_cqring_offsets).</summary>
[InlineArray(Length)]
public struct IoUringOffsets
{
    /// <summary>In words.</summary>
    public const int Length = 20;

    private uint first;

    /// <summary>Requests that the kernel has taken.</summary>
    public readonly uint SubmissionHead => this[0];

    /// <summary>Requests that the program has put in.</summary>
    public readonly uint SubmissionTail => this[1];

    /// <summary>IORING_SQ_*: flags of the kernel.</summary>
    public readonly uint SubmissionFlags => this[4];

    /// <summary>The indices of the requests; 0 with IORING_SETUP_NO_SQARRAY.</summary>
    public readonly uint Array => this[6];

    /// <summary>Completions that the program has seen.</summary>
    public readonly uint CompletionHead => this[10];

    /// <summary>Completions that the kernel has made.</summary>
    public readonly uint CompletionTail => this[11];

    /// <summary>One less than there is room for completions: what of a count leads to a place.</summary>
    public readonly uint CompletionMask => this[12];

    /// <summary>One less than there is room for requests.</summary>
    public readonly uint SubmissionMask => this[2];

    /// <summary>The completions.</summary>
    public readonly uint Completions => this[15];
}

/// <summary>struct io_uring_params.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct IoUringParameters
{
    public uint sq_entries;
    public uint cq_entries;
    public IoUringSetup flags;
    public uint sq_thread_cpu;
    public uint sq_thread_idle;
    public uint features;
    public uint wq_fd;
    public uint resv0;
    public uint resv1;
    public uint resv2;
    public IoUringOffsets offsets;
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
