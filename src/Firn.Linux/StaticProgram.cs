using System.Buffers.Binary;

namespace Firn.Linux;

/// <summary>A static ELF of one read-only, executable segment, in a memfd: a program of a few instructions.</summary>
/// <remarks>elf(5). Its stack is not executable.</remarks>
public static class StaticProgram
{
    /// <summary>Where the file is loaded.</summary>
    public const ulong LoadAddress = 0x10000;

    /// <summary>Where the code begins, in memory: it is entered there.</summary>
    public const ulong CodeAddress = LoadAddress + HeaderSize + (2 * ProgramHeaderSize);

    private const int HeaderSize = 64;
    private const int ProgramHeaderSize = 56;

    /// <summary>Makes the file.</summary>
    /// <param name="name">The name of the memfd.</param>
    /// <param name="code">Code, and data behind it.</param>
    /// <returns>The descriptor, close-on-exec.</returns>
    public static Fd Make(string name, ReadOnlySpan<byte> code)
    {
        var fd = new Fd(Sys.MemfdCreate(name, 1).OrThrow($"memfd_create({name})").Int32);
        byte[] elf = new byte[(int)(CodeAddress - LoadAddress) + ((code.Length + 15) & ~15)];
        Span<byte> header = elf;
        ReadOnlySpan<byte> identification = [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        identification.CopyTo(header);
        BinaryPrimitives.WriteUInt16LittleEndian(header[16..], 2); // ET_EXEC
        BinaryPrimitives.WriteUInt16LittleEndian(header[18..], 62); // EM_X86_64
        BinaryPrimitives.WriteUInt32LittleEndian(header[20..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], CodeAddress);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], HeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(header[52..], HeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(header[54..], ProgramHeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(header[56..], 2);
        WriteProgramHeader(header[HeaderSize..], 1, 5, LoadAddress, (ulong)elf.Length); // PT_LOAD, read and execute
        WriteProgramHeader(header[(HeaderSize + ProgramHeaderSize)..], 0x6474e551, 6, 0, 0); // PT_GNU_STACK, read and write
        code.CopyTo(header[(int)(CodeAddress - LoadAddress)..]);
        Sys.Write(fd.Number, elf).OrThrow($"write({name})");
        return fd;
    }

    private static void WriteProgramHeader(Span<byte> header, uint type, uint flags, ulong address, ulong size)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], flags);
        BinaryPrimitives.WriteUInt64LittleEndian(header[16..], address);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], address);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], size);
        BinaryPrimitives.WriteUInt64LittleEndian(header[40..], size);
        BinaryPrimitives.WriteUInt64LittleEndian(header[48..], Kernel.PageSize);
    }
}
