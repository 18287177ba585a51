using System.Runtime.InteropServices;
using System.Text;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Google.Protobuf;
using Google.Protobuf.Collections;

namespace Firn.Engine.Kinds.Events;

/// <summary>The size of what is in a ring, and what is in it.</summary>
/// <remarks>
/// <para>
/// Kernel: io_uring/fdinfo.c. It lists requests that wait and completions that were not seen, and so tells whether they are of double
/// size, and whether there is an array of indices. Where none wait, the task itself lets one be listed: it writes two words of the kernel's
/// into the ring, reads fdinfo, and writes them back, all in one batch, which runs to its end also if Firn is killed.
/// </para>
/// <para>Where things lie is learned from a ring of the same shape, Firn's own.</para>
/// </remarks>
internal static class IoUringShape
{
    private const int ListedBytes = 8192;
    private const int MostListed = 8;
    private const int CompletionBytes = 16;
    private const int RequestBytes = 64;
    private const uint PendingWork = 2 | 4;
    private const string Purpose = "look at an io_uring";

    // ---- dump

    /// <summary>Saves flags, offsets and content.</summary>
    /// <returns>What stands in the way, or null.</returns>
    public static IoUringFile.Objection? Dump(DumpContext context, OpenFile file, IoUringSetup flags, IoUringEntry message)
    {
        IoUringInfo ring = file.Info.IoUring!;
        using var small = Twin.Make(1, 2, 0);
        bool isShown = ring.ShownRequests > 0 && ring.ShownCompletions > 0;
        IoUringInfo? shown = isShown ? ring : LetList(context, file, ring, small.Offsets);
        if (shown is null)
        {
            return IoUringFile.Objection.Unsaveable("no task that has it open has it mapped and /proc at hand, by which its shape is told");
        }

        bool hasArray = ring.ShownRequests > 0 || shown.ShownRequests > 0;
        flags |= (ring.HasWideCompletions || shown.HasWideCompletions ? IoUringSetup.IORING_SETUP_CQE32 : 0)
            | (ring.HasWideRequests || shown.HasWideRequests ? IoUringSetup.IORING_SETUP_SQE128 : 0)
            | (hasArray ? 0 : IoUringSetup.IORING_SETUP_NO_SQARRAY);
        if (!hasArray && HasWideRequests(file, message.SqEntries))
        {
            flags |= IoUringSetup.IORING_SETUP_SQE128;
        }

        using var twin = Twin.Make(message.SqEntries, message.CqEntries, flags);
        byte[]? rings = Read(file, IoUringConstants.IORING_OFF_SQ_RING, twin.RingBytes);
        byte[]? requests = Read(file, IoUringConstants.IORING_OFF_SQES, twin.RequestBytes);
        if (rings is null || requests is null)
        {
            return IoUringFile.Objection.Unsaveable("its size is not that of any ring that is known");
        }

        if ((Word(rings, twin.Offsets.SubmissionFlags) & PendingWork) != 0)
        {
            return IoUringFile.Objection.Busy("the kernel still has work for it to do");
        }

        message.SetupFlags = (uint)flags;
        IoUringOffsets offsets = twin.Offsets;
        message.Offsets.AddRange(((ReadOnlySpan<uint>)offsets).ToArray());
        AddParts(message.Rings, rings);
        AddParts(message.Requests, requests);
        return null;
    }

    /// <summary>How many bytes the rings have, and the requests.</summary>
    public static (long Rings, long Requests) SizeOf(uint entries, uint completions, IoUringSetup flags, in IoUringOffsets offsets)
    {
        int wideCompletions = (flags & IoUringSetup.IORING_SETUP_CQE32) != 0 ? 2 : 1;
        int wideRequests = (flags & IoUringSetup.IORING_SETUP_SQE128) != 0 ? 2 : 1;
        return (
            (flags & IoUringSetup.IORING_SETUP_NO_SQARRAY) != 0
                ? offsets.Completions + ((long)completions * CompletionBytes * wideCompletions)
                : offsets.Array + ((long)entries * sizeof(uint)),
            (long)entries * RequestBytes * wideRequests);
    }

    private static IoUringInfo? LetList(DumpContext context, OpenFile file, IoUringInfo ring, in IoUringOffsets offsets)
    {
        foreach ((DumpedTask task, Mapping mapping) in IoUringFile.MappingsOf(context, file))
        {
            FileHolder holder = file.Holders.Find(one => one.Task.MemoryOwner == task);
            if (holder.Task is null || mapping.Offset == IoUringConstants.IORING_OFF_SQES
                || (mapping.Protection & ProtectionFlags.PROT_WRITE) == 0)
            {
                continue;
            }

            uint head = ring.SubmissionTail - Math.Min(ring.SubmissionMask + 1, MostListed);
            uint tail = ring.CompletionHead == ring.CompletionTail ? ring.CompletionTail + 1 : ring.CompletionTail;
            return Read(holder, mapping.Start, offsets, (head, tail), (ring.Taken, ring.CompletionTail));
        }

        return null;
    }

    private static IoUringInfo? Read(
        FileHolder holder, ulong address, in IoUringOffsets offsets, (uint Head, uint Tail) shown, (uint Head, uint Tail) before)
    {
        RemoteBatch batch = holder.Task.Leader.Remote!.Batch;
        RemoteBuffer text = batch.Allocate(ListedBytes);
        RemoteBuffer path = batch.Text($"/proc/self/fdinfo/{holder.Number}");
        RemoteBuffer words = batch.Allocate(2 * sizeof(ulong));
        words.As<uint>()[0] = shown.Head;
        words.As<uint>()[1] = shown.Tail;
        words.As<uint>()[2] = before.Head;
        words.As<uint>()[3] = before.Tail;
        RemoteBuffer there = batch.Allocate(4 * sizeof(ulong));
        Span<ulong> vectors = there.As<ulong>();
        vectors[0] = address + offsets.SubmissionHead;
        vectors[1] = sizeof(uint);
        vectors[2] = address + offsets.CompletionTail;
        vectors[3] = sizeof(uint);
        Write(words.Address);
        Slot opened = batch.Try(Sysno.openat, At.AT_FDCWD, path, (int)(OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC), 0);
        Slot read = batch.Try(Sysno.pread64, opened, text, ListedBytes, 0);
        Write(words.Address + (2 * sizeof(uint)));
        batch.Try(Sysno.close, opened);
        IoUringInfo? info = null;
        batch.Then(() =>
        {
            if (!read.Result.IsError)
            {
                string whole = Encoding.UTF8.GetString(text.Bytes[..read.Int32]);
                info = FdInfo.Parse(Encoding.UTF8.GetBytes(whole[..(whole.LastIndexOf('\n') + 1)])).IoUring;
            }
        });
        batch.Run(Purpose);
        return info;

        void Write(RemotePtr from)
        {
            RemoteBuffer local = batch.Allocate(2 * sizeof(ulong));
            local.As<ulong>()[0] = from.Value;
            local.As<ulong>()[1] = 2 * sizeof(uint);
            batch.Try(Sysno.process_vm_writev, holder.Task.InnerPid, local, 1, there, 2, 0);
        }
    }

    // Of a ring without an array fdinfo lists no requests. What lies behind those of single size was written by one of double size.
    private static bool HasWideRequests(OpenFile file, uint entries)
    {
        long single = entries * (long)RequestBytes;
        return Read(file, IoUringConstants.IORING_OFF_SQES, single) is not { } requests
            || requests.AsSpan((int)single).ContainsAnyExcept((byte)0);
    }

    // Whole pages; null where they are fewer or more than expected.
    private static byte[]? Read(OpenFile file, ulong offset, long length)
    {
        long size = (length + Kernel.PageSize - 1) & ~(Kernel.PageSize - 1L);
        try
        {
            using MappedMemory memory = MappedMemory.Map(
                file.Taken.Number, (long)offset, size + Kernel.PageSize, ProtectionFlags.PROT_READ, MapFlags.MAP_SHARED);
            byte[] bytes = new byte[size];
            byte[] behind = new byte[1];
            return Sys.ProcessVmRead(Sys.GetPid(), (ulong)memory.Address, bytes).Raw == size
                && Sys.ProcessVmRead(Sys.GetPid(), (ulong)(memory.Address + (nint)size), behind).IsError
                    ? bytes
                    : null;
        }
        catch (LinuxException)
        {
            // Requests are mapped as a whole or not at all.
            return null;
        }
    }

    private static void AddParts(RepeatedField<IoUringPart> parts, byte[] bytes)
    {
        int start = -1;
        for (int at = 0; at <= bytes.Length; at += Kernel.PageSize)
        {
            bool isUsed = at < bytes.Length && bytes.AsSpan(at, Kernel.PageSize).ContainsAnyExcept((byte)0);
            if (isUsed && start < 0)
            {
                start = at;
            }
            else if (!isUsed && start >= 0)
            {
                parts.Add(new IoUringPart { Offset = (ulong)start, Bytes = ByteString.CopyFrom(bytes.AsSpan(start, at - start)) });
                start = -1;
            }
        }
    }

    private static uint Word(byte[] rings, uint offset) => MemoryMarshal.Read<uint>(rings.AsSpan((int)offset));

    private sealed class Twin(Fd ring, IoUringParameters parameters, IoUringSetup flags) : IDisposable
    {
        public IoUringOffsets Offsets => parameters.offsets;

        public long RingBytes => SizeOf(parameters.sq_entries, parameters.cq_entries, flags, parameters.offsets).Rings;

        public long RequestBytes => SizeOf(parameters.sq_entries, parameters.cq_entries, flags, parameters.offsets).Requests;

        public static Twin Make(uint entries, uint completions, IoUringSetup flags)
        {
            const IoUringSetup Shape =
                IoUringSetup.IORING_SETUP_SQE128 | IoUringSetup.IORING_SETUP_CQE32 | IoUringSetup.IORING_SETUP_NO_SQARRAY;
            var parameters = new IoUringParameters { flags = (flags & Shape) | IoUringSetup.IORING_SETUP_CQSIZE, cq_entries = completions };
            var ring = new Fd(Sys.IoUringSetup(entries, ref parameters).OrThrow($"io_uring_setup({entries}, {parameters.flags})").Int32);
            return new Twin(ring, parameters, flags);
        }

        public void Dispose() => ring.Dispose();
    }
}
