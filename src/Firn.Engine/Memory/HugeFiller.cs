using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Memory;

/// <summary>Brings large private anonymous memory in as huge pages, without leaving an advice behind.</summary>
/// <remarks>
/// Reading into 2 MiB pages is three times as fast as into single ones, but MADV_HUGEPAGE can't be taken back: nothing but MADV_NOHUGEPAGE
/// clears the flag, and sets another. So pages are read into a staging area that has the advice, and moved from there into mappings that
/// have none: UFFDIO_MOVE (Linux 6.8) moves whole huge pages by their page-table entries, 256 MiB in 0.2 ms. Where that fails, or huge
/// pages are off, pages are read in place.
/// </remarks>
internal sealed class HugeFiller(TaskMemory memory, RemoteBatch batch, ulong staging, string purpose)
{
    /// <summary>The size of a huge page, in bytes.</summary>
    public const ulong BlockSize = 2 << 20;

    /// <summary>The size of the staging area, in bytes.</summary>
    public const ulong StagingSize = 32 << 20;

    // In a virtual machine a huge page may have to be got from the host first, which takes longer than single pages do: after so many bytes
    // it is seen, and the rest is read as single pages.
    private const ulong TrialSize = 2 * StagingSize;
    private const ulong WorthwhileBytesPerNanosecond = 1;

    private const uint UFFDIO_API = 0xC018AA3F;
    private const uint UFFDIO_REGISTER = 0xC020AA00;
    private const uint UFFDIO_MOVE = 0xC028AA05;
    private const ulong UFFD_API = 0xAA;
    private const ulong UFFDIO_REGISTER_MODE_MISSING = 1;
    private const ProtectionFlags StagedProtection = ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE;
    private const string SettingPath = "/sys/kernel/mm/transparent_hugepage/enabled";

    private static readonly Lazy<bool> IsOnRequest = new(() =>
    {
        byte[] buffer = new byte[128];
        SysResult read = Sys.ReadFile(SettingPath, ref buffer);
        return !read.IsError && buffer.AsSpan(0, read.Int32).IndexOf("[madvise]"u8) >= 0;
    });

    private readonly List<SourceRun> blocks = [];
    private readonly List<AddressRange> targets = [];

    /// <summary>How many pages were moved into place.</summary>
    public long Pages { get; private set; }

    /// <summary>Takes the whole blocks out of runs, if their mapping allows it, and gives back the rest.</summary>
    public List<SourceRun> TakeBlocks(PlannedVma vma, AddressRange range, List<SourceRun> runs)
    {
        VmaEntry entry = vma.Entry;
        if (range.Length < BlockSize || vma.FillProtection != StagedProtection
            || !entry.Has(MapFlags.MAP_ANONYMOUS) || entry.Has(MapFlags.MAP_GROWSDOWN) || entry.Has(MapFlags.MAP_HUGETLB)
            || entry.Has(MemoryAdvice.MADV_NOHUGEPAGE)
                || entry.Has(MemoryAdvice.MADV_HUGEPAGE)
                || memory.Task.Mm!.ThpDisabled
                || !IsOnRequest.Value)
        {
            return runs;
        }

        var rest = new List<SourceRun>();
        bool any = false;
        foreach (SourceRun run in runs)
        {
            ulong start = (run.Start + BlockSize - 1) & ~(BlockSize - 1);
            ulong end = run.End & ~(BlockSize - 1);
            if (start >= end)
            {
                rest.Add(run);
                continue;
            }

            any = true;
            blocks.Add(run.Clip(start, end));
            Keep(rest, run.Clip(run.Start, start));
            Keep(rest, run.Clip(end, run.End));
        }

        if (any)
        {
            targets.Add(range);
        }

        return rest;

        static void Keep(List<SourceRun> rest, SourceRun part)
        {
            if (part.Start < part.End)
            {
                rest.Add(part);
            }
        }
    }

    /// <summary>Fills the blocks. All calls queued before are run.</summary>
    /// <returns>What could not be moved into place, to be read there.</returns>
    public List<SourceRun> Run()
    {
        if (blocks.Count == 0)
        {
            return [];
        }

        const int CloseOnExec = 0x80000;
        batch.MakeRoom(4, 64, purpose);
        Slot opened = batch.Try(Sysno.userfaultfd, CloseOnExec);
        batch.Call(
            Sysno.mmap,
            staging,
            StagingSize,
            (int)StagedProtection,
            (int)(MapFlags.MAP_PRIVATE | MapFlags.MAP_ANONYMOUS | MapFlags.MAP_FIXED | MapFlags.MAP_NORESERVE),
            -1,
            0);
        batch.Try(Sysno.madvise, staging, StagingSize, (int)MemoryAdvice.MADV_HUGEPAGE);
        batch.Run(purpose);
        if (opened.Result.IsError)
        {
            batch.Call(Sysno.munmap, staging, StagingSize);
            return blocks;
        }

        List<SourceRun> left = Move(opened.Int32);
        batch.MakeRoom(2, 0, purpose);

        // Closing ends the registrations. Until then a touch of a page that is not there would wait for an answer that never comes.
        batch.Call(Sysno.close, opened.Int32);
        batch.Call(Sysno.munmap, staging, StagingSize);
        return left;
    }

    private List<SourceRun> Move(int descriptor)
    {
        RemoteBuffer api = batch.Allocate(24);
        api.As<ulong>()[0] = UFFD_API;
        batch.Try(Sysno.ioctl, descriptor, UFFDIO_API, api);
        foreach (AddressRange target in targets)
        {
            batch.MakeRoom(1, 32, purpose);
            RemoteBuffer register = batch.Allocate(32);
            Span<ulong> words = register.As<ulong>();
            words[0] = target.Start;
            words[1] = target.Length;
            words[2] = UFFDIO_REGISTER_MODE_MISSING;
            batch.Try(Sysno.ioctl, descriptor, UFFDIO_REGISTER, register);
        }

        batch.Run(purpose);
        var left = new List<SourceRun>();
        long begun = Sys.ClockNanoseconds(1);
        ulong done = 0;
        bool isSlow = false;
        foreach (SourceRun block in blocks)
        {
            for (ulong start = block.Start; start < block.End; start += StagingSize)
            {
                SourceRun chunk = block.Clip(start, Math.Min(block.End, start + StagingSize));
                if (isSlow)
                {
                    left.Add(chunk);
                    continue;
                }

                MoveChunk(descriptor, chunk, left);
                batch.Run(purpose);
                done += chunk.End - chunk.Start;
                isSlow = done >= TrialSize && done < (ulong)(Sys.ClockNanoseconds(1) - begun) * WorthwhileBytesPerNanosecond;
            }
        }

        return left;
    }

    private void MoveChunk(int descriptor, SourceRun chunk, List<SourceRun> left)
    {
        ulong length = chunk.End - chunk.Start;
        batch.MakeRoom(2, 40, purpose);
        Slot read = batch.Try(Sysno.pread64, chunk.File.Descriptor!.Number, staging, length, chunk.Offset);
        RemoteBuffer move = batch.Allocate(40);
        Span<ulong> words = move.As<ulong>();
        words[0] = chunk.Start;
        words[1] = staging;
        words[2] = length;
        Slot moved = batch.Try(Sysno.ioctl, descriptor, UFFDIO_MOVE, move);
        batch.Then(() =>
        {
            // A move that stopped on the way leaves pages in place; reading over them is harmless.
            if (read.Result.IsError || (ulong)read.Result.Int64 != length || moved.Result.IsError)
            {
                left.Add(chunk);
            }
            else
            {
                Pages += (long)(length / Kernel.PageSize);
            }
        });
    }
}
