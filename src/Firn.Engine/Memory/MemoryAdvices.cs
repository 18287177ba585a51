using Firn.Linux.Procfs;

namespace Firn.Engine.Memory;

/// <summary>The VmFlags of a process, and the mappings that they were read with.</summary>
/// <remarks>
/// smaps is the dearest file of a dump, since the kernel walks all page tables for it. Read before the freeze, it serves the dump if the
/// mappings are the very same afterwards. What that can miss is a madvise(2) in between that changed no mapping's bounds.
/// </remarks>
internal sealed class MemoryAdvices
{
    private readonly Dictionary<ulong, MappingFlags> flags;
    private readonly List<Mapping> mappings;

    private MemoryAdvices(List<MappingFlags> flags, List<Mapping> mappings)
    {
        this.mappings = mappings;
        this.flags = new Dictionary<ulong, MappingFlags>(flags.Count);
        foreach (MappingFlags entry in flags)
        {
            this.flags[entry.Start] = entry;
        }
    }

    /// <summary>Reads them, for mappings that were read before.</summary>
    public static MemoryAdvices Read(int pid, List<Mapping> mappings) => new(Smaps.Read(pid), mappings);

    /// <summary>Whether the process still has the same mappings, Firn's own aside.</summary>
    public bool AreOf(List<Mapping> now)
    {
        if (now.Count != mappings.Count)
        {
            return false;
        }

        for (int i = 0; i < now.Count; i++)
        {
            Mapping a = now[i];
            Mapping b = mappings[i];
            if (a.Start != b.Start
                || a.End != b.End
                || a.Protection != b.Protection
                || a.Shared != b.Shared
                || a.Inode != b.Inode
                || a.Offset != b.Offset)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The flags of a mapping; none if it isn't known.</summary>
    public VmFlags Of(Mapping mapping)
        => flags.TryGetValue(mapping.Start, out MappingFlags entry) && entry.End == mapping.End ? entry.Flags : VmFlags.None;
}
