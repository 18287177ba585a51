namespace Firn.Engine.Memory;

/// <summary>What a dump knows of the memory of a tree: kept in <see cref="Tree.OpenFileTable.State"/>.</summary>
internal sealed class MemoryDumpState
{
    private uint lastPagesId;

    /// <summary>The mappings of System V segments in the namespace that Firn is in.</summary>
    public List<(Tree.DumpedTask Task, Linux.Procfs.Mapping Mapping)> Segments { get; } = [];

    /// <summary>Bytes of pages that wait in Firn's memory for their files.</summary>
    public long Kept { get; set; }

    /// <summary>The next id of a pages file.</summary>
    public uint NextPagesId() => ++lastPagesId;
}
