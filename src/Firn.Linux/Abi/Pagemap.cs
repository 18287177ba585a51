using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Categories of pages in PAGEMAP_SCAN (include/uapi/linux/fs.h; ioctl_pagemap_scan(2)).</summary>
[Flags]
public enum PageCategories : ulong
{
    None = 0,
    PAGE_IS_WPALLOWED = 1 << 0,
    PAGE_IS_WRITTEN = 1 << 1,
    PAGE_IS_FILE = 1 << 2,
    PAGE_IS_PRESENT = 1 << 3,
    PAGE_IS_SWAPPED = 1 << 4,
    PAGE_IS_PFNZERO = 1 << 5,
    PAGE_IS_HUGE = 1 << 6,
    PAGE_IS_SOFT_DIRTY = 1 << 7,
    PAGE_IS_GUARD = 1 << 8,
}

/// <summary>Flags and number of PAGEMAP_SCAN (include/uapi/linux/fs.h).</summary>
public static class PagemapScan
{
    public const ulong PM_SCAN_WP_MATCHING = 1;
    public const ulong PM_SCAN_CHECK_WPASYNC = 2;
    public const uint PAGEMAP_SCAN = 0xC0606610;
}

/// <summary>struct page_region (include/uapi/linux/fs.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct PageRegion
{
    public ulong start;
    public ulong end;
    public PageCategories categories;
}

/// <summary>struct pm_scan_arg (include/uapi/linux/fs.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct PmScanArg
{
    public ulong size;
    public ulong flags;
    public ulong start;
    public ulong end;
    public ulong walk_end;
    public ulong vec;
    public ulong vec_len;
    public ulong max_pages;
    public PageCategories category_inverted;
    public PageCategories category_mask;
    public PageCategories category_anyof_mask;
    public PageCategories return_mask;
}
