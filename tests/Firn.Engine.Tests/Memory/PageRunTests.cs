using Firn.Engine.Memory;
using Firn.Images;
using Firn.Linux.Procfs;

namespace Firn.Engine.Tests.Memory;

public sealed class PageRunTests
{
    private const ulong Present = 1UL << 63;
    private const ulong Swapped = 1UL << 62;

    [Fact]
    public void Ranges_are_cut_to_window_after_window()
    {
        AddressRange[] ranges = [new(0x1000, 0x3000), new(0x5000, 0x9000), new(0xa000, 0xb000)];
        int next = 0;
        Assert.Equal([new(0x2000, 0x3000), new(0x5000, 0x6000)], PageRuns.Clip(ranges, new(0x2000, 0x6000), ref next));
        Assert.Equal([new(0x6000, 0x7000)], PageRuns.Clip(ranges, new(0x6000, 0x7000), ref next));
        Assert.Equal([new(0x8000, 0x9000), new(0xa000, 0xb000)], PageRuns.Clip(ranges, new(0x8000, 0xc000), ref next));
        Assert.Empty(PageRuns.Clip(ranges, new(0xc000, 0xd000), ref next));
    }

    [Fact]
    public void What_is_covered_is_taken_away()
    {
        AddressRange[] ranges = [new(0x1000, 0x8000), new(0x9000, 0xa000)];
        Assert.Equal(
            [new(0x1000, 0x2000), new(0x3000, 0x5000), new(0x9800, 0xa000)],
            PageRuns.Subtract(ranges, [new(0x2000, 0x3000), new(0x5000, 0x9800)]));
        Assert.Equal(ranges, PageRuns.Subtract(ranges, []));
        Assert.Empty(PageRuns.Subtract(ranges, [new(0, 0x10000)]));
    }

    [Fact]
    public void Any_sets_of_pages_obey_the_laws_of_sets()
    {
        var random = new Random(7);
        for (int round = 0; round < 500; round++)
        {
            List<AddressRange> first = Some(random);
            List<AddressRange> second = Some(random);
            HashSet<ulong> a = Pages(first);
            HashSet<ulong> b = Pages(second);
            Assert.Equal(a.Intersect(b).Order(), Pages(PageRuns.Intersect(first, second)).Order());
            Assert.Equal(a.Except(b).Order(), Pages(PageRuns.Subtract(first, second)).Order());
        }
    }

    [Fact]
    public void Runs_that_meet_become_one_unless_their_content_is_elsewhere()
    {
        List<PageRun> runs = [];
        PageRuns.Append(runs, new PageRun(0x1000, 1, PageFlags.Present));
        PageRuns.Append(runs, new PageRun(0x2000, 2, PageFlags.Present));
        PageRuns.Append(runs, new PageRun(0x4000, 1, PageFlags.Parent));
        PageRuns.Append(runs, new PageRun(0x6000, 1, PageFlags.Parent));
        PageRuns.Append(runs, new PageRun(0x7000, 0, PageFlags.Parent));
        Assert.Equal([new(0x1000, 3, PageFlags.Present), new(0x4000, 1, PageFlags.Parent), new(0x6000, 1, PageFlags.Parent)], runs);
    }

    [Fact]
    public void Pages_with_the_same_frame_or_swap_entry_are_shared()
    {
        ulong[] child = [Present | 7, Present | 8, Present | 9, Swapped | 9, Swapped | 10, 0, Present, Present | (1UL << 55) | 11];
        ulong[] parent = [Present | 7, Present | 8, Present | 6, Present | 9, Swapped | 10, 0, Present, Present | 11];
        List<AddressRange> shared = [];
        SharedPages.Compare(0x10000, child, parent, shared);

        // Not what is nowhere, nor what is hidden from a reader without privilege (frame 0); soft-dirty makes no difference.
        Assert.Equal([new(0x10000, 0x12000), new(0x14000, 0x15000), new(0x17000, 0x18000)], shared);
        Assert.Equal(Present | Swapped | Pagemap.FrameMask, Pagemap.PlaceMask);
    }

    private static List<AddressRange> Some(Random random)
    {
        var ranges = new List<AddressRange>();
        ulong at = 0;
        for (int i = random.Next(8); i > 0; i--)
        {
            at += (ulong)random.Next(1, 5) << 12;
            ulong end = at + ((ulong)random.Next(1, 6) << 12);
            ranges.Add(new AddressRange(at, end));
            at = end;
        }

        return ranges;
    }

    private static HashSet<ulong> Pages(IEnumerable<AddressRange> ranges)
    {
        var pages = new HashSet<ulong>();
        foreach (AddressRange range in ranges)
        {
            for (ulong page = range.Start; page < range.End; page += 0x1000)
            {
                pages.Add(page);
            }
        }

        return pages;
    }
}
