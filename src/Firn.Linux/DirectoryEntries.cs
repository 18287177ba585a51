using System.Buffers.Binary;

namespace Firn.Linux;

/// <summary>One entry of a directory, as getdents64(2) gives it; its name lies in the buffer that was read.</summary>
public readonly ref struct DirectoryEntry
{
    internal DirectoryEntry(ulong inode, byte type, ReadOnlySpan<byte> name)
    {
        Inode = inode;
        Type = type;
        Name = name;
    }

    /// <summary>The inode number.</summary>
    public ulong Inode { get; }

    /// <summary>DT_*: st_mode's type shifted right by 12, or 0 if the file system doesn't say.</summary>
    public byte Type { get; }

    /// <summary>The name's bytes, without a terminator.</summary>
    public ReadOnlySpan<byte> Name { get; }
}

/// <summary>Walks over a run of struct linux_dirent64 (getdents64(2)): for use with foreach.</summary>
/// <param name="entries">What <see cref="Sys.GetDents64"/> read.</param>
public ref struct DirectoryEntries(ReadOnlySpan<byte> entries)
{
    private const int NameOffset = 19;

    private ReadOnlySpan<byte> rest = entries;

    /// <summary>The entry at hand.</summary>
    public DirectoryEntry Current { get; private set; }

    /// <summary>Gives itself: the pattern of foreach.</summary>
    public readonly DirectoryEntries GetEnumerator() => this;

    /// <summary>Goes on to the next entry; false at the end.</summary>
    public bool MoveNext()
    {
        if (rest.Length < NameOffset)
        {
            return false;
        }

        int length = BinaryPrimitives.ReadUInt16LittleEndian(rest[16..]);
        ReadOnlySpan<byte> name = rest[NameOffset..length];
        Current = new DirectoryEntry(BinaryPrimitives.ReadUInt64LittleEndian(rest), rest[18], name[..name.IndexOf((byte)0)]);
        rest = rest[length..];
        return true;
    }
}
