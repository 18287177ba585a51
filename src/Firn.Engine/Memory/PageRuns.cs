using Firn.Images;

namespace Firn.Engine.Memory;

/// <summary>A range of addresses.</summary>
/// <param name="Start">The first address.</param>
/// <param name="End">The address behind the last one.</param>
internal readonly record struct AddressRange(ulong Start, ulong End)
{
    /// <summary>Its size in bytes.</summary>
    public ulong Length => End - Start;

    /// <summary>Whether it has nothing in it.</summary>
    public bool IsEmpty => End <= Start;

    /// <summary>What two ranges have in common; empty if nothing.</summary>
    public AddressRange Intersect(AddressRange other) => new(Math.Max(Start, other.Start), Math.Min(End, other.End));
}

/// <summary>Arithmetic on sorted lists of ranges that don't overlap.</summary>
internal static class PageRuns
{
    /// <summary>The parts of ranges that lie in a window.</summary>
    /// <param name="ranges">Sorted ranges.</param>
    /// <param name="window">The window.</param>
    /// <param name="from">Where in the list to begin; moved on to the first range that reaches the window's end, for the next
    /// window.</param>
    public static List<AddressRange> Clip(IReadOnlyList<AddressRange> ranges, AddressRange window, ref int from)
    {
        while (from < ranges.Count && ranges[from].End <= window.Start)
        {
            from++;
        }

        var clipped = new List<AddressRange>();
        for (int i = from; i < ranges.Count && ranges[i].Start < window.End; i++)
        {
            clipped.Add(ranges[i].Intersect(window));
            if (ranges[i].End <= window.End)
            {
                from = i + 1;
            }
        }

        return clipped;
    }

    /// <summary>The ranges without what other ranges cover. Both are sorted.</summary>
    public static List<AddressRange> Subtract(IReadOnlyList<AddressRange> ranges, IReadOnlyList<AddressRange> covered)
    {
        var rest = new List<AddressRange>();
        int next = 0;
        foreach (AddressRange range in ranges)
        {
            ulong position = range.Start;
            while (next < covered.Count && covered[next].End <= position)
            {
                next++;
            }

            for (int i = next; i < covered.Count && covered[i].Start < range.End; i++)
            {
                if (covered[i].Start > position)
                {
                    rest.Add(new AddressRange(position, covered[i].Start));
                }

                position = Math.Max(position, covered[i].End);
            }

            if (position < range.End)
            {
                rest.Add(new AddressRange(position, range.End));
            }
        }

        return rest;
    }

    /// <summary>What two sorted lists have in common.</summary>
    public static List<AddressRange> Intersect(IReadOnlyList<AddressRange> first, IReadOnlyList<AddressRange> second)
    {
        var common = new List<AddressRange>();
        int i = 0;
        int j = 0;
        while (i < first.Count && j < second.Count)
        {
            AddressRange both = first[i].Intersect(second[j]);
            if (!both.IsEmpty)
            {
                common.Add(both);
            }

            if (first[i].End < second[j].End)
            {
                i++;
            }
            else
            {
                j++;
            }
        }

        return common;
    }

    /// <summary>All of two sorted lists that have nothing in common.</summary>
    public static List<AddressRange> Union(IReadOnlyList<AddressRange> first, IReadOnlyList<AddressRange> second)
    {
        var all = new List<AddressRange>(first.Count + second.Count);
        int i = 0;
        int j = 0;
        while (i < first.Count || j < second.Count)
        {
            bool isFirst = j == second.Count || (i < first.Count && first[i].Start < second[j].Start);
            Append(all, isFirst ? first[i++] : second[j++]);
        }

        return all;
    }

    /// <summary>Adds a range at the end, as part of the last one where they meet.</summary>
    public static void Append(List<AddressRange> ranges, AddressRange range)
    {
        if (range.IsEmpty)
        {
            return;
        }

        if (ranges.Count > 0 && ranges[^1].End == range.Start)
        {
            ranges[^1] = ranges[^1] with { End = range.End };
        }
        else
        {
            ranges.Add(range);
        }
    }

    /// <summary>Adds a run at the end, as part of the last one where they meet and their content is at one place.</summary>
    public static void Append(List<PageRun> runs, PageRun run)
    {
        if (run.Pages == 0)
        {
            return;
        }

        if (runs.Count > 0 && runs[^1].End == run.Address && runs[^1].Flags == run.Flags)
        {
            runs[^1] = runs[^1] with { Pages = runs[^1].Pages + run.Pages };
        }
        else
        {
            runs.Add(run);
        }
    }
}
