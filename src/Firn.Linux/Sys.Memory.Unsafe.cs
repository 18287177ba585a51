using Firn.Linux.Abi;

namespace Firn.Linux;

public static unsafe partial class Sys
{
    /// <summary>PAGEMAP_SCAN on a descriptor of /proc/PID/pagemap: which pages of a range are what (ioctl_pagemap_scan(2)).</summary>
    /// <param name="pagemap">The descriptor.</param>
    /// <param name="arguments">Range, flags and categories; size and vector are filled in, and walk_end tells where the scan ended.</param>
    /// <param name="regions">Room for what is found: when it is full, go on from walk_end.</param>
    /// <returns>How many regions were found.</returns>
    public static SysResult PagemapScan(int pagemap, ref PmScanArg arguments, Span<PageRegion> regions)
    {
        // SAFETY: the kernel writes no more regions than fit, during the call alone.
        fixed (PageRegion* vector = regions)
        {
            arguments.size = (ulong)sizeof(PmScanArg);
            arguments.vec = (ulong)vector;
            arguments.vec_len = (ulong)regions.Length;
            SysResult result = Ioctl(pagemap, Abi.PagemapScan.PAGEMAP_SCAN, ref arguments);
            arguments.vec = 0;
            return result;
        }
    }
}
