using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux.Procfs;

/// <summary>A run of pages that PAGEMAP_SCAN found.</summary>
/// <param name="Start">The first address.</param>
/// <param name="End">The address behind the last one.</param>
/// <param name="IsGuard">Whether they are guard pages (MADV_GUARD_INSTALL) and not content.</param>
public readonly record struct ScannedPages(ulong Start, ulong End, bool IsGuard);

/// <summary>/proc/PID/pagemap: which pages of an address space there are, and by which frames.</summary>
/// <remarks>Kernel: fs/proc/task_mmu.c; ioctl_pagemap_scan(2), Documentation/admin-guide/mm/pagemap.rst.</remarks>
public sealed class Pagemap : IDisposable
{
    /// <summary>The bits of an entry that say where the page is: frame or place in the swap, and which of the two.</summary>
    public const ulong PlaceMask = Present | Swapped | FrameMask;

    /// <summary>The bits of an entry that hold the frame; 0 for a reader without CAP_SYS_ADMIN.</summary>
    public const ulong FrameMask = (1UL << 55) - 1;

    /// <summary>The bit of an entry that says that no other address space has the page.</summary>
    public const ulong Exclusive = 1UL << 56;

    private const ulong Present = 1UL << 63;
    private const ulong Swapped = 1UL << 62;
    private const int VectorLength = 4096;
    private const PageCategories NotOwn = PageCategories.PAGE_IS_FILE | PageCategories.PAGE_IS_PFNZERO;

    [ThreadStatic]
    private static PageRegion[]? buffer;

    private readonly Fd fd;

    private Pagemap(Fd fd) => this.fd = fd;

    /// <summary>Opens the page map of a process.</summary>
    /// <exception cref="LinuxException">It can't be opened.</exception>
    public static Pagemap Open(int pid) => new(Sys.Open($"/proc/{pid}/pagemap", OpenFlags.O_RDONLY));

    /// <summary>
    /// Finds the pages that are an address space's own: not those of a file's page cache, not the zero page; in memory or swapped out.
    /// Guard pages are given too, marked as such.
    /// </summary>
    /// <param name="start">The first address.</param>
    /// <param name="end">The address behind the last one.</param>
    /// <param name="found">Where the runs are added, by ascending address.</param>
    /// <exception cref="LinuxException">The kernel can't: PAGEMAP_SCAN came with Linux 6.7.</exception>
    public void Scan(ulong start, ulong end, List<ScannedPages> found)
    {
        // Guard pages look like swapped ones, and reading them is EFAULT. The category came with Linux 6.15.
        SysResult result = Scan(start, end, PageCategories.PAGE_IS_FILE | PageCategories.PAGE_IS_GUARD, found);
        if (result.Errno == Errno.EINVAL)
        {
            result = Scan(start, end, PageCategories.PAGE_IS_FILE, found);
        }

        result.OrThrow($"ioctl({fd}, PAGEMAP_SCAN)");
    }

    /// <summary>Reads the entries of a run of pages, 8 bytes each.</summary>
    /// <exception cref="LinuxException">They can't be read.</exception>
    public void ReadEntries(ulong address, Span<ulong> entries)
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(entries);
        long offset = (long)(address / Kernel.PageSize * sizeof(ulong));
        while (bytes.Length > 0)
        {
            int read = Sys.Pread(fd.Number, bytes, offset).OrThrow($"pread({fd}, pagemap, {address:x})").Int32;
            if (read == 0)
            {
                bytes.Clear();
                return;
            }

            bytes = bytes[read..];
            offset += read;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => fd.Dispose();

    private SysResult Scan(ulong start, ulong end, PageCategories returned, List<ScannedPages> found)
    {
        PageRegion[] regions = buffer ??= new PageRegion[VectorLength];
        while (start < end)
        {
            PmScanArg arguments = new()
            {
                start = start,
                end = end,
                category_inverted = NotOwn,
                category_mask = NotOwn,
                category_anyof_mask = PageCategories.PAGE_IS_PRESENT | PageCategories.PAGE_IS_SWAPPED,
                return_mask = returned,
            };
            SysResult result = Sys.PagemapScan(fd.Number, ref arguments, regions);
            if (result.IsError)
            {
                return result;
            }

            foreach (PageRegion region in regions.AsSpan(0, result.Int32))
            {
                found.Add(new ScannedPages(region.start, region.end, (region.categories & PageCategories.PAGE_IS_GUARD) != 0));
            }

            // walk_end is only right where there was no room for more: at the end of the walk it is that of an inner step, behind which
            // pages have been given already (do_pagemap_scan(), which works through 512 regions at a time).
            if (result.Int32 < regions.Length)
            {
                break;
            }

            start = Math.Max(arguments.walk_end, regions[^1].end);
        }

        return default;
    }
}
