namespace Firn.Linux.Procfs;

/// <summary>A file that is registered with an io_uring.</summary>
/// <param name="Index">Its place.</param>
/// <param name="Link">What the magic link of a descriptor of it would say.</param>
public readonly record struct IoUringFileSlot(int Index, string Link);

/// <summary>Memory that is registered with an io_uring.</summary>
/// <param name="Index">Its place.</param>
/// <param name="Address">Where it was in whoever registered it; 0 for memory of the kernel.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct IoUringBufferSlot(int Index, ulong Address, ulong Length);

/// <summary>What fdinfo says of an io_uring (io_uring/fdinfo.c): all of its counters run on from 0 and wrap at 32 bits.</summary>
public sealed class IoUringInfo
{
    private enum Part
    {
        Queues,
        Files,
        Buffers,
        Personalities,
        Polls,
        Overflow,
    }

    private Part part;

    /// <summary>Room for requests, less one.</summary>
    public uint SubmissionMask { get; private set; }

    /// <summary>Requests that the program has put into the ring.</summary>
    public uint SubmissionTail { get; private set; }

    /// <summary>Requests that the kernel has taken out of it.</summary>
    public uint Taken { get; private set; }

    /// <summary>Room for completions, less one.</summary>
    public uint CompletionMask { get; private set; }

    /// <summary>Completions that the program has seen.</summary>
    public uint CompletionHead { get; private set; }

    /// <summary>Completions that the program can see.</summary>
    public uint CompletionTail { get; private set; }

    /// <summary>Completions that the kernel has made.</summary>
    public uint Completed { get; private set; }

    /// <summary>How many requests were shown; of a ring without an array of indices, none.</summary>
    public int ShownRequests { get; private set; }

    /// <summary>Whether those requests are of 128 bytes (IORING_SETUP_SQE128).</summary>
    public bool HasWideRequests { get; private set; }

    /// <summary>How many completions were shown.</summary>
    public int ShownCompletions { get; private set; }

    /// <summary>Whether those completions are of 32 bytes (IORING_SETUP_CQE32).</summary>
    public bool HasWideCompletions { get; private set; }

    /// <summary>The thread that takes requests by itself (IORING_SETUP_SQPOLL), or -1.</summary>
    public int Thread { get; private set; } = -1;

    /// <summary>Places for registered files.</summary>
    public int Files { get; private set; }

    /// <summary>The places that have a file.</summary>
    public List<IoUringFileSlot> FileSlots { get; } = [];

    /// <summary>Places for registered buffers.</summary>
    public int Buffers { get; private set; }

    /// <summary>The places that have a buffer.</summary>
    public List<IoUringBufferSlot> BufferSlots { get; } = [];

    /// <summary>Requests that wait for a file to become ready.</summary>
    public int ArmedPolls { get; private set; }

    /// <summary>Completions for which there was no room.</summary>
    public int Overflown { get; private set; }

    /// <summary>Whether it polls network devices (IORING_REGISTER_NAPI).</summary>
    public bool PollsDevices { get; private set; }

    /// <summary>Whether it has personalities (IORING_REGISTER_PERSONALITY): shown by older kernels alone.</summary>
    public bool HasPersonalities { get; private set; }

    /// <summary>Whether a line is one of an io_uring's, by its key.</summary>
    internal static bool IsKey(ReadOnlySpan<char> key) => key is "SqMask" or "SqTail" or "CachedSqHead" or "CqMask" or "CqHead" or "CqTail"
        or "CachedCqTail" or "SqThread" or "UserFiles" or "UserBufs" or "Personalities" or "PollList" or "CqOverflowList"
        or "NAPI";

    internal void Set(ReadOnlySpan<char> key, ByteReader value)
    {
        switch (key)
        {
            case "SqMask":
                SubmissionMask = HexWithPrefix(value);
                break;
            case "SqTail":
                SubmissionTail = (uint)value.Decimal();
                break;
            case "CachedSqHead":
                Taken = (uint)value.Decimal();
                break;
            case "CqMask":
                CompletionMask = HexWithPrefix(value);
                break;
            case "CqHead":
                CompletionHead = (uint)value.Decimal();
                break;
            case "CqTail":
                CompletionTail = (uint)value.Decimal();
                break;
            case "CachedCqTail":
                Completed = (uint)value.Decimal();
                break;
            case "SqThread":
                Thread = value.Int32();
                break;
            case "UserFiles":
                Files = value.Int32();
                part = Part.Files;
                break;
            case "UserBufs":
                Buffers = value.Int32();
                part = Part.Buffers;
                break;
            case "Personalities":
                HasPersonalities = true;
                part = Part.Personalities;
                break;
            case "PollList":
                part = Part.Polls;
                break;
            case "CqOverflowList":
                part = Part.Overflow;
                break;
            default:
                value.SkipBlanks();
                PollsDevices = !value.Rest.SequenceEqual("disabled"u8);
                break;
        }
    }

    /// <summary>Takes a line that is indented: a row of the list that was begun last.</summary>
    internal void AddRow(ByteReader row)
    {
        switch (part)
        {
            case Part.Queues when row.Rest.IndexOf(": opcode:"u8) >= 0:
                ShownRequests++;
                HasWideRequests |= row.Rest.IndexOf(", e0:0x"u8) >= 0;
                break;
            case Part.Queues when row.Rest.IndexOf(": user_data:"u8) >= 0:
                ShownCompletions++;
                HasWideCompletions |= row.Rest.IndexOf(", extra1:"u8) >= 0;
                break;
            case Part.Files:
                AddFile(row);
                break;
            case Part.Buffers:
                AddBuffer(row);
                break;
            case Part.Polls:
                ArmedPolls++;
                break;
            case Part.Overflow:
                Overflown++;
                break;
        }
    }

    private static uint HexWithPrefix(ByteReader value)
    {
        value.SkipBlanks();
        value.Take("0x"u8);
        return (uint)value.Hex();
    }

    // "    3: /dev/null"; a place without a file is left out, or was <none>.
    private void AddFile(ByteReader row)
    {
        int index = row.Int32();
        row.Take(":"u8);
        row.SkipBlanks();
        if (!row.Rest.SequenceEqual("<none>"u8))
        {
            FileSlots.Add(new IoUringFileSlot(index, ProcText.Unescape(row.Rest)));
        }
    }

    // "    0: 0x7f2ac5d3e000/4096"; a place without a buffer is <none>.
    private void AddBuffer(ByteReader row)
    {
        int index = row.Int32();
        row.Take(":"u8);
        row.SkipBlanks();
        if (row.TryTake("0x"u8))
        {
            ulong address = row.Hex();
            row.Take("/"u8);
            BufferSlots.Add(new IoUringBufferSlot(index, address, row.Decimal()));
        }
    }
}
