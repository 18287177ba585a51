using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Xunit;

namespace Firn.Linux.Tests;

/// <summary>The kernel's description of itself, and the program that is made from it.</summary>
public sealed class MappingWordsTests
{
    private const string Types = "/sys/kernel/btf/vmlinux";

    private static byte[] Text
    {
        get
        {
            Assert.SkipUnless(File.Exists(Types), "the kernel doesn't describe itself");
            return File.ReadAllBytes(Types);
        }
    }

    [Fact]
    public void A_structures_members_are_found_also_within_those_without_a_name()
    {
        var types = new KernelTypes(Text);
        KernelMember start = types.Member("vm_area_struct"u8, "vm_start"u8)!.Value;
        KernelMember end = types.Member("vm_area_struct"u8, "vm_end"u8)!.Value;
        Assert.Equal((start.Offset + 8, 8, 8), (end.Offset, start.Size, end.Size));
        Assert.Null(types.Member("vm_area_struct"u8, "vm_no_such_member"u8));
        Assert.Null(types.Member("no_such_structure"u8, "vm_start"u8));
        Assert.NotEqual(0, types.Function("bpf_iter_task_vma"u8));
        Assert.Equal(0, types.Function("no_such_function"u8));
    }

    [Fact]
    public void What_is_cut_short_or_of_an_unknown_kind_makes_no_program()
    {
        byte[] text = Text;
        Assert.NotNull(MappingWords.TryCompile(text));
        Assert.Null(MappingWords.TryCompile(text.AsSpan(0, text.Length / 2)));
        Assert.Null(MappingWords.TryCompile(text.AsSpan(0, 10)));
        Assert.Null(MappingWords.TryCompile([]));
        byte[] other = [.. text];

        // The kind of the first type: bits 24 to 28 of its second word.
        other[24 + 7] |= 0x1f;
        Assert.Null(MappingWords.TryCompile(other));
        var random = new Random(11);
        for (int round = 0; round < 20; round++)
        {
            byte[] damaged = [.. text];
            for (int i = 0; i < 50; i++)
            {
                damaged[random.Next(damaged.Length)] ^= (byte)(1 << random.Next(8));
            }

            // Whatever comes of it, no other exception.
            _ = MappingWords.TryCompile(damaged);
        }
    }

    [Fact]
    public void A_walk_that_is_read_in_pieces_comes_to_its_end()
    {
        using MappingWords? words = MappingWords.TryOpen();
        Assert.SkipWhen(words is null, "the kernel lets no such program be loaded");

        // Every second page is of another kind, so that each is a mapping: many more than one read gives.
        const int Count = 6000;
        using var memory = MappedMemory.Anonymous(Count * Kernel.PageSize);
        for (int i = 1; i < Count; i += 2)
        {
            Kernel.Call(Sysno.mprotect, memory.Address + (i * Kernel.PageSize), Kernel.PageSize, (nint)ProtectionFlags.PROT_READ)
                .OrThrow("mprotect");
        }

        ulong start = (ulong)memory.Address;
        List<MappingWord> read = words.TryRead(Environment.ProcessId)!;
        Assert.Equal(
            Enumerable.Range(1, Count - 2).Select(i => start + (ulong)(i * Kernel.PageSize)),
            read.Where(word => word.Start > start && word.End < start + (ulong)memory.Length).Select(word => word.Start));
    }

    [Fact]
    public void All_mappings_have_a_word_and_the_same_flags_the_same()
    {
        using MappingWords? words = MappingWords.TryOpen();
        Assert.SkipWhen(words is null, "the kernel lets no such program be loaded");
        using var memory = MappedMemory.Anonymous(1 << 20);
        List<MappingWord> read = words.TryRead(Environment.ProcessId)!;
        ulong address = (ulong)memory.Address;
        Assert.Contains(read, word => word.Start <= address && address < word.End);
        Assert.True(read.Zip(read.Skip(1)).All(pair => pair.First.End <= pair.Second.Start));

        // VM_READ, VM_WRITE and VM_EXEC have been the lowest bits as long as there are mappings.
        Dictionary<(ulong, ulong), MappingFlags> flags = Smaps.Read(Environment.ProcessId).ToDictionary(entry => (entry.Start, entry.End));
        Assert.All(
            read.Where(word => flags.ContainsKey((word.Start, word.End)) && word.Start <= address && address < word.End),
            word => Assert.Equal(word.Word & 7, (ulong)flags[(word.Start, word.End)].Flags & 7));
        Assert.True(words.TryRead(int.MaxValue) is null or { Count: 0 });
    }
}
