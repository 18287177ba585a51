namespace Firn.Engine;

/// <summary>A resource that is somebody else's business (`--external`): the dump leaves it out, the restore joins it again.</summary>
/// <remarks>
/// CRIU's grammar: `mnt[MOUNTPOINT]:KEY` at the dump and `mnt[KEY]:PATH` at the restore, `net[INODE]:KEY`, `pid[INODE]:KEY`,
/// `file[MOUNT:INODE]`, `tty[RDEV:DEV]` (hexadecimal), `unix[INODE]`, `dev[MAJOR/MINOR]:KEY`, `veth[INSIDE]:OUTSIDE@BRIDGE`,
/// `macvlan[INSIDE]:OUTSIDE`, `pipe:[INODE]`. A KEY is what `--inherit-fd` names at the restore.
/// </remarks>
/// <param name="Type">The word before the bracket, as `mnt`.</param>
/// <param name="Id">What stands in the brackets.</param>
/// <param name="Value">What stands behind them, or null.</param>
public sealed record ExternalResource(string Type, string Id, string? Value)
{
    /// <summary>Understands one resource.</summary>
    /// <returns>False if it is of another form.</returns>
    public static bool TryParse(string text, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out ExternalResource? resource)
    {
        ArgumentNullException.ThrowIfNull(text);
        resource = null;
        int open = text.IndexOf('[', StringComparison.Ordinal);
        if (open <= 0)
        {
            return false;
        }

        // A path may have brackets in it: the last one that ends the text or stands before a colon closes, but for a mount point
        // the first, since its value is a path too.
        int close = text.IndexOf("]:", open, StringComparison.Ordinal);
        close = close >= 0 ? close : text.EndsWith(']') ? text.Length - 1 : -1;
        if (close < 0)
        {
            return false;
        }

        // Links of /proc/PID/fd have a colon before the bracket: `pipe:[17]`.
        string type = text[..open].TrimEnd(':');
        string? value = close + 2 <= text.Length && close + 1 < text.Length ? text[(close + 2)..] : null;
        if (type.Length == 0 || type.Any(letter => !char.IsAsciiLetterLower(letter)))
        {
            return false;
        }

        resource = new ExternalResource(type, text[(open + 1)..close], value);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Type}[{Id}]{(Value is null ? string.Empty : ":" + Value)}";
}

/// <summary>All resources that are somebody else's business.</summary>
/// <param name="resources">The resources.</param>
public sealed class ExternalResources(IEnumerable<ExternalResource> resources)
{
    private readonly List<ExternalResource> all = [.. resources];

    /// <summary>Nothing is external.</summary>
    public static ExternalResources None { get; } = new([]);

    /// <summary>All of them, in the order in which they were named.</summary>
    public IReadOnlyList<ExternalResource> All => all;

    /// <summary>Whether mounts that come from outside are to be found by Firn itself (`mnt[]`, `--ext-mount-map auto`).</summary>
    public bool FindsMounts => FindMountFlags() is not null;

    /// <summary>Whether mounts so found may share with the outside (`mnt[]:s`, `--enable-external-sharing`).</summary>
    public bool AllowsSharedMounts => FindMountFlags()?.Contains('s', StringComparison.Ordinal) ?? false;

    /// <summary>Whether mounts so found may have a master outside (`mnt[]:m`, `--enable-external-masters`).</summary>
    public bool AllowsMasterMounts => FindMountFlags()?.Contains('m', StringComparison.Ordinal) ?? false;

    /// <summary>Those of a type.</summary>
    public IEnumerable<ExternalResource> OfType(string type) => all.Where(one => one.Type == type);

    /// <summary>The one of a type with an id; null if it isn't external. The last that was named wins.</summary>
    public ExternalResource? Find(string type, string id) => all.FindLast(one => one.Type == type && one.Id == id);

    /// <summary>Whether the resource of a type with an id is external.</summary>
    public bool Contains(string type, string id) => Find(type, id) is not null;

    /// <summary>These and more.</summary>
    public ExternalResources With(IEnumerable<ExternalResource> more) => new(all.Concat(more));

    private string? FindMountFlags() => Find("mnt", string.Empty) is { } found ? found.Value ?? string.Empty : null;
}
