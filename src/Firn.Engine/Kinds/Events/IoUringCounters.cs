using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Google.Protobuf.Collections;

namespace Firn.Engine.Kinds.Events;

/// <summary>Brings a new ring to where the old one stood: by as many requests that do nothing, then what it held.</summary>
/// <remarks>
/// The kernel keeps counters of its own beside those in the rings; only requests move them (IORING_OP_NOP, 70 ns each). All of a new
/// ring's memory is zero, which is such a request. The program's counter of completions is moved along, but never beyond where it stood:
/// the kernel remembers how many places it has found free.
/// </remarks>
internal static class IoUringCounters
{
    private const string Purpose = "bring an io_uring to where it stood";
    private const int StepBytes = 64;

    /// <summary>Does it.</summary>
    /// <param name="ring">Firn's descriptor of it.</param>
    /// <param name="message">What it was.</param>
    /// <param name="thread">A thread that may submit to it.</param>
    /// <param name="number">Its descriptor there.</param>
    /// <exception cref="ImageFormatException">Its counters can't be.</exception>
    /// <exception cref="CheckpointException">The ring doesn't do as it should.</exception>
    public static void Restore(Fd ring, IoUringEntry message, RestoredThread thread, int number)
    {
        IoUringOffsets offsets = default;
        message.Offsets.ToArray().CopyTo((Span<uint>)offsets);
        (long ringBytes, long requestBytes) =
            IoUringShape.SizeOf(message.SqEntries, message.CqEntries, (IoUringSetup)message.SetupFlags, offsets);
        using MappedMemory rings = Map(ring, IoUringConstants.IORING_OFF_SQ_RING, ringBytes);
        using MappedMemory requests = Map(ring, IoUringConstants.IORING_OFF_SQES, requestBytes);
        byte[] saved = new byte[rings.Length];
        Fill(saved, message.Rings);
        uint seen = MemoryMarshal.Read<uint>(saved.AsSpan((int)offsets.CompletionHead));
        if (message.Completed - seen > message.CqEntries)
        {
            throw IoUringFile.Damaged($"{message.Completed - seen} completions wait in room for {message.CqEntries}");
        }

        MemoryMarshal.Write(rings.Slice(offsets.SubmissionTail, sizeof(uint)), message.Completed);
        MemoryMarshal.Write(rings.Slice(offsets.CompletionHead, sizeof(uint)), HeadAt(0, message, seen));
        Advance(message, thread, number, rings.Length, offsets, seen);
        if (FdInfo.Read(Sys.GetPid(), ring.Number).IoUring is not { } now
            || now.Taken != message.Completed || now.Completed != message.Completed)
        {
            throw new CheckpointException($"task {thread.Task.Pid}: an io_uring can't be brought to {message.Completed} requests")
            {
                Phase = "tasks",
                Pid = thread.Task.Pid,
            };
        }

        saved.CopyTo(rings.Span);
        Fill(requests.Span, message.Requests);
    }

    private static void Advance(
        IoUringEntry message, RestoredThread thread, int number, long length, in IoUringOffsets offsets, uint seen)
    {
        if (message.Completed == 0)
        {
            return;
        }

        RemoteBatch batch = thread.Remote.Batch;
        batch.MakeRoom(1, 0, Purpose);
        Slot mapped = batch.Call(
            Sysno.mmap, 0, length, (int)(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE), (int)MapFlags.MAP_SHARED, number, 0);
        batch.Run(Purpose);
        ulong address = mapped.UInt64;
        uint done = 0;
        uint head = HeadAt(0, message, seen);
        while (done != message.Completed)
        {
            List<(Slot Entered, uint Count)> steps = [];
            RemoteBuffer there = batch.Allocate(2 * sizeof(ulong));
            there.As<ulong>()[0] = address + offsets.CompletionHead;
            there.As<ulong>()[1] = sizeof(uint);
            while (done != message.Completed && batch.HasRoom(2, StepBytes))
            {
                if (done - head == message.CqEntries)
                {
                    head = HeadAt(done, message, seen);
                    RemoteBuffer word = batch.Data(head);
                    RemoteBuffer local = batch.Allocate(2 * sizeof(ulong));
                    local.As<ulong>()[0] = word.Address.Value;
                    local.As<ulong>()[1] = sizeof(uint);
                    batch.Call(Sysno.process_vm_writev, thread.Task.Pid, local, 1, there, 1, 0);
                }

                uint count = Math.Min(Math.Min(message.SqEntries, message.Completed - done), message.CqEntries - (done - head));
                steps.Add((batch.Call(Sysno.io_uring_enter, number, count, 0, 0, 0, 0), count));
                done += count;
            }

            batch.Run(Purpose);
            if (steps.Exists(step => step.Entered.Int32 != (int)step.Count))
            {
                break;
            }
        }

        batch.Call(Sysno.munmap, address, length);
        batch.Run(Purpose);
    }

    // All counters wrap: what comes first is told by the way that is left.
    private static uint HeadAt(uint done, IoUringEntry message, uint seen)
        => message.Completed - done > message.Completed - seen ? done : seen;

    private static MappedMemory Map(Fd ring, ulong offset, long length)
        => MappedMemory.Map(
            ring.Number,
            (long)offset,
            (length + Kernel.PageSize - 1) & ~(Kernel.PageSize - 1L),
            ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE,
            MapFlags.MAP_SHARED);

    private static void Fill(Span<byte> memory, RepeatedField<IoUringPart> parts)
    {
        foreach (IoUringPart part in parts)
        {
            if (part.Offset > (ulong)memory.Length || (ulong)part.Bytes.Length > (ulong)memory.Length - part.Offset)
            {
                throw IoUringFile.Damaged("it holds more than fits");
            }

            part.Bytes.Span.CopyTo(memory[(int)part.Offset..]);
        }
    }
}
