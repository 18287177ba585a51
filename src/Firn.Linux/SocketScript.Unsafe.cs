using System.Globalization;
using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>Settings of sockets and looks into their queues that are done all or not at all, also should this process be killed.</summary>
/// <remarks>
/// <para>
/// They are the requests of one io_uring_enter(2), which carries out, in their order, all that need not wait, and looks at signals after
/// that: a SIGKILL comes before the first step or after the last one (io_uring/io_uring.c, io_submit_sqes(); io_uring/uring_cmd.c). So what
/// the first steps change and the last ones put back is never seen changed by anybody who stands still meanwhile.
/// </para>
/// <para>
/// Without io_uring (sysctl kernel.io_uring_disabled, a seccomp filter), or where it can't set options of Unix sockets, each step is a
/// system call of its own: <see cref="IsOneCall"/>.
/// </para>
/// </remarks>
public sealed unsafe class SocketScript : IDisposable
{
    /// <summary>The most steps of one run.</summary>
    public const int MostSteps = 64;

    private readonly List<Step> steps = [];
    private readonly SocketRing? ring;
    private MappedMemory? memory;

    /// <summary>Makes one, of one call where that is possible.</summary>
    public SocketScript()
        : this(true)
    {
    }

    /// <summary>Makes one.</summary>
    /// <param name="oneCall">Whether it shall be one system call, where that is possible.</param>
    public SocketScript(bool oneCall) => ring = oneCall ? SocketRing.TryOpen() : null;

    /// <summary>Whether all steps are one system call.</summary>
    public bool IsOneCall => ring is not null;

    /// <summary>Adds a step: setsockopt(2) of an int.</summary>
    /// <exception cref="InvalidOperationException">There are too many steps.</exception>
    public void Set(int socket, int level, int option, int value) => Add(new Step(socket, level, option, value, null));

    /// <summary>Adds a step: recvmsg(2), which must not wait nor take anything away.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="room">Room for data, in bytes.</param>
    /// <param name="controlRoom">Room for control messages.</param>
    /// <param name="addressRoom">Room for the sender's address.</param>
    /// <param name="flags">Flags beside MSG_PEEK and MSG_DONTWAIT.</param>
    /// <param name="wholeBuffers">
    /// Whether nothing can be written behind the data's room, though more is asked for: of a stream it gives the buffers that fit as a
    /// whole then, or -EFAULT.
    /// </param>
    /// <returns>What was seen, from the end of <see cref="Run"/> to the next step that is added.</returns>
    /// <exception cref="InvalidOperationException">There are too many steps.</exception>
    public SocketLook Peek(int socket, int room, int controlRoom, int addressRoom, MessageFlags flags, bool wholeBuffers = false)
    {
        var look = new SocketLook
        {
            Flags = flags | MessageFlags.MSG_PEEK | MessageFlags.MSG_DONTWAIT,
            Room = room,
            ControlRoom = controlRoom,
            AddressRoom = addressRoom,
            HasWall = wholeBuffers,
        };
        Add(new Step(socket, 0, 0, 0, look));
        return look;
    }

    /// <summary>Does all steps.</summary>
    /// <exception cref="LinuxException">A setting was refused; all steps behind it were done all the same.</exception>
    public void Run()
    {
        Arrange();
        var results = new SysResult[steps.Count];
        int done = ring?.Run(steps, memory!, results) ?? 0;
        for (; done < steps.Count; done++)
        {
            results[done] = Call(steps[done]);
        }

        for (int i = 0; i < results.Length; i++)
        {
            steps[i].Look?.Take(results[i], memory!);
        }

        List<Step> ran = [.. steps];
        steps.Clear();
        for (int i = 0; i < results.Length; i++)
        {
            if (ran[i].Look is null)
            {
                results[i].OrThrow(string.Create(
                    CultureInfo.InvariantCulture, $"setsockopt(fd {ran[i].Socket}, {ran[i].Level}, {ran[i].Option}, {ran[i].Value})"));
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        ring?.Dispose();
        memory?.Dispose();
    }

    private static long Aligned(long offset) => (offset + 15) & ~15L;

    private void Add(Step step)
    {
        if (steps.Count == MostSteps)
        {
            throw new InvalidOperationException($"a script for sockets has room for {MostSteps} steps");
        }

        steps.Add(step);
    }

    // A step's memory: a value; or message, two vectors, data, control messages, address.
    private void Arrange()
    {
        long end = 0;
        foreach (Step step in steps)
        {
            step.Offset = end;
            end += step.Look is { } look
                ? SocketLook.HeaderSize + Aligned(look.Room) + Aligned(look.ControlRoom) + Aligned(look.AddressRoom)
                : 16;
        }

        if (memory is null || memory.Length < end)
        {
            memory?.Dispose();
            memory = MappedMemory.Anonymous(Math.Max(end, 1 << 20));
        }

        foreach (Step step in steps)
        {
            if (step.Look is { } look)
            {
                look.Arrange(memory, step.Offset);
            }
            else
            {
                // SAFETY: a step's memory lies in the mapping, which has been made large enough for all.
                *(int*)(memory.Address + (nint)step.Offset) = step.Value;
            }
        }
    }

    // SAFETY: as above; the kernel reads and writes during the call alone.
    private SysResult Call(Step step) => step.Look is { } look
        ? Kernel.Call(Sysno.recvmsg, step.Socket, memory!.Address + (nint)step.Offset, (nint)look.Flags)
        : Kernel.Call(
            Sysno.setsockopt, step.Socket, step.Level, step.Option, memory!.Address + (nint)step.Offset, sizeof(int));

    internal sealed record Step(int Socket, int Level, int Option, int Value, SocketLook? Look)
    {
        public long Offset { get; set; }
    }
}

/// <summary>What a step of a <see cref="SocketScript"/> has seen in a queue.</summary>
public sealed unsafe class SocketLook
{
    internal const int HeaderSize = 96;
    private const int VectorsOffset = 64;

    private MappedMemory? memory;
    private long offset;

    /// <summary>What recvmsg(2) gave.</summary>
    public SysResult Result { get; private set; }

    /// <summary>What it said beside that.</summary>
    public ReceivedMessage Received { get; private set; }

    /// <summary>The data, as far as there was room.</summary>
    public ReadOnlySpan<byte> Data => Result.IsError ? default : memory!.Slice(offset + HeaderSize, (int)Math.Min(Room, Result.Raw));

    /// <summary>The control messages.</summary>
    public ReadOnlySpan<byte> Control => Result.IsError ? default : memory!.Slice(ControlOffset, Received.ControlLength);

    /// <summary>The sender's address, as far as there was room.</summary>
    public ReadOnlySpan<byte> Address
        => Result.IsError ? default : memory!.Slice(AddressOffset, Math.Min(AddressRoom, Received.AddressLength));

    internal MessageFlags Flags { get; init; }

    internal int Room { get; init; }

    internal int ControlRoom { get; init; }

    internal int AddressRoom { get; init; }

    internal bool HasWall { get; init; }

    private long ControlOffset => offset + HeaderSize + ((Room + 15) & ~15L);

    private long AddressOffset => ControlOffset + ((ControlRoom + 15) & ~15L);

    internal void Arrange(MappedMemory within, long at)
    {
        memory = within;
        offset = at;

        // SAFETY: all of it lies in the mapping; the addresses are those of the parts that follow the header.
        nint start = within.Address + (nint)at;
        var vectors = (Iovec*)(start + VectorsOffset);
        vectors[0] = new Iovec { iov_base = start + HeaderSize, iov_len = Room };

        // Nothing is ever mapped at address 0 (vm.mmap_min_addr).
        vectors[1] = new Iovec { iov_base = 0, iov_len = Kernel.PageSize };
        *(Msghdr*)start = new Msghdr
        {
            msg_name = AddressRoom == 0 ? 0 : within.Address + (nint)AddressOffset,
            msg_namelen = AddressRoom,
            msg_iov = start + VectorsOffset,
            msg_iovlen = HasWall ? 2 : 1,
            msg_control = ControlRoom == 0 ? 0 : within.Address + (nint)ControlOffset,
            msg_controllen = ControlRoom,
        };
    }

    internal void Take(SysResult result, MappedMemory within)
    {
        // SAFETY: the message's header, as arranged, which the kernel has filled.
        var message = (Msghdr*)(within.Address + (nint)offset);
        Result = result;
        Received = result.IsError
            ? default
            : new ReceivedMessage((int)message->msg_controllen, message->msg_namelen, message->msg_flags);
    }
}

/// <summary>The rings of io_uring(7) through which a <see cref="SocketScript"/> goes.</summary>
internal sealed unsafe class SocketRing : IDisposable
{
    private readonly Fd fd;
    private readonly IoUringOffsets offsets;
    private readonly MappedMemory requests;
    private readonly MappedMemory answers;
    private readonly MappedMemory entries;

    private SocketRing(Fd fd, in IoUringParameters parameters)
    {
        const ProtectionFlags Both = ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE;
        const MapFlags Shared = MapFlags.MAP_SHARED | MapFlags.MAP_POPULATE;
        this.fd = fd;
        offsets = parameters.offsets;
        requests = MappedMemory.Map(
            fd.Number,
            (long)IoUringConstants.IORING_OFF_SQ_RING,
            offsets.Array + (parameters.sq_entries * sizeof(uint)),
            Both,
            Shared);
        answers = MappedMemory.Map(
            fd.Number,
            (long)IoUringConstants.IORING_OFF_CQ_RING,
            offsets.Completions + (parameters.cq_entries * sizeof(IoUringCqe)),
            Both,
            Shared);
        entries = MappedMemory.Map(
            fd.Number, (long)IoUringConstants.IORING_OFF_SQES, parameters.sq_entries * sizeof(IoUringSqe), Both, Shared);
    }

    /// <summary>Opens rings that can set options of Unix sockets; null where there are none.</summary>
    public static SocketRing? TryOpen()
    {
        var parameters = new IoUringParameters { flags = IoUringSetup.IORING_SETUP_SUBMIT_ALL };
        SysResult made = Sys.IoUringSetup(SocketScript.MostSteps, ref parameters);
        if (made.IsError)
        {
            return null;
        }

        var ring = new SocketRing(new Fd(made.Int32), parameters);
        if (ring.CanSet())
        {
            return ring;
        }

        ring.Dispose();
        return null;
    }

    /// <summary>Does steps.</summary>
    /// <param name="steps">The steps.</param>
    /// <param name="memory">Their memory.</param>
    /// <param name="results">Gets the result of each step that was done.</param>
    /// <returns>How many were done, from the first on.</returns>
    public int Run(IReadOnlyList<SocketScript.Step> steps, MappedMemory memory, Span<SysResult> results)
    {
        uint* tail = At(requests, offsets.SubmissionTail);
        uint mask = *At(requests, offsets.SubmissionMask);
        for (int i = 0; i < steps.Count; i++)
        {
            // SAFETY: the rings have room for MostSteps, are empty between two runs, and are mapped for as long as this object is there.
            uint slot = (*tail + (uint)i) & mask;
            ((IoUringSqe*)entries.Address)[slot] = Request(steps[i], (ulong)(memory.Address + (nint)steps[i].Offset), (ulong)i);
            At(requests, offsets.Array)[slot] = slot;
        }

        Volatile.Write(ref *tail, *tail + (uint)steps.Count);
        int submitted = 0;
        while (submitted < steps.Count)
        {
            SysResult result = Kernel.Call(Sysno.io_uring_enter, fd.Number, steps.Count - submitted);
            if (result.Raw <= 0)
            {
                break;
            }

            submitted += result.Int32;
        }

        // What was not taken, for want of memory, is not to be done later.
        *tail -= (uint)(steps.Count - submitted);
        for (int answered = Collect(results); answered < submitted; answered += Collect(results))
        {
            Kernel.Call(Sysno.io_uring_enter, fd.Number, 0, 1, (nint)IoUringConstants.IORING_ENTER_GETEVENTS);
        }

        return submitted;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        requests.Dispose();
        answers.Dispose();
        entries.Dispose();
        fd.Dispose();
    }

    private static uint* At(MappedMemory memory, uint offset) => (uint*)(memory.Address + (nint)offset);

    private static IoUringSqe Request(SocketScript.Step step, ulong address, ulong number) => step.Look is { } look
        ? new IoUringSqe
        {
            opcode = IoUringConstants.IORING_OP_RECVMSG,
            fd = step.Socket,
            addr = address,
            len = 1,
            msg_flags = (uint)look.Flags,
            user_data = number,
        }
        : new IoUringSqe
        {
            opcode = IoUringConstants.IORING_OP_URING_CMD,
            fd = step.Socket,
            off = IoUringConstants.SOCKET_URING_OP_SETSOCKOPT,
            addr = (uint)step.Level | ((ulong)(uint)step.Option << 32),
            file_index = sizeof(int),
            addr3 = address,
            user_data = number,
        };

    private int Collect(Span<SysResult> results)
    {
        uint* head = At(answers, offsets.CompletionHead);
        uint mask = *At(answers, offsets.CompletionMask);
        uint end = Volatile.Read(ref *At(answers, offsets.CompletionTail));
        int count = 0;
        uint position = *head;
        for (; position != end; position++, count++)
        {
            IoUringCqe answer = ((IoUringCqe*)At(answers, offsets.Completions))[position & mask];
            results[(int)answer.user_data] = new SysResult(answer.res);
        }

        Volatile.Write(ref *head, position);
        return count;
    }

    // Older kernels set options only of sockets whose protocol has an ioctl of its own, which Unix sockets have not.
    private bool CanSet()
    {
        SysResult opened = Sys.Socket(SocketFamily.AF_UNIX, SocketType.SOCK_STREAM | SocketType.SOCK_CLOEXEC);
        if (opened.IsError)
        {
            return false;
        }

        using var socket = new Fd(opened.Int32);
        using MappedMemory value = MappedMemory.Anonymous(Kernel.PageSize);
        value.Span[0] = 1;
        Span<SysResult> result = [default];
        return Run([new SocketScript.Step(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PASSCRED, 1, null)], value, result) == 1
            && !result[0].IsError;
    }
}
