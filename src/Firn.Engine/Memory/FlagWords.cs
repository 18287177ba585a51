using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Procfs;

namespace Firn.Engine.Memory;

/// <summary>VmFlags without the walk through page tables that smaps costs: from the kernel's own words of them.</summary>
/// <remarks>
/// What the bits of such a word mean differs from kernel to kernel, so no one here says so: which VmFlags a word stands for is learned from
/// mappings of which both are known, Firn's own first (fs/proc/task_mmu.c makes the line from the word alone). A process with a word that
/// is not known is read from smaps, and teaches the rest.
/// </remarks>
internal sealed class FlagWords : IDisposable
{
    private readonly MappingWords source;
    private readonly Dictionary<ulong, (VmFlags Flags, uint Key)> known = [];
    private bool isTrusted = true;

    private FlagWords(MappingWords source) => this.source = source;

    /// <summary>Whether smaps of some processes costs more than learning does.</summary>
    /// <remarks>About 0.1 µs a page and 2 µs a mapping; at 16 ms, which 200 small processes take, nothing was gained yet.</remarks>
    public static bool AreWorthWhile(IReadOnlyList<DumpedTask> tasks)
        => tasks.Sum(static task => ((long)task.Stat.ResidentPages / 10) + (2L * task.Mappings.Count)) > 20_000;

    /// <summary>Learns from Firn's own mappings; null where the kernel doesn't give its words.</summary>
    public static FlagWords? TryLearn()
    {
        if (MappingWords.TryOpen() is not { } source)
        {
            return null;
        }

        var words = new FlagWords(source);
        int self = Sys.GetPid();
        if (source.TryRead(self) is { } before)
        {
            List<MappingFlags> flags = Smaps.Read(self);

            // Other threads of Firn go on: what is the same before and after was so in between.
            HashSet<MappingWord> after = [.. source.TryRead(self) ?? []];
            words.Learn([.. before.Where(after.Contains)], flags);
        }

        return words;
    }

    /// <summary>The flags of a process that stands still.</summary>
    /// <param name="pid">The process.</param>
    /// <param name="mappings">Its mappings, as maps shows them.</param>
    /// <exception cref="LinuxException">They can't be read.</exception>
    public List<MappingFlags> Read(int pid, IReadOnlyList<Mapping> mappings)
    {
        List<MappingWord>? words = isTrusted ? source.TryRead(pid) : null;
        if (words is not null && Translate(words, mappings) is { } translated)
        {
            return translated;
        }

        List<MappingFlags> flags = Smaps.Read(pid);
        if (words is not null)
        {
            Learn(words, flags);
        }

        return flags;
    }

    /// <summary>The flags of a process if all of its words are known by now; else null.</summary>
    internal List<MappingFlags>? TryTranslate(int pid, IReadOnlyList<Mapping> mappings)
        => isTrusted && source.TryRead(pid) is { } words ? Translate(words, mappings) : null;

    /// <inheritdoc/>
    public void Dispose() => source.Dispose();

    /// <summary>Learns from mappings of which both is known. One word for two kinds of flags: then no word is trusted any more.</summary>
    internal static bool Learn(
        Dictionary<ulong, (VmFlags Flags, uint Key)> known, IReadOnlyList<MappingWord> words, IReadOnlyList<MappingFlags> flags)
    {
        // A mapping that changes while smaps is read, as Firn's own do, can be in it twice: then nothing is learned of it.
        var byStart = new Dictionary<ulong, MappingFlags>(flags.Count);
        List<ulong> twice = [.. flags.Where(entry => !byStart.TryAdd(entry.Start, entry)).Select(static entry => entry.Start)];
        twice.ForEach(start => byStart.Remove(start));
        foreach (MappingWord word in words)
        {
            // The size of huge pages is the file's and not the word's.
            if (!byStart.TryGetValue(word.Start, out MappingFlags entry) || entry.End != word.End || (entry.Flags & VmFlags.HugeTlb) != 0)
            {
                continue;
            }

            if (!known.TryAdd(word.Word, (entry.Flags, entry.ProtectionKey)) && known[word.Word] != (entry.Flags, entry.ProtectionKey))
            {
                return false;
            }
        }

        return true;
    }

    private void Learn(IReadOnlyList<MappingWord> words, IReadOnlyList<MappingFlags> flags) => isTrusted &= Learn(known, words, flags);

    private List<MappingFlags>? Translate(List<MappingWord> words, IReadOnlyList<Mapping> mappings)
    {
        var translated = new List<MappingFlags>(words.Count);
        foreach (MappingWord word in words)
        {
            if (!known.TryGetValue(word.Word, out (VmFlags Flags, uint Key) meaning))
            {
                return null;
            }

            translated.Add(new MappingFlags(word.Start, word.End, meaning.Flags, 0, meaning.Key));
        }

        return Covers(translated, mappings) ? translated : null;
    }

    // Every mapping that maps shows, but for [vsyscall], which is no mapping.
    private static bool Covers(List<MappingFlags> flags, IReadOnlyList<Mapping> mappings)
    {
        int next = 0;
        foreach (Mapping mapping in mappings)
        {
            while (next < flags.Count && flags[next].Start < mapping.Start)
            {
                next++;
            }

            if ((next == flags.Count || flags[next].Start != mapping.Start || flags[next].End != mapping.End)
                && !mapping.IsNamed("[vsyscall]"))
            {
                return false;
            }
        }

        return true;
    }
}
