using System.Diagnostics;
using Firn.Engine.Memory;
using Firn.Engine.Tests.RoundTrip;
using Firn.Linux;
using Firn.Linux.Procfs;
using Xunit;

namespace Firn.Engine.Tests.Memory;

/// <summary>VmFlags that are learned from the kernel's words are those of smaps.</summary>
public sealed class FlagWordsTests
{
    [Theory]
    [InlineData("mem_advice")]
    [InlineData("mem_guard")]
    [InlineData("mem_kinds")]
    [InlineData("mem_locks")]
    [InlineData("mem_many")]
    [InlineData("mem_private")]
    [InlineData("mem_shared")]
    public void What_is_learned_is_what_smaps_says(string target)
    {
        using FlagWords? words = FlagWords.TryLearn();
        if (words is null)
        {
            throw Programs.Skipped("the kernel doesn't give its words");
        }

        DirectoryInfo work = Directory.CreateTempSubdirectory("firn-test-");
        using Process process = Process.Start(Programs.Target(target), work.FullName);
        try
        {
            PidNamespace.Until(() => File.Exists(Path.Combine(work.FullName, "ready")), $"{target} is ready");
            List<Mapping> mappings = Maps.Read(process.Id);
            List<MappingFlags> said = [.. Smaps.Read(process.Id).Where(entry => mappings.Exists(one => IsOf(one, entry)))];
            Assert.Equal(said, words.Read(process.Id, mappings).Where(entry => mappings.Exists(one => IsOf(one, entry))));

            // By now all is known. Only the size of huge pages is no matter of the word.
            bool isHuge = said.Exists(entry => (entry.Flags & VmFlags.HugeTlb) != 0);
            List<MappingFlags>? learned = words.TryTranslate(process.Id, mappings);
            Assert.Equal(isHuge, learned is null);
            Assert.Equal(isHuge ? null : said, learned);
        }
        finally
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            work.Delete(recursive: true);
        }

        static bool IsOf(Mapping mapping, MappingFlags entry) => mapping.Start == entry.Start && !mapping.IsNamed("[vsyscall]");
    }

    [Fact]
    public void A_mapping_that_was_read_twice_teaches_nothing()
    {
        var known = new Dictionary<ulong, (VmFlags Flags, uint Key)>();
        MappingWord[] words = [new(0x1000, 0x2000, 5), new(0x2000, 0x3000, 7)];
        MappingFlags[] flags =
            [new(0x1000, 0x2000, VmFlags.Read), new(0x2000, 0x4000, VmFlags.Write), new(0x2000, 0x3000, VmFlags.Write)];
        Assert.True(FlagWords.Learn(known, words, flags));
        Assert.Equal([5ul], known.Keys);
    }

    [Fact]
    public void A_word_with_two_meanings_ends_all_trust()
    {
        var known = new Dictionary<ulong, (VmFlags Flags, uint Key)>();
        MappingWord[] words = [new(0x1000, 0x2000, 5), new(0x2000, 0x3000, 7)];
        Assert.True(FlagWords.Learn(known, words, [new(0x1000, 0x2000, VmFlags.Read), new(0x2000, 0x3000, VmFlags.Write)]));
        Assert.Equal((VmFlags.Read, 0u), known[5]);
        Assert.True(FlagWords.Learn(known, words, [new(0x1000, 0x2000, VmFlags.Read)]));
        Assert.False(FlagWords.Learn(known, words, [new(0x2000, 0x3000, VmFlags.Locked)]));
        Assert.False(FlagWords.Learn(known, words, [new(0x1000, 0x2000, VmFlags.Read, 0, 3)]));
    }

    [Fact]
    public void Mappings_with_other_bounds_and_huge_pages_teach_nothing()
    {
        var known = new Dictionary<ulong, (VmFlags Flags, uint Key)>();
        MappingWord[] words = [new(0x1000, 0x2000, 5), new(0x200000, 0x400000, 9)];
        Assert.True(FlagWords.Learn(
            known, words, [new(0x1000, 0x3000, VmFlags.Read), new(0x200000, 0x400000, VmFlags.Read | VmFlags.HugeTlb, 1 << 21)]));
        Assert.Empty(known);
    }
}
