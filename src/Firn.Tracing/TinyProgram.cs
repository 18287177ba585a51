using System.Buffers.Binary;
using Firn.Linux;

namespace Firn.Tracing;

/// <summary>A static ELF program of a page or so, made in a memfd: what a process of Firn's executes that is to hold nothing
/// else.</summary>
internal static class TinyProgram
{
    /// <summary>Where its file is loaded.</summary>
    public const ulong LoadAddress = 0x10000;

    /// <summary>Where in its file the code begins, at which it starts.</summary>
    public const int CodeOffset = HeaderSize + (2 * ProgramHeaderSize);

    private const int HeaderSize = 64;
    private const int ProgramHeaderSize = 56;

    /// <summary>Makes the file.</summary>
    /// <param name="name">Its name in /proc.</param>
    /// <param name="content">Code, and data behind it.</param>
    /// <param name="isWritable">Whether the program may write to its own memory.</param>
    /// <exception cref="LinuxException">It can't be made.</exception>
    public static Fd Make(string name, ReadOnlySpan<byte> content, bool isWritable)
    {
        var fd = new Fd(Sys.MemfdCreate(name, 1).OrThrow($"memfd_create({name})").Int32);
        byte[] elf = new byte[CodeOffset + content.Length];
        Span<byte> header = elf;
        ReadOnlySpan<byte> identification = [0x7f, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1];
        identification.CopyTo(header);
        BinaryPrimitives.WriteUInt16LittleEndian(header[16..], 2); // ET_EXEC
        BinaryPrimitives.WriteUInt16LittleEndian(header[18..], 62); // EM_X86_64
        BinaryPrimitives.WriteUInt32LittleEndian(header[20..], 1);
        BinaryPrimitives.WriteUInt64LittleEndian(header[24..], LoadAddress + CodeOffset);
        BinaryPrimitives.WriteUInt64LittleEndian(header[32..], HeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(header[52..], HeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(header[54..], ProgramHeaderSize);
        BinaryPrimitives.WriteUInt16LittleEndian(header[56..], 2);
        WriteProgramHeader(header[HeaderSize..], 1, isWritable ? 7u : 5u, LoadAddress, (ulong)elf.Length); // PT_LOAD
        WriteProgramHeader(header[(HeaderSize + ProgramHeaderSize)..], 0x6474e551, 6, 0, 0); // PT_GNU_STACK, read and write
        content.CopyTo(header[CodeOffset..]);
        SysResult written = Sys.Write(fd.Number, elf);
        if (written.IsError)
        {
            fd.Dispose();
            written.OrThrow($"write({name})");
        }

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
