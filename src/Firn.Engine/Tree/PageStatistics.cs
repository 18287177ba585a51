namespace Firn.Engine.Tree;

/// <summary>Counts of a dump's pages, of 4 KiB each.</summary>
internal sealed class PageStatistics
{
    /// <summary>Pages that were found to be saved, by tasks and shared objects of their own.</summary>
    public long Scanned { get; set; }

    /// <summary>Pages written.</summary>
    public long Written { get; set; }

    /// <summary>Pages not written, because an ancestor's image holds the very same page.</summary>
    public long Shared { get; set; }

    /// <summary>Time to find out which pages there are.</summary>
    public TimeSpan ScanTime { get; set; }

    /// <summary>Time to write them.</summary>
    public TimeSpan WriteTime { get; set; }
}
