using System.Buffers.Binary;
using Firn.Engine.Kinds.Files;
using Xunit;

namespace Firn.Engine.Tests;

public sealed class BuildIdTests
{
    private const int NoteOffset = 64 + 56;

    [Fact]
    public void The_build_id_is_found_behind_another_note()
    {
        byte[] file = Elf(Note(1, "GNU\0"u8, 16), Note(3, "GNU\0"u8, 20));
        uint[] id = BuildId.Find(Reader(file));
        Assert.Equal([0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c, 0x13121110], id);
    }

    [Fact]
    public void A_file_that_is_no_ELF_file_has_none() => Assert.Empty(BuildId.Find(Reader(new byte[4096])));

    [Fact]
    public void A_file_that_is_cut_anywhere_has_none_or_the_whole_one()
    {
        byte[] file = Elf(Note(3, "GNU\0"u8, 20));
        for (int length = 0; length < file.Length; length++)
        {
            Assert.Empty(BuildId.Find(Reader(file[..length])));
        }
    }

    [Fact]
    public void Sizes_that_can_not_be_are_survived()
    {
        byte[] file = Elf(Note(3, "GNU\0"u8, 20));
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(NoteOffset + 4), uint.MaxValue);
        Assert.Empty(BuildId.Find(Reader(file)));
    }

    private static BuildId.ReadAt Reader(byte[] file) => (offset, buffer) =>
    {
        int count = (int)Math.Clamp(file.Length - offset, 0, buffer.Length);
        file.AsSpan((int)Math.Min(offset, file.Length), count).CopyTo(buffer);
        return count;
    };

    private static byte[] Note(uint type, ReadOnlySpan<byte> name, int size)
    {
        byte[] note = new byte[12 + name.Length + size];
        BinaryPrimitives.WriteInt32LittleEndian(note, name.Length);
        BinaryPrimitives.WriteInt32LittleEndian(note.AsSpan(4), size);
        BinaryPrimitives.WriteUInt32LittleEndian(note.AsSpan(8), type);
        name.CopyTo(note.AsSpan(12));
        for (int i = 0; i < size; i++)
        {
            note[12 + name.Length + i] = (byte)i;
        }

        return note;
    }

    private static byte[] Elf(params byte[][] notes)
    {
        byte[] body = [.. notes.SelectMany(note => note)];
        byte[] file = new byte[NoteOffset + body.Length];
        "\u007fELF\u0002\u0001"u8.CopyTo(file);
        BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(32), 64);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(54), 56);
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(56), 1);
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(64), 4);
        BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(64 + 8), NoteOffset);
        BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(64 + 32), body.Length);
        body.CopyTo(file, NoteOffset);
        return file;
    }
}
