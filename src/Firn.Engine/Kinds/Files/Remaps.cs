using Firn.Engine.Tree;
using Firn.Images;

namespace Firn.Engine.Kinds.Files;

/// <summary>remap-fpath.img by file id: what stands in for lost names.</summary>
internal sealed class Remaps
{
    // In images of before 1.7 a bit of the id told a ghost from a link.
    private const uint GhostBit = 1u << 31;

    private Dictionary<uint, RemapFilePathEntry>? byId;

    /// <summary>The remap of a file, or null.</summary>
    public RemapFilePathEntry? Of(RestoreContext context, uint id)
    {
        byId ??= context.Images.All<RemapFilePathEntry>(ImageKind.RemapFpath).ToDictionary(remap => remap.OrigId);
        return byId.GetValueOrDefault(id);
    }

    /// <summary>The type, also of old entries that have none.</summary>
    public static RemapType TypeOf(RemapFilePathEntry remap)
        => remap.HasRemapType ? remap.RemapType : (remap.RemapId & GhostBit) != 0 ? RemapType.Ghost : RemapType.Linked;

    /// <summary>The id that the remap leads to.</summary>
    public static uint IdOf(RemapFilePathEntry remap) => remap.HasRemapType ? remap.RemapId : remap.RemapId & ~GhostBit;
}

/// <summary>Entries of regular files that are only the path of another entry: of a FIFO or a terminal.</summary>
internal sealed class Companions
{
    private HashSet<uint>? ids;

    /// <summary>Whether an entry is one.</summary>
    public bool Contains(RestoreContext context, uint id)
    {
        ids ??= [.. context.Files.Entries.Values.Select(entry => entry.Fifo?.RegfId ?? entry.Tty?.RegfId ?? 0)];
        return ids.Contains(id);
    }
}
