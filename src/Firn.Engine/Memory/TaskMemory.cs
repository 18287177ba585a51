using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;

namespace Firn.Engine.Memory;

/// <summary>A mapping that a restore makes, with its pages and what of it is inherited.</summary>
internal sealed class PlannedVma
{
    /// <summary>Its message.</summary>
    public required VmaEntry Entry { get; init; }

    /// <summary>The first address that is mapped: lower than the entry's start where a child's stack reaches further down.</summary>
    public ulong MapStart { get; set; }

    /// <summary>The address behind the last one.</summary>
    public ulong End => Entry.End;

    /// <summary>Its own pages, by ascending address.</summary>
    public List<SourceRun> Pages { get; } = [];

    /// <summary>What is inherited from the parent's mappings, by ascending address.</summary>
    public List<InheritedPart> Inherited { get; } = [];

    /// <summary>The protection under which pages can be put in.</summary>
    public ProtectionFlags FillProtection => (Entry.Protection() & ProtectionFlags.PROT_WRITE) != 0
        ? Entry.Protection()
        : ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE;
}

/// <summary>A part of a mapping that a forked child has from its parent.</summary>
/// <param name="Range">Where.</param>
/// <param name="Protection">The protection that it has in the parent.</param>
/// <param name="Own">Pages whose content is not the parent's.</param>
/// <param name="Dropped">Pages that the parent has and the child has not.</param>
internal sealed record InheritedPart(
    AddressRange Range, ProtectionFlags Protection, IReadOnlyList<SourceRun> Own, IReadOnlyList<AddressRange> Dropped);

/// <summary>The plan of one process's memory.</summary>
internal sealed class TaskMemory
{
    private const ulong TaskSize = 0x7ffffffff000;
    private const MapFlags KindFlags = MapFlags.MAP_ANONYMOUS | MapFlags.MAP_GROWSDOWN | MapFlags.MAP_NORESERVE | MapFlags.MAP_DROPPABLE
        | MapFlags.MAP_HUGETLB;

    /// <summary>The process.</summary>
    public required RestoredTask Task { get; init; }

    /// <summary>Mappings that are made by mmap(2), by ascending address.</summary>
    public List<PlannedVma> Vmas { get; } = [];

    /// <summary>The kernel's data for the vdso.</summary>
    public List<VmaEntry> Vvars { get; } = [];

    /// <summary>The vdso, if the process had one.</summary>
    public VmaEntry? Vdso { get; private set; }

    /// <summary>The pages of the vdso as they were saved.</summary>
    public List<SourceRun> VdsoPages { get; } = [];

    /// <summary>Rings of io_setup(2).</summary>
    public List<PlannedVma> Rings { get; } = [];

    /// <summary>Mappings of io_urings, which are made when these are: until then nothing may lie there.</summary>
    public List<PlannedVma> LateMappings { get; } = [];

    /// <summary>Guard pages.</summary>
    public List<AddressRange> Guards { get; } = [];

    /// <summary>Whether it is to be forked from its parent's restored memory.</summary>
    public bool SharesWithParent => Vmas.Exists(vma => vma.Inherited.Count > 0);

    /// <summary>Plans the memory of a process, and verifies it.</summary>
    /// <param name="task">The process.</param>
    /// <param name="pages">All its pages, by ascending address.</param>
    /// <exception cref="ImageFormatException">Mappings overlap, are not aligned or leave the address space; pages lie outside of
    /// mappings.</exception>
    public static TaskMemory Make(RestoredTask task, List<SourceRun> pages)
    {
        var memory = new TaskMemory { Task = task };
        string file = ImageKind.Mm.FileName((ulong)task.Pid);
        ulong end = 0;
        int next = 0;
        foreach (VmaEntry vma in task.Mm!.Vmas)
        {
            if (vma.Is(VmaStatus.Vsyscall))
            {
                continue;
            }

            bool isGuard = vma.Is(VmaStatus.Guard);
            if (vma.Start >= vma.End || vma.End > TaskSize || ((vma.Start | vma.End) & 0xfff) != 0 || (!isGuard && vma.Start < end))
            {
                throw new ImageFormatException(
                    file,
                    -1,
                    ImageDiagnostic.BadPageMap,
                    $"the mapping {vma.Start:x}-{vma.End:x} overlaps, is not aligned, or leaves the address space; the set is damaged");
            }

            if (isGuard)
            {
                memory.Guards.Add(new AddressRange(vma.Start, vma.End));
                continue;
            }

            end = vma.End;
            memory.Add(vma, pages, ref next, file);
        }

        if (next < pages.Count)
        {
            throw OutsideOfMappings(pages[next].Start, task);
        }

        return memory;
    }

    /// <summary>
    /// Finds out what can be inherited from the parent: private mappings at the same place with pages of the same content.
    /// </summary>
    public void Inherit(TaskMemory parent)
    {
        int first = 0;
        foreach (PlannedVma vma in Vmas)
        {
            while (first < parent.Vmas.Count && parent.Vmas[first].End <= vma.Entry.Start)
            {
                first++;
            }

            for (int i = first; i < parent.Vmas.Count && parent.Vmas[i].Entry.Start < vma.End; i++)
            {
                if (vma.Pages.Count > 0 && AreAlike(vma.Entry, parent.Vmas[i].Entry))
                {
                    Inherit(vma, parent.Vmas[i]);
                }
            }
        }
    }

    /// <summary>
    /// Lets stacks begin as far down as those of children that inherit them: a mapping that grows down can't be made larger by anything but
    /// a touch. The surplus is unmapped after forking.
    /// </summary>
    public void ReachDownFor(TaskMemory child)
    {
        for (int i = 0; i < Vmas.Count; i++)
        {
            PlannedVma vma = Vmas[i];
            PlannedVma? same = vma.Entry.Has(MapFlags.MAP_GROWSDOWN)
                ? child.Vmas.Find(other => other.Entry.Has(MapFlags.MAP_GROWSDOWN) && other.End == vma.End && other.Inherited.Count == 1)
                : null;
            if (same is not null && same.MapStart < vma.MapStart && (i == 0 || Vmas[i - 1].End <= same.MapStart))
            {
                vma.MapStart = same.MapStart;
                InheritedPart part = same.Inherited[0];
                IEnumerable<SourceRun> below = same.Pages
                    .Where(run => run.Start < part.Range.Start)
                    .Select(run => run.Clip(run.Start, Math.Min(run.End, part.Range.Start)));
                same.Inherited[0] = part with { Range = new AddressRange(same.MapStart, part.Range.End), Own = [.. below, .. part.Own] };
            }
        }
    }

    private static bool AreAlike(VmaEntry mine, VmaEntry parents)
    {
        const ulong HugeAdvice = (1UL << (int)MemoryAdvice.MADV_HUGEPAGE) | (1UL << (int)MemoryAdvice.MADV_NOHUGEPAGE);
        return mine.IsPrivate() && parents.IsPrivate()
            && ((mine.Flags ^ parents.Flags) & (uint)KindFlags) == 0
            && ((mine.Madv ^ parents.Madv) & HugeAdvice) == 0
            && Equals(mine.Policy, parents.Policy)
            && (mine.Has(MapFlags.MAP_ANONYMOUS)
                || (mine.Shmid == parents.Shmid && mine.Pgoff - mine.Start == parents.Pgoff - parents.Start));
    }

    private static void Inherit(PlannedVma vma, PlannedVma parents)
    {
        AddressRange range = new AddressRange(vma.Entry.Start, vma.End).Intersect(new AddressRange(parents.Entry.Start, parents.End));
        List<AddressRange> shared = [];
        List<SourceRun> own = [];
        Compare(vma.Pages, parents.Pages, range, shared, own);
        if (shared.Count == 0)
        {
            return;
        }

        List<AddressRange> dropped = PageRuns.Subtract(Ranges(parents.Pages, range), Ranges(vma.Pages, range));
        vma.Inherited.Add(new InheritedPart(range, parents.Entry.Protection(), own, dropped));
    }

    private static List<AddressRange> Ranges(List<SourceRun> runs, AddressRange window)
    {
        var ranges = new List<AddressRange>();
        foreach (SourceRun run in runs)
        {
            PageRuns.Append(ranges, new AddressRange(run.Start, run.End).Intersect(window));
        }

        return ranges;
    }

    /// <summary>Divides the pages of a child within a range into those that are the parent's too and those that are not.</summary>
    internal static void Compare(
        IReadOnlyList<SourceRun> child, IReadOnlyList<SourceRun> parent, AddressRange range, List<AddressRange> shared, List<SourceRun> own)
    {
        int next = 0;
        foreach (SourceRun whole in child)
        {
            SourceRun run = whole.Clip(range.Start, range.End);
            ulong position = run.Start;
            while (position < run.End)
            {
                while (next < parent.Count && parent[next].End <= position)
                {
                    next++;
                }

                bool isCovered = next < parent.Count && parent[next].Start <= position;
                ulong end = next >= parent.Count ? run.End : Math.Min(run.End, isCovered ? parent[next].End : parent[next].Start);
                SourceRun part = run.Clip(position, end);
                if (isCovered && part.File == parent[next].File && part.Offset == parent[next].Clip(position, end).Offset)
                {
                    PageRuns.Append(shared, new AddressRange(position, end));
                }
                else
                {
                    own.Add(part);
                }

                position = end;
            }
        }
    }

    private static ImageFormatException OutsideOfMappings(ulong address, RestoredTask task) => new(
        ImageKind.Pagemap.FileName((ulong)task.Pid),
        -1,
        ImageDiagnostic.BadPageMap,
        $"the page at 0x{address:x} lies in no private mapping of the task; the set is damaged");

    private void Add(VmaEntry vma, List<SourceRun> pages, ref int next, string file)
    {
        List<SourceRun> target;
        if (vma.Is(VmaStatus.Vdso))
        {
            Vdso = vma;
            target = VdsoPages;
        }
        else if (vma.Is(VmaStatus.Vvar))
        {
            Vvars.Add(vma);
            return;
        }
        else
        {
            Refuse(vma, file);
            var planned = new PlannedVma { Entry = vma, MapStart = vma.Start };
            (vma.Is(VmaStatus.IoUring) ? LateMappings : vma.Is(VmaStatus.AioRing) ? Rings : Vmas).Add(planned);
            if (!vma.IsPrivate())
            {
                return;
            }

            target = planned.Pages;
        }

        if (next < pages.Count && pages[next].Start < vma.Start)
        {
            throw OutsideOfMappings(pages[next].Start, Task);
        }

        while (next < pages.Count && pages[next].Start < vma.End)
        {
            target.Add(pages[next].Clip(vma.Start, vma.End));
            if (pages[next].End > vma.End)
            {
                pages[next] = pages[next].Clip(vma.End, pages[next].End);
                return;
            }

            next++;
        }
    }

    private void Refuse(VmaEntry vma, string file)
    {
        string? what = vma.Kind() switch
        {
            var kind when (kind & VmaStatus.ShadowStack) != 0 => "a shadow stack",
            var kind when (kind & VmaStatus.Uprobes) != 0 => "a page of user-space probes",
            _ when vma.IsPrivate() || vma.Is(VmaStatus.Socket | VmaStatus.IoUring | VmaStatus.FileShared) => null,
            _ when vma.Is(VmaStatus.AnonymousShared | VmaStatus.SystemVSegment) => null,
            _ => $"of an unknown kind ({vma.Status:x})",
        };
        if (what is not null)
        {
            throw new CheckpointException(
                $"{file}: the mapping {vma.Start:x}-{vma.End:x} of task {Task.Pid} is {what}, which firn can't restore yet")
            {
                Phase =
                    "prepare",
                Pid = Task.Pid
            };
        }
    }
}
