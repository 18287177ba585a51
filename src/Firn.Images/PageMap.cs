namespace Firn.Images;

/// <summary>Where the content of a run of pages is.</summary>
[Flags]
public enum PageFlags : uint
{
    /// <summary>Nowhere: the run is recorded without content.</summary>
    None = 0,

    /// <summary>In the parent set, under the same id.</summary>
    Parent = 1,

    /// <summary>The pages may be fetched later, since a restore can run without them.</summary>
    Lazy = 2,

    /// <summary>In the pages file of this set.</summary>
    Present = 4,
}

/// <summary>A run of pages that lie one behind the other and whose content is at one place.</summary>
/// <param name="Address">Where the run begins, in bytes: an address, or an offset within a shared object.</param>
/// <param name="Pages">How many pages it has.</param>
/// <param name="Flags">Where their content is.</param>
public readonly record struct PageRun(ulong Address, ulong Pages, PageFlags Flags)
{
    /// <summary>Where the run ends, in bytes: the first address behind it.</summary>
    public ulong End => Address + (Pages << PageMap.PageShift);

    /// <summary>Whether the pages are in this set's pages file.</summary>
    public bool IsPresent => (Flags & PageFlags.Present) != 0;
}

/// <summary>A page map: the runs of pages of one address space or shared object, and the pages file with their content.</summary>
/// <remarks>
/// The pages file holds the present runs back to back in the order of the map, so a page's place is the sum of the present pages before.
/// </remarks>
public sealed class PageMap
{
    /// <summary>The binary logarithm of the page size.</summary>
    public const int PageShift = 12;

    /// <summary>The page size, in bytes.</summary>
    public const int PageSize = 1 << PageShift;

    private readonly PageRun[] runs;
    private readonly ulong[] firstPage;

    /// <summary>A map of these runs.</summary>
    /// <param name="pagesId">The id of the pages file.</param>
    /// <param name="runs">The runs, in ascending order.</param>
    /// <exception cref="ImageFormatException">A run is out of order, overlaps, is empty or unaligned, or leaves the space.</exception>
    public PageMap(uint pagesId, IEnumerable<PageRun> runs)
        : this(pagesId, [.. runs], ImageKind.Pagemap.Pattern)
    {
    }

    private PageMap(uint pagesId, PageRun[] runs, string fileName)
    {
        PagesId = pagesId;
        this.runs = runs;
        firstPage = new ulong[runs.Length];
        ulong pages = 0;
        ulong end = 0;
        for (int i = 0; i < runs.Length; i++)
        {
            firstPage[i] = pages;
            Validate(runs[i], end, fileName);
            end = runs[i].End;
            pages += runs[i].IsPresent ? runs[i].Pages : 0;
        }

        PresentPages = pages;
    }

    /// <summary>The id of the pages file.</summary>
    public uint PagesId { get; }

    /// <summary>The runs, in ascending order.</summary>
    public IReadOnlyList<PageRun> Runs => runs;

    /// <summary>How many pages the pages file holds.</summary>
    public ulong PresentPages { get; }

    /// <summary>Reads a map, of a task or of a shared object.</summary>
    /// <exception cref="ImageFormatException">The file is not a valid page map.</exception>
    public static PageMap Decode(ReadOnlyMemory<byte> bytes, string fileName)
    {
        var reader = new EntryReader(ImageKind.Pagemap, bytes, fileName);
        if (!reader.TryRead(out ImageEntry head))
        {
            throw reader.Error(ImageDiagnostic.Truncated, "the file ends where the id of the pages file should be; make the dump again");
        }

        List<PageRun> runs = [];
        while (reader.TryRead(out ImageEntry entry))
        {
            var run = (PagemapEntry)entry.Message;
            if (IsNewer(run))
            {
                throw reader.Error(
                    ImageDiagnostic.BadPageMap,
                    "a run has fields that this version does not know, so its pages may be stored otherwise; use the program that made it");
            }

            runs.Add(new PageRun(run.Vaddr, run.HasNrPages ? run.NrPages : run.CompatNrPages, FlagsOf(run)));
        }

        return new PageMap(((PagemapHead)head.Message).PagesId, [.. runs], fileName);
    }

    /// <summary>The file as CRIU 4.2 writes it: the count in nr_pages, zero in the older field that must be there, no in_parent.</summary>
    public byte[] Encode()
    {
        var writer = new EntryWriter(ImageKind.Pagemap);
        writer.Add(new ImageEntry(new PagemapHead { PagesId = PagesId }));
        foreach (PageRun run in runs)
        {
            var entry = new PagemapEntry { Vaddr = run.Address, CompatNrPages = 0, Flags = (uint)run.Flags, NrPages = run.Pages };
            writer.Add(new ImageEntry(entry));
        }

        return writer.ToArray();
    }

    /// <summary>The run that an address lies in, and where its page is.</summary>
    /// <param name="address">Any address, in bytes.</param>
    /// <param name="run">The run.</param>
    /// <param name="page">The page's place in the pages file, in pages, if the run is present.</param>
    /// <returns>False if no run covers the address.</returns>
    public bool TryFind(ulong address, out PageRun run, out ulong page)
    {
        int low = 0;
        int high = runs.Length;
        while (low < high)
        {
            int middle = (int)((uint)(low + high) / 2);
            if (runs[middle].End <= address)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        bool found = low < runs.Length && runs[low].Address <= address;
        run = found ? runs[low] : default;
        page = found ? firstPage[low] + ((address - run.Address) >> PageShift) : 0;
        return found;
    }

    private static PageFlags FlagsOf(PagemapEntry entry)
        => entry.HasFlags ? (PageFlags)entry.Flags : entry.InParent ? PageFlags.Parent : PageFlags.Present;

    /// <summary>Whether a run has a field that was added later; the development version marks compressed pages so.</summary>
    private static bool IsNewer(PagemapEntry entry)
    {
        var known = new PagemapEntry { Vaddr = entry.Vaddr, CompatNrPages = entry.CompatNrPages };
        if (entry.HasInParent)
        {
            known.InParent = entry.InParent;
        }

        if (entry.HasFlags)
        {
            known.Flags = entry.Flags;
        }

        if (entry.HasNrPages)
        {
            known.NrPages = entry.NrPages;
        }

        return known.CalculateSize() != entry.CalculateSize();
    }

    private static void Validate(PageRun run, ulong end, string fileName)
    {
        string? problem = run switch
        {
            _ when run.Pages == 0 => "has no pages",
            _ when (run.Address & (PageSize - 1)) != 0 => "does not begin at a page",
            _ when run.Pages > ImageLimits.MaxPages => "leaves the address space",
            _ when run.Address > (ImageLimits.MaxPages - run.Pages) << PageShift => "leaves the address space",
            _ when run.Address < end => "overlaps the run before, or lies before it",
            _ => null,
        };
        if (problem is not null)
        {
            string sentence = $"the run of {run.Pages} pages at 0x{run.Address:x} {problem}; the map is damaged";
            throw new ImageFormatException(fileName, -1, ImageDiagnostic.BadPageMap, sentence);
        }
    }
}
