using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Xunit;

namespace Firn.Linux.Tests.Procfs;

/// <summary>Texts recorded on Linux 6.18.</summary>
public class MapsTests
{
    private static readonly byte[] Recorded = Texts.Lines(
        "55de727f8000-55de727f9000 r--p 00000000 fe:00 18705                      /root/.pyenv/versions/3.11.7/bin/python3.11",
        "55de727f9000-55de727fa000 r-xp 00001000 fe:00 18705                      /root/.pyenv/versions/3.11.7/bin/python3.11",
        "55de8061a000-55de8080e000 rw-p 00000000 00:00 0                          [heap]",
        "7efe89a48000-7efe89b48000 rw-p 00000000 00:00 0 ",
        "7efe8a9bb000-7efe8a9bc000 rw-s 00000000 00:01 66                         /dev/zero (deleted)",
        "7efe8a9bc000-7efe8a9bd000 rw-s 00000000 fe:00 11657512                   /tmp/rec/tmp6v1yfshr/gone (deleted)",
        "7efe8a9bd000-7efe8a9be000 rw-p 00001000 fe:00 11657505                   /tmp/rec/tmp6v1yfshr/with space\\012and newline\\134x",
        "7efe8aa02000-7efe8aa04000 r-xp 00000000 00:00 0                          [vdso]",
        "7efe8aa04000-7efe8aa05000 rw-s 00000000 00:10 1038                       anon_inode:[io_uring]",
        "7fff5aaaa000-7fff5aacb000 rw-p 00000000 00:00 0                          [stack]",
        "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]");

    [Fact]
    public void A_mapping_of_a_file_has_all_its_fields()
    {
        Mapping mapping = Maps.Parse(Recorded)[1];
        Assert.Equal(0x55de727f9000UL, mapping.Start);
        Assert.Equal(0x55de727fa000UL, mapping.End);
        Assert.Equal(4096UL, mapping.Length);
        Assert.Equal(0x1000UL, mapping.Offset);
        Assert.Equal(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_EXEC, mapping.Protection);
        Assert.False(mapping.Shared);
        Assert.Equal((0xfeu, 0u, 18705UL), (mapping.DevMajor, mapping.DevMinor, mapping.Inode));
        Assert.Equal("/root/.pyenv/versions/3.11.7/bin/python3.11", mapping.Name);
        Assert.False(mapping.Deleted);
    }

    [Fact]
    public void A_name_on_several_lines_is_one_string()
    {
        List<Mapping> mappings = Maps.Parse(Recorded);
        Assert.Same(mappings[0].Name, mappings[1].Name);
    }

    [Fact]
    public void Names_in_brackets_none_and_anonymous_inodes()
    {
        List<Mapping> mappings = Maps.Parse(Recorded);
        Assert.Equal(11, mappings.Count);
        Assert.True(mappings[2].IsNamed("[heap]"));
        Assert.Equal(string.Empty, mappings[3].Name);
        Assert.False(mappings[3].HasFile);
        Assert.True(mappings[7].IsNamed("[vdso]"));
        Assert.Equal("anon_inode:[io_uring]", mappings[8].Name);
        Assert.Equal(0xffffffffff601000UL, mappings[10].End);
        Assert.Equal(ProtectionFlags.PROT_EXEC, mappings[10].Protection);
    }

    [Fact]
    public void A_deleted_file_and_a_newline_in_a_name()
    {
        List<Mapping> mappings = Maps.Parse(Recorded);
        Assert.True(mappings[5].Deleted);
        Assert.True(mappings[5].Shared);
        Assert.Equal("/tmp/rec/tmp6v1yfshr/gone", mappings[5].NameBeforeDeletion);

        // Only the newline is escaped in maps: \134 is what the file is called.
        Assert.Equal("/tmp/rec/tmp6v1yfshr/with space\nand newline\\134x", mappings[6].Name);
    }

    [Theory]
    [InlineData("zzz")]
    [InlineData("1000-2000 rw-")]
    [InlineData("1000 2000 rw-p 0 0:0 0")]
    [InlineData("1000-2000 rw-p 0 0 0")]
    public void Anything_else_is_a_format_error(string text)
        => Assert.Throws<FormatException>(() => Maps.Parse(Texts.Lines(text)));

    [Fact]
    public void Smaps_gives_the_flags_of_each_mapping()
    {
        byte[] text = Texts.Lines(
            "55de727f8000-55de727f9000 r--p 00000000 fe:00 18705                      /tmp/VmFlags: wr",
            "Size:                  4 kB",
            "THPeligible:           0",
            "VmFlags: rd mr mw me ",
            "7efe89a48000-7efe89b48000 rw-p 00000000 00:00 0 ",
            "Size:                  4 kB",
            "ProtectionKey:         0",
            "VmFlags: rd wr mr mw me gd ac uw gu zz ",
            "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]",
            "VmFlags: ex ");
        List<MappingFlags> flags = Smaps.Parse(text);
        Assert.Equal(3, flags.Count);
        Assert.Equal(
            new MappingFlags(0x55de727f8000, 0x55de727f9000, VmFlags.Read | VmFlags.MayRead | VmFlags.MayWrite | VmFlags.MayExecute),
            flags[0]);
        Assert.Equal(
            VmFlags.Read | VmFlags.Write | VmFlags.MayRead | VmFlags.MayWrite | VmFlags.MayExecute | VmFlags.GrowsDown | VmFlags.Account
                | VmFlags.UserfaultWriteProtect | VmFlags.MaybeGuard | VmFlags.Unknown,
            flags[1].Flags);
        Assert.Equal(VmFlags.Execute, flags[2].Flags);
    }

    [Fact]
    public void Smaps_without_flags_is_a_format_error()
        => Assert.Throws<FormatException>(() => Smaps.Parse(Texts.Lines("1000-2000 rw-p 0 00:00 0", "Size: 4 kB")));
}
