using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Memory;

/// <summary>Mappings of io_urings, at the places where they were.</summary>
/// <remarks>
/// Kernel: io_uring/memmap.c. It chooses the place of such a mapping itself, and refuses any that is asked for. So all other places are
/// taken for that moment: then it has no choice.
/// </remarks>
internal static class IoUringMappings
{
    private const ulong TaskSize = 0x7ffffffff000;

    // Below it the kernel maps nothing of its own choice (vm.mmap_min_addr).
    private const ulong Lowest = 0x10000;
    private const string Purpose = "map io_urings";

    private static readonly MemoryAdvice[] Advices = [MemoryAdvice.MADV_DONTFORK, MemoryAdvice.MADV_WIPEONFORK];

    // ---- dump

    /// <summary>Whether it is one.</summary>
    public static bool Is(Mapping mapping) => mapping.Shared && mapping.Name == "anon_inode:[io_uring]";

    /// <summary>Finds the ring of a mapping, or says what stands in the way.</summary>
    public static void Examine(DumpContext context, DumpedTask task, Mapping mapping, VmaEntry vma)
    {
        string? reason = null;
        List<OpenFile> rings =
            [.. context.Files.Files.Where(file => file.IsDescriptor && file.Stat.st_ino == mapping.Inode && file.Link == mapping.Name)];
        if (rings.Count != 1 || rings[0].Kind?.IsMappable(context, rings[0], mapping.Length) != true)
        {
            reason = rings.Count == 0
                ? "no descriptor of the tree leads to it"
                : "more than one descriptor of the tree may lead to it, and this kernel doesn't tell which";
        }
        else if (mapping.Offset is not (
            IoUringConstants.IORING_OFF_SQ_RING or IoUringConstants.IORING_OFF_CQ_RING or IoUringConstants.IORING_OFF_SQES))
        {
            reason = $"it is another part of it than the rings and requests, or the rest of one that was divided ({mapping.Offset:x})";
        }

        if (reason is null)
        {
            vma.Shmid = rings[0].Id;
            return;
        }

        context.Problems.Add(
            "io-uring", task.Pid, $"mapping {mapping}", "it is memory of an io_uring, and " + reason,
            "let the program keep the ring's descriptor; or start it with io_uring off");
    }

    // ---- restore

    /// <summary>Maps the rings of a process. Its memory is in place, and it has the rings.</summary>
    /// <param name="task">The process.</param>
    /// <param name="numberOf">The descriptor of a ring, by the id of its file.</param>
    /// <exception cref="CheckpointException">The kernel puts one elsewhere.</exception>
    public static void Restore(RestoredTask task, Func<uint, int> numberOf)
    {
        List<VmaEntry> vmas = [.. task.Mm!.Vmas.Where(vma => vma.Is(VmaStatus.IoUring))];
        if (vmas.Count == 0)
        {
            return;
        }

        RemoteBatch batch = task.Leader.Remote.Batch;
        List<AddressRange> used =
            [.. Maps.Read(task.OuterPid).Where(mapping => mapping.Start < TaskSize).Select(one => new AddressRange(one.Start, one.End))];
        List<AddressRange> gaps = PageRuns.Subtract([new AddressRange(Lowest, TaskSize)], used);
        gaps.ForEach(gap => Take(batch, gap));
        foreach (VmaEntry vma in vmas)
        {
            batch.MakeRoom(2, 0, Purpose);
            batch.Call(Sysno.munmap, vma.Start, vma.End - vma.Start);
            Slot mapped = batch.Call(
                Sysno.mmap, 0, vma.End - vma.Start, (int)vma.Protection(), (int)MapFlags.MAP_SHARED, numberOf((uint)vma.Shmid), vma.Pgoff);
            batch.Run(Purpose);
            if (mapped.UInt64 != vma.Start)
            {
                throw new CheckpointException(
                    $"task {task.Pid}: an io_uring that was mapped at {vma.Start:x} is mapped at {mapped.UInt64:x}; this kernel can't put "
                        + "it where it was")
                {
                    Phase = "forking",
                    Pid = task.Pid,
                };
            }
        }

        List<AddressRange> places = [.. vmas.Select(vma => new AddressRange(vma.Start, vma.End))];
        foreach (AddressRange gap in PageRuns.Subtract(gaps, places))
        {
            batch.MakeRoom(1, 0, Purpose);
            batch.Call(Sysno.munmap, gap.Start, gap.Length);
        }

        foreach (VmaEntry vma in vmas)
        {
            batch.MakeRoom(Advices.Length + 1, 0, Purpose);
            foreach (MemoryAdvice advice in Advices.Where(vma.Has))
            {
                batch.Call(Sysno.madvise, vma.Start, vma.End - vma.Start, (int)advice);
            }

            if (vma.Sealed)
            {
                batch.Call(Sysno.mseal, vma.Start, vma.End - vma.Start, 0);
            }
        }

        batch.Run(Purpose);
    }

    private static void Take(RemoteBatch batch, AddressRange gap)
    {
        batch.MakeRoom(1, 0, Purpose);
        batch.Call(
            Sysno.mmap,
            gap.Start,
            gap.Length,
            0,
            (int)(MapFlags.MAP_PRIVATE | MapFlags.MAP_ANONYMOUS | MapFlags.MAP_FIXED | MapFlags.MAP_NORESERVE),
            -1,
            0);
    }
}
