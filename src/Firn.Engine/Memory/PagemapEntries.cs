using Firn.Linux;
using Firn.Linux.Procfs;

namespace Firn.Engine.Memory;

/// <summary>The entries of a page map, read once where they are asked for by many: by each child of a process.</summary>
/// <param name="map">The page map.</param>
/// <param name="own">The pages that can be asked for; complete when the first is.</param>
/// <param name="isKept">Whether all are read, and kept.</param>
internal sealed class PagemapEntries(Pagemap map, IReadOnlyList<AddressRange> own, bool isKept)
{
    private const ulong MostKept = 16 << 20;

    private readonly Lock gate = new();
    private ulong[] entries = [];
    private ulong[] firsts = [];

    /// <summary>The entries of a run of pages. Of any thread.</summary>
    /// <param name="start">The first address.</param>
    /// <param name="pages">How many; all within one range of the own pages.</param>
    /// <exception cref="LinuxException">They can't be read.</exception>
    public ReadOnlySpan<ulong> Read(ulong start, int pages)
    {
        if (!isKept || !Keep())
        {
            // Of its own for each question: two threads may ask.
            ulong[] read = new ulong[pages];
            map.ReadEntries(start, read);
            return read;
        }

        int low = 0;
        int high = own.Count - 1;
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            (low, high) = own[middle].Start <= start ? (middle, high) : (low, middle - 1);
        }

        return entries.AsSpan((int)(firsts[low] + ((start - own[low].Start) / (ulong)Kernel.PageSize)), pages);
    }

    private bool Keep()
    {
        lock (gate)
        {
            return firsts.Length > 0 || ReadAll();
        }
    }

    private bool ReadAll()
    {

        ulong count = own.Aggregate(0UL, static (sum, range) => sum + (range.Length / (ulong)Kernel.PageSize));
        if (count > MostKept)
        {
            return false;
        }

        entries = new ulong[count];
        ulong[] places = new ulong[own.Count];
        ulong next = 0;
        for (int i = 0; i < own.Count; i++)
        {
            int pages = (int)(own[i].Length / (ulong)Kernel.PageSize);
            places[i] = next;
            map.ReadEntries(own[i].Start, entries.AsSpan((int)next, pages));
            next += (ulong)pages;
        }

        firsts = places;
        return true;
    }
}
