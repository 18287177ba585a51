using System.Buffers.Binary;
using Firn.Linux;

namespace Firn.Engine.Kinds.Files;

/// <summary>The build id of an ELF file: by it a restore notices that a program or library was replaced.</summary>
/// <remarks>elf(5), NT_GNU_BUILD_ID. What is no ELF file of 64 or 32 bits, or has no such note, has no build id.</remarks>
internal static class BuildId
{
    private const int HeaderSize = 64;
    private const uint PT_NOTE = 4;
    private const uint NT_GNU_BUILD_ID = 3;
    private const int MaxNotes = 64 * 1024;
    private const int MaxSegments = 512;

    /// <summary>Reads bytes of a file at an offset and gives how many there were.</summary>
    internal delegate int ReadAt(long offset, Span<byte> buffer);

    /// <summary>Reads the build id of an open file as words, as images have it; none if the file has none.</summary>
    public static uint[] Read(int fd)
        => Find((offset, buffer) => Sys.Pread(fd, buffer, offset) is { IsError: false } read ? read.Int32 : 0);

    /// <summary>Finds the build id in a file that is read through a function.</summary>
    internal static uint[] Find(ReadAt read)
    {
        Span<byte> header = stackalloc byte[HeaderSize];
        if (read(0, header) < HeaderSize || header[0] != 0x7f || !header[1..].StartsWith("ELF"u8) || header[5] != 1)
        {
            return [];
        }

        bool wide = header[4] == 2;
        long table = wide ? BinaryPrimitives.ReadInt64LittleEndian(header[32..]) : BinaryPrimitives.ReadUInt32LittleEndian(header[28..]);
        int size = BinaryPrimitives.ReadUInt16LittleEndian(header[(wide ? 54 : 42)..]);
        int count = Math.Min(BinaryPrimitives.ReadUInt16LittleEndian(header[(wide ? 56 : 44)..]), (ushort)MaxSegments);
        if (size < (wide ? 56 : 32) || table <= 0)
        {
            return [];
        }

        byte[] segments = new byte[size * count];
        if (read(table, segments) < segments.Length)
        {
            return [];
        }

        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> segment = segments.AsSpan(i * size, size);
            if (BinaryPrimitives.ReadUInt32LittleEndian(segment) != PT_NOTE)
            {
                continue;
            }

            long offset = wide
                ? BinaryPrimitives.ReadInt64LittleEndian(segment[8..])
                : BinaryPrimitives.ReadUInt32LittleEndian(segment[4..]);
            long length = wide
                ? BinaryPrimitives.ReadInt64LittleEndian(segment[32..])
                : BinaryPrimitives.ReadUInt32LittleEndian(segment[16..]);
            byte[] notes = new byte[Math.Clamp(length, 0, MaxNotes)];
            if (offset >= 0 && read(offset, notes) == notes.Length && FindNote(notes) is { Length: > 0 } id)
            {
                return id;
            }
        }

        return [];
    }

    private static uint[] FindNote(ReadOnlySpan<byte> notes)
    {
        while (notes.Length >= 12)
        {
            long nameSize = BinaryPrimitives.ReadUInt32LittleEndian(notes);
            long size = BinaryPrimitives.ReadUInt32LittleEndian(notes[4..]);
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(notes[8..]);
            long start = 12 + Align(nameSize);
            long next = start + Align(size);
            if (next > notes.Length)
            {
                return [];
            }

            if (type == NT_GNU_BUILD_ID && nameSize == 4 && notes[12..].StartsWith("GNU\0"u8))
            {
                ReadOnlySpan<byte> bytes = notes[(int)start..(int)next];
                uint[] words = new uint[bytes.Length / 4];
                for (int i = 0; i < words.Length; i++)
                {
                    words[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes[(i * 4)..]);
                }

                return words;
            }

            notes = notes[(int)next..];
        }

        return [];
    }

    private static long Align(long size) => (size + 3) & ~3L;
}
