using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Procfs;

namespace Firn.Engine.Memory;

/// <summary>The pages of one process under dump: which there are, and the file that they go to.</summary>
internal sealed class TaskPages : IDisposable
{
    // As many pages as are worth to look at a sibling for.
    private const int FewestOfSibling = 64;

    // Behind so many, one question for all is cheaper than one for what lies between two.
    private const int MostGaps = 64;

    private readonly List<AddressRange> own = [];

    private readonly PagemapEntries entries;

    /// <summary>Opens the page map and makes the pages file.</summary>
    /// <param name="context">The dump.</param>
    /// <param name="task">The process.</param>
    /// <param name="children">How many children it has: for more than one, the entries of its page map are read once.</param>
    public TaskPages(DumpContext context, DumpedTask task, int children)
    {
        Task = task;
        Map = Pagemap.Open(task.Pid);
        entries = new PagemapEntries(Map, own, children > 1);
        File = new PagesFile(context);
    }

    /// <summary>The process.</summary>
    public DumpedTask Task { get; }

    /// <summary>Its page map in /proc.</summary>
    public Pagemap Map { get; }

    /// <summary>Where its pages go.</summary>
    public PagesFile File { get; }

    /// <summary>All pages that are its own, by ascending address.</summary>
    public IReadOnlyList<AddressRange> Own => own;

    /// <summary>Guard pages (MADV_GUARD_INSTALL).</summary>
    public List<AddressRange> Guards { get; } = [];

    /// <summary>Those of its own that its donor has too: in the very same frames, or with the same content.</summary>
    public IReadOnlyList<AddressRange> Shared { get; private set; } = [];

    /// <summary>The process whose page map stands for this one's in the parent set; null where it needs none.</summary>
    public TaskPages? Donor { get; private set; }

    /// <summary>How many pages were found.</summary>
    public long Found => Count(own);

    /// <summary>
    /// Finds the pages, and which of them it shares with its parent: one pass over the page tables, for what is the parent's is not looked
    /// for again. Of any thread, once the pages of the parent are found.
    /// </summary>
    /// <param name="parent">The parent; null if it has none in the tree.</param>
    public void Scan(TaskPages? parent)
    {
        const ulong End = 0x7ffffffff000;
        List<AddressRange> same = parent is null ? [] : FindSame(parent);
        var whole = new List<AddressRange> { new(0, End) };
        var found = new List<ScannedPages>();
        foreach (AddressRange gap in same.Count > MostGaps ? whole : PageRuns.Subtract(whole, same))
        {
            Map.Scan(gap.Start, gap.End, found);
        }

        var others = new List<AddressRange>();
        foreach (ScannedPages run in found)
        {
            PageRuns.Append(run.IsGuard ? Guards : others, new AddressRange(run.Start, run.End));
        }

        AddOwn(PageRuns.Union(PageRuns.Subtract(others, same), same));
        Shared = PageRuns.Intersect(own, same);
        Donor = Shared.Count > 0 ? parent : null;
    }

    private List<AddressRange> FindSame(TaskPages parent)
    {
        List<AddressRange> candidates = PageRuns.Intersect(
            parent.own, PageRuns.Intersect(Inheritable(Task.Mm), Inheritable(parent.Task.Mm)));
        return candidates.Count == 0 ? [] : SharedPages.Find(Map, parent.entries, candidates);
    }

    private void AddOwn(List<AddressRange> pages)
    {
        int next = 0;
        foreach (VmaEntry vma in Task.Mm.Vmas)
        {
            var window = new AddressRange(vma.Start, vma.End);
            if (vma.Is(VmaStatus.Vdso | VmaStatus.AioRing))
            {
                // Saved whole: the vdso, so that a restore can tell whether its kernel has the same; a ring, since its pages are a file's.
                PageRuns.Append(own, window);
            }
            else if (vma.IsPrivate() && !vma.Has(Linux.Abi.MapFlags.MAP_DROPPABLE))
            {
                foreach (AddressRange part in PageRuns.Clip(pages, window, ref next))
                {
                    PageRuns.Append(own, part);
                }
            }
        }
    }

    /// <summary>Whether so many pages are to be written that it is worth to look whether a sibling has them too.</summary>
    public bool HasManyWritten => Count(own) - Count(Shared) >= FewestOfSibling;

    /// <summary>Whether the donor is a sibling that this process comes from, over one that has ended.</summary>
    public bool ComesFromSibling { get; private set; }

    /// <summary>
    /// Finds out whether a sibling shares pages with it that the parent has not: one from which it comes by a process that has ended, so
    /// that it was adopted.
    /// </summary>
    /// <param name="siblings">Children of the same parent whose pages are known.</param>
    public void FindShared(IEnumerable<TaskPages> siblings)
    {
        List<AddressRange> left = SharedPages.FindForeign(Map, Written());
        foreach (TaskPages sibling in Count(left) < FewestOfSibling ? [] : siblings)
        {
            List<AddressRange> inheritable = PageRuns.Intersect(Inheritable(Task.Mm), Inheritable(sibling.Task.Mm));
            List<AddressRange> first = PageRuns.Intersect(PageRuns.Intersect(left, sibling.own), inheritable);
            if (Count(first) < FewestOfSibling || Count(SharedPages.Find(Map, sibling.entries, first)) < FewestOfSibling)
            {
                continue;
            }

            List<AddressRange> all = SharedPages.Find(
                Map, sibling.entries, PageRuns.Intersect(PageRuns.Intersect(own, sibling.own), inheritable));
            if (Count(all) > Count(Shared))
            {
                Shared = all;
                Donor = sibling;
                ComesFromSibling = true;
                Task.Mm.ForkedFrom = (uint)sibling.Task.InnerPid;
            }

            return;
        }
    }

    private static long Count(IReadOnlyList<AddressRange> ranges)
        => ranges.Sum(static range => (long)(range.Length >> PageMap.PageShift));

    /// <summary>Takes a sibling for the donor, who has everything that was shared with the parent, and more.</summary>
    /// <param name="sibling">The sibling.</param>
    /// <param name="alike">Pages whose content is the sibling's.</param>
    public void ShareMore(TaskPages sibling, IReadOnlyList<AddressRange> alike)
    {
        Shared = PageRuns.Union(Shared, alike);
        Donor = sibling;
    }

    /// <summary>Those that are written for this process.</summary>
    public List<AddressRange> Written() => Shared.Count > 0 ? PageRuns.Subtract(own, Shared) : [.. own];

    /// <summary>The page map: all runs with the places of their content, split where a mapping's laziness changes.</summary>
    public List<PageRun> Runs()
    {
        var runs = new List<PageRun>();
        List<AddressRange> written = Written();
        int nextWritten = 0;
        int nextShared = 0;
        foreach (VmaEntry vma in Task.Mm.Vmas)
        {
            if (!vma.IsPrivate() || vma.Is(VmaStatus.Vvar))
            {
                continue;
            }

            var window = new AddressRange(vma.Start, vma.End);
            PageFlags flags = PageFlags.Present | (vma.MayBeLazy() ? PageFlags.Lazy : 0);
            var both = new List<PageRun>();
            foreach (AddressRange part in PageRuns.Clip(written, window, ref nextWritten))
            {
                both.Add(new PageRun(part.Start, part.Length >> PageMap.PageShift, flags));
            }

            foreach (AddressRange part in PageRuns.Clip(Shared, window, ref nextShared))
            {
                both.Add(new PageRun(part.Start, part.Length >> PageMap.PageShift, PageFlags.Parent));
            }

            both.Sort(static (a, b) => a.Address.CompareTo(b.Address));
            foreach (PageRun run in both)
            {
                PageRuns.Append(runs, run);
            }
        }

        return runs;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Map.Dispose();
        File.Dispose();
    }

    // Where a restore can let a child inherit: private memory of either, at the same place. The vdso is not inherited but compared, and
    // all have the same.
    private static List<AddressRange> Inheritable(MmEntry mm)
    {
        var ranges = new List<AddressRange>();
        foreach (VmaEntry vma in mm.Vmas)
        {
            if (vma.IsPrivate() && !vma.Is(VmaStatus.AioRing))
            {
                PageRuns.Append(ranges, new AddressRange(vma.Start, vma.End));
            }
        }

        return ranges;
    }
}
