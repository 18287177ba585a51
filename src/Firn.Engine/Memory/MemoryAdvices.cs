using Firn.Linux.Procfs;

namespace Firn.Engine.Memory;

/// <summary>The VmFlags of a process.</summary>
/// <remarks>
/// smaps is the dearest file of a dump, since the kernel walks all page tables for it; where that is much, see <see cref="FlagWords"/>.
/// It is read while the process stands still all the same: a madvise(2) or mlock(2) that changes no mapping's bounds is seen nowhere else.
/// </remarks>
internal sealed class MemoryAdvices
{
    private readonly Dictionary<ulong, MappingFlags> flags;

    /// <summary>Takes flags that are known.</summary>
    public MemoryAdvices(List<MappingFlags> flags)
    {
        this.flags = new Dictionary<ulong, MappingFlags>(flags.Count);
        foreach (MappingFlags entry in flags)
        {
            this.flags[entry.Start] = entry;
        }
    }

    /// <summary>Reads them.</summary>
    public static MemoryAdvices Read(int pid) => new(Smaps.Read(pid));

    /// <summary>The flags of a mapping; none if it isn't known.</summary>
    public MappingFlags Of(Mapping mapping)
        => flags.TryGetValue(mapping.Start, out MappingFlags entry) && entry.End == mapping.End
            ? entry
            : new MappingFlags(mapping.Start, mapping.End, VmFlags.None);
}
