namespace Firn.Images;

/// <summary>Upper bounds for every size and count that is read from a file.</summary>
/// <remarks>
/// A set may come from anywhere. With these, a broken or hostile file costs an exception and never all memory; each bound is far above what
/// a real set needs.
/// </remarks>
public static class ImageLimits
{
    /// <summary>The largest message, in bytes. A million mappings need about 60 MiB, and nothing else comes near.</summary>
    public const int MaxMessageBytes = 64 << 20;

    /// <summary>The most entries in one file.</summary>
    public const int MaxEntries = 1 << 24;

    /// <summary>The most pages that one page map may describe: what the largest file offset can reach.</summary>
    public const ulong MaxPages = 1UL << (63 - PageMap.PageShift);

    /// <summary>The largest image that is put into JSON, in bytes, and so the largest payload.</summary>
    public const int MaxJsonImageBytes = 96 << 20;

    /// <summary>The most JSON text that is written or read, in characters.</summary>
    public const int MaxJsonCharacters = 512 << 20;

    /// <summary>How deep JSON may nest. Messages nest up to 100 deep, with up to two levels of JSON for each.</summary>
    public const int MaxJsonDepth = 256;
}
