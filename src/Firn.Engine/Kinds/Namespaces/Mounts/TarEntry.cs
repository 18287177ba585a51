using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>A member of an archive: a file of a tmpfs.</summary>
internal sealed class TarEntry
{
    /// <summary>Its path from the root of the file system, without a slash before or behind; empty for the root itself.</summary>
    public required byte[] Path { get; init; }

    /// <summary>Type and permissions, as in st_mode. Of a hard link only the target counts.</summary>
    public uint Mode { get; init; }

    /// <summary>The owner, as the tree's user namespace has it.</summary>
    public uint Uid { get; init; }

    /// <summary>The group, so too.</summary>
    public uint Gid { get; init; }

    /// <summary>The size of a file in bytes, holes included.</summary>
    public long Size { get; init; }

    /// <summary>When it was last changed.</summary>
    public Timespec Modified { get; init; }

    /// <summary>The number of a device.</summary>
    public ulong Device { get; init; }

    /// <summary>What a symbolic link says, or the path of the file that a hard link is another name of.</summary>
    public byte[] Target { get; init; } = [];

    /// <summary>Whether it is another name of a file that came before.</summary>
    public bool IsHardLink { get; init; }

    /// <summary>Its extended attributes.</summary>
    public IReadOnlyList<(string Name, byte[] Value)> Attributes { get; init; } = [];

    /// <summary>
    /// The parts of a file that are no holes, in order. But for its end they lie at multiples of 512: file systems know no smaller holes.
    /// </summary>
    public IReadOnlyList<(long Start, long End)> Data { get; init; } = [];

    /// <summary>The type bits of the mode.</summary>
    public uint Type => Mode & InodeMode.S_IFMT;
}
