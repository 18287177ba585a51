using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>A mapping and the kernel's own word of its flags.</summary>
/// <param name="Start">The first address.</param>
/// <param name="End">The address behind the last one.</param>
/// <param name="Word">vm_flags. What its bits mean is the kernel's affair; mappings with one word have one VmFlags line in smaps.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct MappingWord(ulong Start, ulong End, ulong Word);

/// <summary>
/// Reads the flags of mappings without a walk through page tables, by a BPF program that the kernel runs for each mapping.
/// </summary>
/// <remarks>
/// <para>
/// kernel/bpf/task_iter.c, task_vma; for one process since Linux 6.1. The program is three loads and a write to whoever reads. Where its
/// structures lie the kernel says itself (<see cref="KernelTypes"/>), and its verifier looks at the program.
/// </para>
/// <para>Nothing stays behind: program, link and walk end with their descriptors.</para>
/// </remarks>
public sealed class MappingWords : IDisposable
{
    private const string Types = "/sys/kernel/btf/vmlinux";
    private const int Chunk = 64 * 1024;

    private readonly Fd program;
    private readonly byte[] buffer = new byte[Chunk];

    private MappingWords(Fd program) => this.program = program;

    /// <summary>
    /// Loads the program; null where the kernel doesn't describe itself, is of another build, or does not let the caller.
    /// </summary>
    public static MappingWords? TryOpen()
    {
        using MappedMemory? text = ReadTypes();
        if (text is null || TryCompile(text.Span) is not (ulong[] instructions, int target))
        {
            return null;
        }

        SysResult loaded = Sys.BpfIteratorLoad(instructions, target);
        return loaded.IsError ? null : new MappingWords(new Fd(loaded.Int32));
    }

    /// <summary>Reads the words of all mappings of a process that stands still.</summary>
    /// <param name="pid">The process.</param>
    /// <returns>
    /// By ascending address; null if the kernel didn't let the caller. [vsyscall], which is no mapping, is not among them.
    /// </returns>
    public List<MappingWord>? TryRead(int pid)
    {
        SysResult linked = Sys.BpfIteratorLink(program.Number, pid);
        if (linked.IsError)
        {
            return null;
        }

        using var link = new Fd(linked.Int32);
        SysResult opened = Sys.BpfIteratorOpen(link.Number);
        if (opened.IsError)
        {
            return null;
        }

        using var walk = new Fd(opened.Int32);
        var words = new List<MappingWord>();
        const int Size = 3 * sizeof(ulong);
        int length = 0;
        while (true)
        {
            SysResult read = Sys.Read(walk.Number, buffer.AsSpan(length));
            if (read.Errno is Errno.EINTR or Errno.EAGAIN)
            {
                continue;
            }

            if (read.IsError)
            {
                return null;
            }

            if (read.Int32 == 0)
            {
                return length == 0 ? words : null;
            }

            length += read.Int32;
            int whole = length / Size * Size;
            foreach (MappingWord word in MemoryMarshal.Cast<byte, MappingWord>(buffer.AsSpan(0, whole)))
            {
                // Behind its end a walk that was read in pieces begins anew where the last piece began (task_vma_seq_get_next() keeps the
                // place of the last pause): who reads on reads for ever.
                if (words.Count > 0 && word.Start < words[^1].End)
                {
                    return words;
                }

                words.Add(word);
            }

            buffer.AsSpan(whole, length - whole).CopyTo(buffer);
            length -= whole;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => program.Dispose();

    /// <summary>
    /// The program for a kernel, with the number of the function that it is for; null if the kernel has other structures.
    /// </summary>
    /// <param name="text">What the kernel says of its types.</param>
    internal static (ulong[] Instructions, int Target)? TryCompile(ReadOnlySpan<byte> text)
    {
        const int Word = sizeof(ulong);
        try
        {
            var types = new KernelTypes(text);
            int target = types.Function("bpf_iter_task_vma"u8);

            // Flags are of one word since 2.6; a union that is larger would be of a kernel that has got more of them. The context:
            // pointers to bpf_iter_meta, whose first member is where to write, to the task, and to the mapping.
            if (target == 0
                || types.Member("bpf_iter__task_vma"u8, "meta"u8) is not { Offset: 0 }
                || types.Member("bpf_iter__task_vma"u8, "vma"u8) is not { Offset: var mapping }
                || types.Member("bpf_iter_meta"u8, "seq"u8) is not { Offset: var reader }
                || types.Member("vm_area_struct"u8, "vm_start"u8) is not { Size: Word, Offset: var start }
                || types.Member("vm_area_struct"u8, "vm_end"u8) is not { Size: Word, Offset: var end }
                || types.Member("vm_area_struct"u8, "vm_flags"u8) is not { Size: Word, Container: Word, Offset: var flags })
            {
                return null;
            }

            return (
            [
                BpfInstruction.Load(6, 1, 0),
                BpfInstruction.Load(7, 1, mapping),
                BpfInstruction.SkipUnlessZero(7, 2),
                BpfInstruction.Set(0, 0),
                BpfInstruction.Exit,
                BpfInstruction.Load(0, 7, start),
                BpfInstruction.Store(10, -3 * Word, 0),
                BpfInstruction.Load(0, 7, end),
                BpfInstruction.Store(10, -2 * Word, 0),
                BpfInstruction.Load(0, 7, flags),
                BpfInstruction.Store(10, -Word, 0),
                BpfInstruction.Load(1, 6, reader),
                BpfInstruction.Copy(2, 10),
                BpfInstruction.Add(2, -3 * Word),
                BpfInstruction.Set(3, 3 * Word),
                BpfInstruction.Call(BpfConstants.BPF_FUNC_seq_write),
                BpfInstruction.Set(0, 0),
                BpfInstruction.Exit,
            ], target);
        }
        catch (FormatException)
        {
            return null;
        }
    }

    // Kernels from 6.16 on let it be mapped.
    private static MappedMemory? ReadTypes()
    {
        SysResult opened = Sys.OpenAt(At.AT_FDCWD, Types, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC, 0);
        if (opened.IsError)
        {
            return null;
        }

        using var file = new Fd(opened.Int32);
        if (Sys.Fstat(file.Number, out FileStat stat).IsError || stat.st_size is <= 0 or > int.MaxValue)
        {
            return null;
        }

        try
        {
            return MappedMemory.Map(file.Number, 0, stat.st_size, ProtectionFlags.PROT_READ, MapFlags.MAP_PRIVATE);
        }
        catch (LinuxException)
        {
            MappedMemory read = MappedMemory.Anonymous(stat.st_size);
            int length = 0;
            while (length < read.Length && Sys.Read(file.Number, read.Span[length..]) is { IsError: false, Int32: > 0 and var more })
            {
                length += more;
            }

            return read;
        }
    }
}
