using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Memory;

/// <summary>Puts the memory of one process in place, by system calls of its own.</summary>
/// <remarks>
/// Away with what does not belong, mappings, pages, protections. The vdso and its data are the kernel's: they are moved to where they were
/// (mremap(2)). Pages come by preadv(2); see <see cref="HugeFiller"/> for large ones.
/// </remarks>
/// <param name="context">The restore.</param>
/// <param name="memory">The plan.</param>
/// <param name="batch">The leader's batch.</param>
/// <param name="scratch">Firn's own mapping there.</param>
/// <param name="descriptorOf">The descriptor of a mapping's file, in the process; -1 for anonymous memory.</param>
/// <param name="segmentSize">The size of a segment of System V, and of its pages, by its id.</param>
internal sealed class MemoryBuilder(
    RestoreContext context,
    TaskMemory memory,
    RemoteBatch batch,
    AddressRange scratch,
    Func<VmaEntry, int> descriptorOf,
    Func<uint, (ulong Size, ulong PageSize)> segmentSize)
{
    private const int MREMAP_MAYMOVE_FIXED = 3;
    private const ulong TaskSize = 0x7ffffffff000;
    private const MapFlags TakenFlags = MapFlags.MAP_GROWSDOWN | MapFlags.MAP_NORESERVE;

    private readonly string purpose = $"memory of {memory.Task.Pid}";
    private readonly List<(AddressRange Range, ProtectionFlags Protection)> finalProtections = [];
    private readonly List<SourceRun> plain = [];
    private bool isInherited;
    private long pagesRead;
    private List<Mapping> found = [];

    /// <summary>The plan.</summary>
    public TaskMemory Memory => memory;

    /// <summary>Does most of it, and starts the last batch, which <see cref="Finish"/> waits for.</summary>
    /// <param name="inherited">Whether the process has a copy of its parent's restored memory.</param>
    /// <param name="current">The mappings that it has.</param>
    public void Start(bool inherited, List<Mapping> current)
    {
        isInherited = inherited;
        found = current;
        AddressRange parking = ParkKernelMappings(current);
        UnmapAllBut(parking);
        PlaceKernelMappings(parking);
        var huge = new HugeFiller(memory, batch, FindHole(current, HugeFiller.StagingSize, HugeFiller.BlockSize), purpose);
        foreach (PlannedVma vma in memory.Vmas)
        {
            Map(vma, huge);
        }

        plain.AddRange(huge.Run());
        plain.Sort(static (a, b) => a.Start.CompareTo(b.Start));
        var filler = new PageFiller(batch, purpose);
        filler.Queue(plain);
        foreach ((AddressRange range, ProtectionFlags protection) in finalProtections)
        {
            Call(Sysno.mprotect, range.Start, range.Length, (int)protection);
        }

        batch.Start(purpose);
        pagesRead = filler.Pages + huge.Pages;
    }

    /// <summary>Waits for the end.</summary>
    /// <returns>How many pages were read.</returns>
    public long Finish()
    {
        batch.Finish();
        return pagesRead;
    }

    private static bool IsKernelMapping(Mapping mapping) => mapping.Name is "[vdso]" or "[vvar]" or "[vvar_vclock]";

    private void Call(
        Sysno nr,
        RemoteArgument a0 = default,
        RemoteArgument a1 = default,
        RemoteArgument a2 = default,
        RemoteArgument a3 = default,
        RemoteArgument a4 = default,
        RemoteArgument a5 = default)
    {
        batch.MakeRoom(1, 0, purpose);
        batch.Call(nr, a0, a1, a2, a3, a4, a5);
    }

    // Moves vdso and data, which must stay together, to a place that no one else wants.
    private AddressRange ParkKernelMappings(List<Mapping> current)
    {
        List<Mapping> found = [.. current.Where(IsKernelMapping).OrderBy(mapping => mapping.Start)];
        if (found.Count == 0)
        {
            return default;
        }

        var whole = new AddressRange(found[0].Start, found[^1].End);
        if (memory.Vdso is not null)
        {
            ulong wanted = memory.Vvars.Count > 0 ? memory.Vvars[0].Start : memory.Vdso.Start;
            ulong data = found.Where(mapping => !mapping.IsNamed("[vdso]")).Aggregate(0UL, static (sum, mapping) => sum + mapping.Length);
            ulong wantedData = memory.Vvars.Aggregate(0UL, static (sum, vma) => sum + (vma.End - vma.Start));
            Mapping? vdso = found.Find(mapping => mapping.IsNamed("[vdso]"));
            if (vdso is null || data != wantedData || vdso.Length != memory.Vdso.End - memory.Vdso.Start
                || vdso.Start - whole.Start != memory.Vdso.Start - wanted)
            {
                throw new CheckpointException(
                    $"task {memory.Task.Pid} was saved under another kernel: its vdso and data have another layout; restore it where it "
                        + "was saved")
                {
                    Phase = "forking",
                    Pid = memory.Task.Pid,
                };
            }

            if (whole.Start == wanted)
            {
                return whole;
            }
        }

        ulong hole = FindHole(current, whole.Length, Kernel.PageSize);
        MoveTo(found, whole.Start, hole);
        parked = [.. found.Select(mapping => new AddressRange(mapping.Start - whole.Start + hole, mapping.End - whole.Start + hole))];
        return new AddressRange(hole, hole + whole.Length);
    }

    private List<AddressRange> parked = [];

    private void MoveTo(List<Mapping> mappings, ulong from, ulong to)
    {
        foreach (Mapping mapping in mappings)
        {
            Call(Sysno.mremap, mapping.Start, mapping.Length, mapping.Length, MREMAP_MAYMOVE_FIXED, mapping.Start - from + to);
        }
    }

    private void PlaceKernelMappings(AddressRange parking)
    {
        if (parked.Count == 0)
        {
            return;
        }

        ulong wanted = memory.Vvars.Count > 0 ? memory.Vvars[0].Start : memory.Vdso?.Start ?? 0;
        foreach (AddressRange range in parked)
        {
            if (memory.Vdso is null)
            {
                Call(Sysno.munmap, range.Start, range.Length);
            }
            else
            {
                Call(Sysno.mremap, range.Start, range.Length, range.Length, MREMAP_MAYMOVE_FIXED, range.Start - parking.Start + wanted);
            }
        }
    }

    private void UnmapAllBut(AddressRange parking)
    {
        List<AddressRange> kept = [scratch];
        if (!parking.IsEmpty)
        {
            kept.Add(parking);
        }

        if (isInherited)
        {
            kept.AddRange(memory.Vmas.SelectMany(vma => vma.Inherited).Select(part => part.Range));
        }

        kept.Sort(static (a, b) => a.Start.CompareTo(b.Start));
        foreach (AddressRange gap in PageRuns.Subtract([new AddressRange(0, TaskSize)], kept))
        {
            Call(Sysno.munmap, gap.Start, gap.Length);
        }
    }

    private void Map(PlannedVma vma, HugeFiller huge)
    {
        IReadOnlyList<InheritedPart> parts = isInherited ? vma.Inherited : [];
        List<AddressRange> fresh = PageRuns.Subtract([new AddressRange(vma.MapStart, vma.End)], [.. parts.Select(part => part.Range)]);
        foreach (InheritedPart part in parts)
        {
            Adjust(vma, part);
        }

        foreach (AddressRange range in fresh)
        {
            List<SourceRun> pages =
                [.. vma.Pages.Where(run => run.Start < range.End && run.End > range.Start).Select(run => run.Clip(range.Start, range.End))];
            bool isFilled = pages.Count > 0 && vma.FillProtection != vma.Entry.Protection();
            MapFresh(vma, range, isFilled ? vma.FillProtection : vma.Entry.Protection());
            if (vma.Entry.Policy is { } policy)
            {
                batch.MakeRoom(1, MemoryPolicies.BindBytes, purpose);
                MemoryPolicies.Bind(context, policy, batch, range.Start, range.Length, memory.Task.Pid);
            }

            plain.AddRange(huge.TakeBlocks(vma, range, pages));
            if (isFilled)
            {
                finalProtections.Add((range, vma.Entry.Protection()));
            }
        }
    }

    private void MapFresh(PlannedVma vma, AddressRange range, ProtectionFlags protection)
    {
        VmaEntry entry = vma.Entry;
        if (entry.Is(VmaStatus.SystemVSegment))
        {
            Attach(entry, range, protection);
            return;
        }

        int fd = descriptorOf(entry);
        MapFlags flags = ((MapFlags)entry.Flags & TakenFlags) | MapFlags.MAP_FIXED
            | (fd < 0 ? MapFlags.MAP_ANONYMOUS | HugePages.MapFlagsOf(entry) : 0)
            | (entry.Has(MapFlags.MAP_DROPPABLE) ? MapFlags.MAP_DROPPABLE : entry.IsPrivate() ? MapFlags.MAP_PRIVATE : MapFlags.MAP_SHARED);
        ulong offset = fd < 0 ? 0 : entry.Pgoff + (range.Start - entry.Start);
        Call(Sysno.mmap, range.Start, range.Length, (int)protection, (int)flags, fd, offset);
        foreach (MemoryAdvice advice in (ReadOnlySpan<MemoryAdvice>)[MemoryAdvice.MADV_HUGEPAGE, MemoryAdvice.MADV_NOHUGEPAGE])
        {
            // Before the pages come: this advice is about how they come.
            if (entry.Has(advice))
            {
                batch.MakeRoom(1, 0, purpose);
                batch.Try(Sysno.madvise, range.Start, range.Length, (int)advice);
            }
        }
    }

    // A segment is attached whole, aside; the part that belongs here is moved here, and the rest let go (ipc/shm.c counts mappings).
    private void Attach(VmaEntry entry, AddressRange range, ProtectionFlags protection)
    {
        uint id = (uint)entry.Shmid;
        (ulong size, ulong pageSize) = segmentSize(id);
        ulong offset = entry.Pgoff + (range.Start - entry.Start);
        bool isReadOnly = entry.HasFdflags
            ? ((OpenFlags)entry.Fdflags & OpenFlags.O_ACCMODE) == OpenFlags.O_RDONLY
            : (entry.Protection() & ProtectionFlags.PROT_WRITE) == 0;
        ulong aside = FindHole(found, size, pageSize);
        Call(Sysno.shmat, id, aside, isReadOnly ? (int)IpcFlags.SHM_RDONLY : 0);
        Call(Sysno.mremap, aside + offset, range.Length, range.Length, MREMAP_MAYMOVE_FIXED, range.Start);
        if (offset > 0)
        {
            Call(Sysno.munmap, aside, offset);
        }

        if (offset + range.Length < size)
        {
            Call(Sysno.munmap, aside + offset + range.Length, size - offset - range.Length);
        }

        if (protection != (isReadOnly ? ProtectionFlags.PROT_READ : ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE))
        {
            Call(Sysno.mprotect, range.Start, range.Length, (int)protection);
        }
    }

    private void Adjust(PlannedVma vma, InheritedPart part)
    {
        foreach (AddressRange range in part.Dropped)
        {
            Call(Sysno.madvise, range.Start, range.Length, (int)MemoryAdvice.MADV_DONTNEED);
        }

        ProtectionFlags protection = part.Protection;
        if (part.Own.Count > 0 && (protection & ProtectionFlags.PROT_WRITE) == 0)
        {
            protection = vma.FillProtection;
            Call(Sysno.mprotect, part.Range.Start, part.Range.Length, (int)protection);
        }

        plain.AddRange(part.Own);
        if (protection != vma.Entry.Protection())
        {
            finalProtections.Add((part.Range, vma.Entry.Protection()));
        }
    }

    // A range that neither the process has now nor its plan wants.
    private ulong FindHole(List<Mapping> current, ulong size, ulong alignment)
    {
        List<AddressRange> used =
        [
            scratch,
            .. parked,
            .. current.Select(mapping => new AddressRange(mapping.Start, mapping.End)),
            .. memory.Vmas.Concat(memory.Rings).Concat(memory.LateMappings).Select(vma => new AddressRange(vma.MapStart, vma.End)),
            .. memory.Task.Mm!.Vmas.Where(
                vma => vma.Is(VmaStatus.Vdso | VmaStatus.Vvar)).Select(vma => new AddressRange(vma.Start, vma.End)),
        ];
        used.Sort(static (a, b) => a.Start.CompareTo(b.Start));
        const ulong Lowest = 0x1000_0000;
        ulong candidate = Lowest;
        foreach (AddressRange range in used)
        {
            if (range.End <= candidate)
            {
                continue;
            }

            if (range.Start >= candidate + size)
            {
                break;
            }

            candidate = (range.End + alignment - 1) & ~(alignment - 1);
        }

        return candidate + size <= TaskSize
            ? candidate
            : throw new CheckpointException(
                $"task {memory.Task.Pid}: no {size} bytes are free in its address space")
            { Phase = "forking", Pid = memory.Task.Pid };
    }
}
