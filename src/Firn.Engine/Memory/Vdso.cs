using System.Buffers.Binary;

namespace Firn.Engine.Memory;

/// <summary>The kernel's shared object in each process (vdso(7)): whether one stands for another.</summary>
/// <remarks>
/// A program may have addresses of its functions in hand, or be in the midst of one. So what counts is that each function lies where it
/// lay, with the same code; build id, notes and strings may differ, and do between builds of one kernel.
/// </remarks>
internal static class Vdso
{
    private const int SectionHeaderSize = 64;
    private const ulong SHF_EXECINSTR = 4;
    private const uint SHT_DYNSYM = 11;

    /// <summary>
    /// Whether two have the same code and the same functions at the same places. Bytes that are no ELF file are the same only if equal.
    /// </summary>
    public static bool IsSame(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        if (first.SequenceEqual(second))
        {
            return true;
        }

        if (first.Length != second.Length || !TrySections(first, out List<Section> one) || !TrySections(second, out List<Section> other))
        {
            return false;
        }

        if (one.Count == 0 || one.Count != other.Count)
        {
            return false;
        }

        for (int i = 0; i < one.Count; i++)
        {
            Section section = one[i];
            if (section != other[i] || !section.Of(first).SequenceEqual(section.Of(second)))
            {
                return false;
            }
        }

        return true;
    }

    // Those that hold code, and the table of functions.
    private static bool TrySections(ReadOnlySpan<byte> elf, out List<Section> sections)
    {
        sections = [];
        if (elf.Length < SectionHeaderSize || BinaryPrimitives.ReadUInt32BigEndian(elf) != 0x7f454c46)
        {
            return false;
        }

        ulong table = BinaryPrimitives.ReadUInt64LittleEndian(elf[40..]);
        int count = BinaryPrimitives.ReadUInt16LittleEndian(elf[60..]);
        if (table > (ulong)elf.Length || ((ulong)elf.Length - table) / SectionHeaderSize < (ulong)count)
        {
            return false;
        }

        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> header = elf[((int)table + (i * SectionHeaderSize))..];
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
            ulong flags = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
            ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(header[24..]);
            ulong size = BinaryPrimitives.ReadUInt64LittleEndian(header[32..]);
            if ((flags & SHF_EXECINSTR) == 0 && type != SHT_DYNSYM)
            {
                continue;
            }

            if (offset > (ulong)elf.Length || size > (ulong)elf.Length - offset)
            {
                return false;
            }

            sections.Add(new Section((int)offset, (int)size));
        }

        return true;
    }

    private readonly record struct Section(int Offset, int Size)
    {
        public ReadOnlySpan<byte> Of(ReadOnlySpan<byte> elf) => elf.Slice(Offset, Size);
    }
}
