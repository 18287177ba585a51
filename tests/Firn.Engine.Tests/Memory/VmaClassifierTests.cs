using System.Text;
using Firn.Engine.Memory;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Tests.Memory;

/// <summary>What is recorded of mappings, against what CRIU 4.2 recorded of the like.</summary>
public sealed class VmaClassifierTests
{
    private const uint Major = 0;
    private const uint Minor = 1;

    public static IEnumerable<TheoryDataRow<string, ulong, uint, uint, ulong>> Recorded =>
    [
        new("1000-2000 rw-p 00000000 00:00 0 [heap]", (ulong)VmFlags.None, 0x22, 0x221, 0),
        new("1000-2000 rw-p 00000000 00:00 0 [stack]", (ulong)VmFlags.GrowsDown, 0x122, 0x201, 0),
        new("1000-2000 ---p 00000000 00:00 0", (ulong)VmFlags.NoReserve, 0x4022, 0x201, 0),
        new("1000-2000 rw-p 00000000 00:00 0", (ulong)VmFlags.NoHugePage, 0x22, 0x201, 0x8000),
        new("1000-2000 rw-p 00000000 00:00 0", (ulong)VmFlags.Locked, 0x2022, 0x201, 0),
        new(
            "1000-2000 r--p 00000000 00:00 0 [vvar]",
            (ulong)(VmFlags.DontDump | VmFlags.PageFrameNumbers | VmFlags.Io),
            0x22,
            0x1201,
            0x10000),
        new("1000-2000 r-xp 00000000 00:00 0 [vdso]", (ulong)VmFlags.DontExpand, 0x22, 0x209, 0),
        new("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]", 0, 0x22, 0x204, 0),
        new("1000-2000 r-xp 00003000 08:01 77 /usr/bin/cat", 0, 0x2, 0x41, 0),
        new("1000-2000 r--s 00000000 08:01 78 /usr/lib/gconv.cache", 0, 0x1, 0x81, 0),
        new("1000-2000 rw-s 00000000 00:01 6889 /dev/zero (deleted)", 0, 0x1, 0x4081, 0),
        new("1000-2000 rw-p 00000000 00:01 6890 /memfd:x (deleted)", 0, 0x2, 0x4041, 0),
        new("1000-2000 rw-s 00000000 00:01 3 /SYSV00000000 (deleted)", 0, 0x21, 0x501, 0),
        new("1000-2000 rw-s 00000000 00:10 3 /[aio] (deleted)", 0, 0x1, 0x2001, 0),
        new("1000-2000 rw-s 10000000 00:10 3 anon_inode:[io_uring]", (ulong)VmFlags.MixedMap, 0x1, 0x1000001, 0),
        new("200000-400000 rw-p 00000000 00:12 3 /anon_hugepage (deleted)", (ulong)VmFlags.HugeTlb, 0x54040022, 0x201, 0),
        new("200000-400000 rw-s 00000000 00:12 3 /anon_hugepage (deleted)", (ulong)VmFlags.HugeTlb, 0x54040001, 0x4081, 0),
        new("200000-400000 rw-p 00000000 00:12 3 /memfd:h (deleted)", (ulong)VmFlags.HugeTlb, 0x54040002, 0x4041, 0),
        new("200000-400000 rw-s 00000000 00:20 3 /mnt/huge/file", (ulong)VmFlags.HugeTlb, 0x54040001, 0x81, 0),
    ];

    [Theory]
    [MemberData(nameof(Recorded))]
    public void A_mapping_is_recorded_as_CRIU_does(string line, ulong vmFlags, uint flags, uint status, ulong advice)
    {
        VmaEntry vma = Describe(line, (VmFlags)vmFlags, out VmaObjection? objection);
        Assert.Null(objection);
        Assert.Equal(flags, vma.Flags);
        Assert.Equal(status, vma.Status);
        Assert.Equal(advice, vma.Madv);
        Assert.Equal(advice != 0, vma.HasMadv);
        Assert.Equal(-1, vma.Fd);
    }

    [Theory]
    [InlineData("1000-2000 rw-s 00000000 00:10 3 anon_inode:[perf_event]", 0, "kernel-object-mapping")]
    [InlineData("1000-2000 r-xp 00000000 00:00 0 [uprobes]", 0, "uprobes")]
    [InlineData("1000-2000 rw-s 00000000 00:11 3 /secretmem (deleted)", 0, "memfd-secret")]
    [InlineData("1000-2000 rw-s 00000000 00:05 3 /dev/mem", (ulong)(VmFlags.Io | VmFlags.PageFrameNumbers), "device-mapping")]
    [InlineData("1000-2000 rw-p 00000000 00:00 0", (ulong)VmFlags.ShadowStack, "shadow-stack")]
    [InlineData("1000-2000 rw-p 00000000 00:00 0", (ulong)VmFlags.UserfaultMissing, "userfaultfd")]
    public void What_cannot_be_saved_is_refused_by_name(string line, ulong vmFlags, string identifier)
    {
        Describe(line, (VmFlags)vmFlags, out VmaObjection? objection);
        Assert.Equal(identifier, objection?.Identifier);
    }

    [Fact]
    public void The_name_of_a_shared_object_is_the_one_it_was_made_with()
    {
        Assert.Equal("name (deleted)", SharedObjects.NameOf("/memfd:name (deleted) (deleted)"));
        Assert.Equal("/dev/zero", SharedObjects.NameOf("/dev/zero (deleted)"));
        Assert.Equal("", SharedObjects.NameOf("/memfd: (deleted)"));
    }

    [Fact]
    public void Data_of_the_vdso_is_one_with_that_of_its_clock()
    {
        VmaEntry vvar = Describe("1000-5000 r--p 00000000 00:00 0 [vvar]", VmFlags.None, out _);
        VmaEntry clock = Describe("5000-7000 r--p 00000000 00:00 0 [vvar_vclock]", VmFlags.None, out _);
        VmaEntry vdso = Describe("7000-9000 r-xp 00000000 00:00 0 [vdso]", VmFlags.None, out _);
        Assert.True(VmaClassifier.AreOne(vvar, clock));
        Assert.False(VmaClassifier.AreOne(clock, vdso));
        Assert.True(vdso.IsPrivate() && !vdso.IsMapped() && !vvar.IsPrivate());
        Assert.False(vdso.MayBeLazy());
        Assert.Equal(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_EXEC, vdso.Protection());
    }

    private static VmaEntry Describe(string line, VmFlags flags, out VmaObjection? objection)
        => new VmaClassifier(Major, Minor).Describe(
            Maps.Parse(Encoding.UTF8.GetBytes(line + "\n"))[0],
            new MappingFlags(0, 0, flags, (flags & VmFlags.HugeTlb) != 0 ? 2UL << 20 : 0),
            out objection);
}
