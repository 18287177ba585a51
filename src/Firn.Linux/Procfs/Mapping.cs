using Firn.Linux.Abi;

namespace Firn.Linux.Procfs;

/// <summary>One mapping of an address space: a line of /proc/PID/maps.</summary>
/// <remarks>Kernel: fs/proc/task_mmu.c, show_map_vma(); proc_pid_maps(5).</remarks>
public sealed class Mapping
{
    private const string DeletedSuffix = " (deleted)";

    /// <summary>The first address.</summary>
    public ulong Start { get; init; }

    /// <summary>The address behind the last one.</summary>
    public ulong End { get; init; }

    /// <summary>The size in bytes.</summary>
    public ulong Length => End - Start;

    /// <summary>Where in the file it begins, in bytes.</summary>
    public ulong Offset { get; init; }

    /// <summary>What may be done with its pages.</summary>
    public ProtectionFlags Protection { get; init; }

    /// <summary>Whether others see what is written (VM_MAYSHARE).</summary>
    public bool Shared { get; init; }

    /// <summary>The major number of the file's device. On btrfs and overlayfs stat(2) may show another one.</summary>
    public uint DevMajor { get; init; }

    /// <summary>The minor number of the file's device.</summary>
    public uint DevMinor { get; init; }

    /// <summary>The file's inode number; 0 for private anonymous memory.</summary>
    public ulong Inode { get; init; }

    /// <summary>
    /// The path as it is seen from the root of the reader, a name in brackets, or the empty string. A newline is decoded from <c>\012</c>;
    /// a name that has those four characters itself can't be told from it. Where it matters, <c>/proc/PID/map_files</c> has the exact name.
    /// </summary>
    public string Name { get; init; } = string.Empty;

    /// <summary>Whether the name says that the file was unlinked. A file may also be *called* so: the link count decides.</summary>
    public bool Deleted => Name.EndsWith(DeletedSuffix, StringComparison.Ordinal);

    /// <summary>The name without " (deleted)".</summary>
    public string NameBeforeDeletion => Deleted ? Name[..^DeletedSuffix.Length] : Name;

    /// <summary>Whether a file stands behind it; shared anonymous memory, memfd and System V segments are such files too.</summary>
    public bool HasFile => Inode != 0 || Name.StartsWith("/SYSV", StringComparison.Ordinal);

    /// <summary>Whether it has the name that the kernel gives to special mappings, such as <c>[vdso]</c> or <c>[heap]</c>.</summary>
    public bool IsNamed(string name) => string.Equals(Name, name, StringComparison.Ordinal);

    /// <inheritdoc/>
    public override string ToString() => $"{Start:x}-{End:x} {Name}";
}
