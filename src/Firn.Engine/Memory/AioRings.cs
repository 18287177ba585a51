using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Memory;

/// <summary>Rings of io_setup(2), with the completed events that wait in them.</summary>
/// <remarks>
/// Kernel: fs/aio.c. The id of such a context is the address of its ring, so that a new one is moved to where the old one was (mremap(2)
/// tells the context). Where the kernel writes next is known to it alone: a new ring is brought there by requests that do nothing. A
/// request that is still under way can't be seen: a dump waits until no block device has any.
/// </remarks>
internal static class AioRings
{
    /// <summary>What /proc/PID/maps says of a ring.</summary>
    public const string Link = "/[aio] (deleted)";

    private const int HeaderSize = 32;
    private const int EventSize = 32;
    private const int HeadOffset = 8;
    private const uint Magic = 0xa10a10a1;
    private const int MaxRing = 64 << 20;
    private const int RequestsPerCall = 512;

    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Header(
        uint Id, uint Events, uint Head, uint Tail, uint Magic, uint Compatible, uint Incompatible, uint Size);

    // ---- dump

    /// <summary>Makes known that a task has a ring.</summary>
    public static void Examine(DumpContext context, DumpedTask task, VmaEntry vma)
    {
        int length = (int)Math.Min(vma.End - vma.Start, MaxRing);
        Header header = ReadHeader(task.Pid, vma.Start);
        if (header.Magic != Magic || header.Incompatible != 0 || header.Size != HeaderSize
            || header.Events != (length / EventSize) - 1 || header.Head >= header.Events || header.Tail >= header.Events)
        {
            context.Problems.Add(
                "aio-ring",
                task.Pid,
                $"ring of io_setup(2) at {vma.Start:x}",
                "the program has written over it, or this kernel's rings are of another kind",
                "let the application call io_destroy(2) first, or use threads for its I/O");
            return;
        }

        // The kernel takes twice as many and two more, and fills the last page: this many give the same number again.
        task.Mm.Aios.Add(new AioRingEntry { Id = vma.Start, NrReq = (header.Events - 2) / 2, RingLen = (uint)length });
    }

    /// <summary>Waits until no request of a task with a ring can be under way. The tree is frozen, so that no new ones come.</summary>
    /// <exception cref="CheckpointException">There are still some when the patience is at its end.</exception>
    public static void WaitForRequests(DumpContext context)
    {
        if (context.Tasks.Find(task => !task.IsZombie && task.Mm.Aios.Count > 0) is not { } owner)
        {
            return;
        }

        long deadline = Sys.ClockNanoseconds(1) + (context.Options.TimeoutSeconds * 1_000_000_000L);
        while (BlockDevicesAreBusy())
        {
            if (Sys.ClockNanoseconds(1) > deadline)
            {
                throw new CheckpointException(
                    $"pid {owner.Pid} has a ring of io_setup(2), and block devices have been busy for {context.Options.TimeoutSeconds} s: "
                        + "a request of it may be under way; try again when they rest")
                {
                    Phase = "dump",
                    Pid = owner.Pid,
                };
            }

            Thread.Sleep(1);
        }
    }

    // ---- restore

    /// <summary>Makes the rings of a process: its memory is in place, and so are its children, who must not have them.</summary>
    /// <param name="memory">The plan.</param>
    /// <param name="batch">The leader's batch.</param>
    /// <exception cref="ImageFormatException">A ring is damaged.</exception>
    /// <exception cref="CheckpointException">The kernel gives another ring.</exception>
    public static void Restore(TaskMemory memory, RemoteBatch batch)
    {
        if (memory.Rings.Count == 0)
        {
            return;
        }

        // Their places are taken first, so that no new ring lies there.
        foreach (PlannedVma ring in memory.Rings)
        {
            batch.MakeRoom(1, 0, "aio rings");
            batch.Call(
                Sysno.mmap,
                ring.Entry.Start,
                ring.End - ring.Entry.Start,
                0,
                (int)(MapFlags.MAP_PRIVATE | MapFlags.MAP_ANONYMOUS | MapFlags.MAP_FIXED | MapFlags.MAP_NORESERVE),
                -1,
                0);
        }

        const int CloseOnExec = 1;
        batch.MakeRoom(1, 64, "aio rings");
        Slot idle = batch.Call(Sysno.memfd_create, batch.Text("firn-idle"), CloseOnExec);
        batch.Run("aio rings");
        foreach (PlannedVma ring in memory.Rings)
        {
            Restore(memory, batch, ring, idle.Int32);
        }

        batch.Call(Sysno.close, idle.Int32);
        batch.Run("aio rings");
    }

    private static void Restore(TaskMemory memory, RemoteBatch batch, PlannedVma ring, int idle)
    {
        const int MREMAP_MAYMOVE_FIXED = 3;
        RestoredTask task = memory.Task;
        byte[] saved = ReadSaved(ring);
        Header header = MemoryMarshal.Read<Header>(saved);
        AioRingEntry? entry = task.Mm!.Aios.FirstOrDefault(aio => aio.Id == ring.Entry.Start);
        if (entry is null || header.Magic != Magic || header.Events != (saved.Length / EventSize) - 1
            || header.Head >= header.Events || header.Tail >= header.Events)
        {
            throw new ImageFormatException(
                ImageKind.Mm.FileName((ulong)task.Pid),
                -1,
                ImageDiagnostic.BadMessage,
                $"has a ring of io_setup(2) at {ring.Entry.Start:x} that none can be; the set is damaged");
        }

        RemoteBuffer context = batch.Data(0UL);
        batch.Call(Sysno.io_setup, entry.NrReq, context);
        ulong address = 0;
        batch.Then(() => address = context.As<ulong>()[0]);
        batch.Run("aio rings");
        Header made = ReadHeader(task.OuterPid, address);
        if (made.Events != header.Events)
        {
            throw new CheckpointException(
                $"task {task.Pid}: its ring of io_setup(2) for {header.Events} events would be one for {made.Events} here; restore it on a "
                    + "machine with no more CPUs than it was saved on")
            {
                Phase = "forking",
                Pid = task.Pid,
            };
        }

        // All up to the head, then what waits: the kernel counts what was not fetched yet.
        using Fd bytes = Sys.Open($"/proc/{task.OuterPid}/mem", OpenFlags.O_RDWR);
        Idle(batch, address, idle, header.Head);
        Write(bytes, address + HeadOffset, BitConverter.GetBytes(header.Head));
        Idle(batch, address, idle, (header.Tail + header.Events - header.Head) % header.Events);
        Write(bytes, address + HeaderSize, saved.AsSpan(HeaderSize));
        batch.Call(Sysno.mremap, address, saved.Length, saved.Length, MREMAP_MAYMOVE_FIXED, ring.Entry.Start);
        batch.Run("aio rings");
    }

    // Requests to read nothing, which are complete when io_submit(2) returns. It may take fewer than it is given.
    private static void Idle(RemoteBatch batch, ulong context, int idle, uint count)
    {
        while (count > 0)
        {
            int number = (int)Math.Min(count, RequestsPerCall);
            RemoteBuffer request = batch.Allocate(64);
            request.As<uint>()[5] = (uint)idle;
            RemoteBuffer list = batch.Allocate(number * sizeof(ulong));
            list.As<ulong>().Fill(request.Address.Value);
            Slot submitted = batch.Call(Sysno.io_submit, context, number, list);
            batch.Run("aio rings");
            count -= (uint)submitted.Int32;
        }
    }

    private static byte[] ReadSaved(PlannedVma ring)
    {
        ulong length = ring.End - ring.Entry.Start;
        byte[] saved = new byte[Math.Min(length, MaxRing)];
        foreach (SourceRun run in ring.Pages)
        {
            Span<byte> part = saved.AsSpan((int)(run.Start - ring.Entry.Start), (int)(run.End - run.Start));
            _ = Sys.Pread(run.File.Descriptor!.Number, part, run.Offset).OrThrow($"pread({run.File.Path})");
        }

        return saved;
    }

    private static Header ReadHeader(int pid, ulong address)
    {
        string path = $"/proc/{pid}/mem";
        using Fd bytes = Sys.Open(path, OpenFlags.O_RDONLY);
        Span<byte> header = stackalloc byte[HeaderSize];
        Sys.Pread(bytes.Number, header, (long)address).OrThrow($"pread({path}, 0x{address:x})");
        return MemoryMarshal.Read<Header>(header);
    }

    private static void Write(Fd memory, ulong address, ReadOnlySpan<byte> bytes)
        => Sys.Pwrite(memory.Number, bytes, (long)address).OrThrow($"pwrite({memory}, 0x{address:x})");

    // Two numbers for each: reads and writes under way (Documentation/block/stat.rst).
    private static bool BlockDevicesAreBusy()
    {
        foreach (string device in Directory.EnumerateDirectories("/sys/block"))
        {
            string path = Path.Combine(device, "inflight");
            if (File.Exists(path) && File.ReadAllText(path).AsSpan().IndexOfAnyInRange('1', '9') >= 0)
            {
                return true;
            }
        }

        return false;
    }
}
