using Firn.Linux.Abi;

namespace Firn.Linux.Procfs;

/// <summary>What the kernel notes of a mapping beside its protection: the two-letter codes of VmFlags in /proc/PID/smaps.</summary>
/// <remarks>
/// Kernel: fs/proc/task_mmu.c, show_smap_vma_flags(), in its order. The numbers are Firn's own, not the kernel's VM_* bits.
/// </remarks>
[Flags]
public enum VmFlags : ulong
{
    /// <summary>Nothing noted.</summary>
    None = 0,

    /// <summary>rd: readable.</summary>
    Read = 1UL << 0,

    /// <summary>wr: writable.</summary>
    Write = 1UL << 1,

    /// <summary>ex: executable.</summary>
    Execute = 1UL << 2,

    /// <summary>sh: shared, and possibly written.</summary>
    Shared = 1UL << 3,

    /// <summary>mr: may be made readable.</summary>
    MayRead = 1UL << 4,

    /// <summary>mw: may be made writable.</summary>
    MayWrite = 1UL << 5,

    /// <summary>me: may be made executable.</summary>
    MayExecute = 1UL << 6,

    /// <summary>ms: was made with MAP_SHARED.</summary>
    MayShare = 1UL << 7,

    /// <summary>gd: grows down, as a stack does.</summary>
    GrowsDown = 1UL << 8,

    /// <summary>pf: page frames without struct page.</summary>
    PageFrameNumbers = 1UL << 9,

    /// <summary>dw: MAP_DENYWRITE, of older kernels.</summary>
    DenyWrite = 1UL << 10,

    /// <summary>lo: locked in memory (mlock(2)).</summary>
    Locked = 1UL << 11,

    /// <summary>io: memory of a device.</summary>
    Io = 1UL << 12,

    /// <summary>sr: MADV_SEQUENTIAL.</summary>
    SequentialRead = 1UL << 13,

    /// <summary>rr: MADV_RANDOM.</summary>
    RandomRead = 1UL << 14,

    /// <summary>dc: not copied by fork (MADV_DONTFORK).</summary>
    DontCopy = 1UL << 15,

    /// <summary>de: can't be grown by mremap.</summary>
    DontExpand = 1UL << 16,

    /// <summary>lf: locked when faulted (MLOCK_ONFAULT).</summary>
    LockOnFault = 1UL << 17,

    /// <summary>ac: accounted against the limit of commitment.</summary>
    Account = 1UL << 18,

    /// <summary>nr: MAP_NORESERVE.</summary>
    NoReserve = 1UL << 19,

    /// <summary>ht: huge pages of hugetlbfs.</summary>
    HugeTlb = 1UL << 20,

    /// <summary>sf: MAP_SYNC.</summary>
    Sync = 1UL << 21,

    /// <summary>ar: specific to the architecture.</summary>
    Architecture = 1UL << 22,

    /// <summary>wf: emptied in a fork's child (MADV_WIPEONFORK).</summary>
    WipeOnFork = 1UL << 23,

    /// <summary>dd: left out of core dumps (MADV_DONTDUMP).</summary>
    DontDump = 1UL << 24,

    /// <summary>sd: soft-dirty since the last reset.</summary>
    SoftDirty = 1UL << 25,

    /// <summary>mm: a mixture of page frames and pages.</summary>
    MixedMap = 1UL << 26,

    /// <summary>hg: MADV_HUGEPAGE.</summary>
    HugePage = 1UL << 27,

    /// <summary>nh: MADV_NOHUGEPAGE.</summary>
    NoHugePage = 1UL << 28,

    /// <summary>mg: MADV_MERGEABLE.</summary>
    Mergeable = 1UL << 29,

    /// <summary>bt: guarded by BTI.</summary>
    BranchTargets = 1UL << 30,

    /// <summary>mt: memory tagging.</summary>
    MemoryTagging = 1UL << 31,

    /// <summary>um: userfaultfd, missing pages.</summary>
    UserfaultMissing = 1UL << 32,

    /// <summary>uw: userfaultfd, write protection.</summary>
    UserfaultWriteProtect = 1UL << 33,

    /// <summary>ui: userfaultfd, minor faults.</summary>
    UserfaultMinor = 1UL << 34,

    /// <summary>ss: a shadow stack.</summary>
    ShadowStack = 1UL << 35,

    /// <summary>sl: sealed (mseal(2)).</summary>
    Sealed = 1UL << 36,

    /// <summary>dp: MAP_DROPPABLE.</summary>
    Droppable = 1UL << 37,

    /// <summary>gu: holds guard pages, or may (MADV_GUARD_INSTALL).</summary>
    MaybeGuard = 1UL << 38,

    /// <summary>A code that Firn doesn't know.</summary>
    Unknown = 1UL << 63,
}

/// <summary>The flags of one mapping.</summary>
/// <param name="Start">The first address.</param>
/// <param name="End">The address behind the last one.</param>
/// <param name="Flags">Its flags.</param>
/// <param name="PageSize">The size of its pages in bytes, where <paramref name="Flags"/> say that they are of hugetlbfs; else 0.</param>
/// <param name="ProtectionKey">Its protection key (pkeys(7)); 0 where none was set, or the processor has none.</param>
public readonly record struct MappingFlags(ulong Start, ulong End, VmFlags Flags, ulong PageSize = 0, uint ProtectionKey = 0);

/// <summary>/proc/PID/smaps: read for its VmFlags alone.</summary>
/// <remarks>The kernel walks the page tables for the counts that stand beside them (47 ms for 2 GiB): the dearest file of all.</remarks>
public static class Smaps
{
    private const int FirstSize = 64 * 1024;

    [ThreadStatic]
    private static byte[]? buffer;

    /// <summary>Reads the flags of all mappings of a process, by ascending address.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT or ESRCH if the process is gone.</exception>
    /// <exception cref="FormatException">The kernel writes something unknown.</exception>
    /// <remarks>Piece by piece: 65,000 mappings have a text of 45 MB.</remarks>
    public static List<MappingFlags> Read(int pid)
    {
        string path = $"/proc/{pid}/smaps";
        var mappings = new List<MappingFlags>();
        using Fd file = Sys.Open(ProcFile.Own(path), OpenFlags.O_RDONLY);
        byte[] bytes = buffer ?? new byte[FirstSize];
        int length = 0;
        while (true)
        {
            if (length == bytes.Length)
            {
                Array.Resize(ref bytes, bytes.Length * 2);
            }

            SysResult read = Sys.Read(file.Number, bytes.AsSpan(length));
            if (read.Errno == Errno.EINTR)
            {
                continue;
            }

            int count = read.OrThrow($"read({path})").Int32;
            length += count;
            int whole = count == 0 ? length : EndOfLast(bytes.AsSpan(0, length));
            Parse(bytes.AsSpan(0, whole), mappings);
            bytes.AsSpan(whole, length - whole).CopyTo(bytes);
            length -= whole;
            if (count == 0)
            {
                buffer = bytes;
                return mappings;
            }
        }
    }

    /// <summary>Parses the text of smaps.</summary>
    /// <exception cref="FormatException">It is not such a text.</exception>
    public static List<MappingFlags> Parse(ReadOnlySpan<byte> text)
    {
        var mappings = new List<MappingFlags>();
        Parse(text, mappings);
        return mappings;
    }

    // Behind the last mapping whose text is whole: its flags are its last line.
    private static int EndOfLast(ReadOnlySpan<byte> text)
    {
        int flags = text.LastIndexOf("\nVmFlags:"u8);
        int end = flags < 0 ? -1 : text[(flags + 1)..].IndexOf((byte)'\n');
        if (end >= 0)
        {
            return flags + 1 + end + 1;
        }

        return flags > 0 ? EndOfLast(text[..flags]) : 0;
    }

    private static void Parse(ReadOnlySpan<byte> text, List<MappingFlags> mappings)
    {
        var reader = new ByteReader(text);
        while (!reader.AtEnd)
        {
            ulong start = reader.Hex();
            reader.Take("-"u8);
            ulong end = reader.Hex();

            // A name may hold these letters, but a newline in a name is escaped.
            int flags = reader.Rest.IndexOf("\nVmFlags:"u8);
            if (flags < 0)
            {
                throw new FormatException($"smaps: no VmFlags for {start:x}-{end:x}");
            }

            ReadOnlySpan<byte> counts = reader.Rest[..flags];
            reader.Skip(flags + 1);
            reader.TryLine(out ReadOnlySpan<byte> line);
            VmFlags found = ParseFlags(line["VmFlags:".Length..]);
            ulong pageSize = (found & VmFlags.HugeTlb) == 0 ? 0 : NumberAfter(counts, "\nKernelPageSize:"u8) << 10;

            // The line before the flags, where the processor has such keys.
            ReadOnlySpan<byte> last = counts[(counts.LastIndexOf((byte)'\n') + 1)..];
            uint key = last.StartsWith("ProtectionKey:"u8) ? (uint)NumberAfter(last, "ProtectionKey:"u8) : 0;
            mappings.Add(new MappingFlags(start, end, found, pageSize, key));
        }
    }

    private static ulong NumberAfter(ReadOnlySpan<byte> text, ReadOnlySpan<byte> key)
    {
        int at = text.IndexOf(key);
        if (at < 0)
        {
            return 0;
        }

        var reader = new ByteReader(text[(at + key.Length)..]);
        reader.SkipBlanks();
        return reader.Decimal();
    }

    private static VmFlags ParseFlags(ReadOnlySpan<byte> codes)
    {
        VmFlags flags = VmFlags.None;
        var reader = new ByteReader(codes);
        for (reader.SkipBlanks(); !reader.AtEnd; reader.SkipBlanks())
        {
            ReadOnlySpan<byte> code = reader.Word();
            flags |= code.Length == 2 ? Decode(code[0], code[1]) : VmFlags.Unknown;
        }

        return flags;
    }

    private static VmFlags Decode(byte first, byte second) => (first, second) switch
    {
        ((byte)'r', (byte)'d') => VmFlags.Read,
        ((byte)'w', (byte)'r') => VmFlags.Write,
        ((byte)'e', (byte)'x') => VmFlags.Execute,
        ((byte)'s', (byte)'h') => VmFlags.Shared,
        ((byte)'m', (byte)'r') => VmFlags.MayRead,
        ((byte)'m', (byte)'w') => VmFlags.MayWrite,
        ((byte)'m', (byte)'e') => VmFlags.MayExecute,
        ((byte)'m', (byte)'s') => VmFlags.MayShare,
        ((byte)'g', (byte)'d') => VmFlags.GrowsDown,
        ((byte)'p', (byte)'f') => VmFlags.PageFrameNumbers,
        ((byte)'d', (byte)'w') => VmFlags.DenyWrite,
        ((byte)'l', (byte)'o') => VmFlags.Locked,
        ((byte)'i', (byte)'o') => VmFlags.Io,
        ((byte)'s', (byte)'r') => VmFlags.SequentialRead,
        ((byte)'r', (byte)'r') => VmFlags.RandomRead,
        ((byte)'d', (byte)'c') => VmFlags.DontCopy,
        ((byte)'d', (byte)'e') => VmFlags.DontExpand,
        ((byte)'l', (byte)'f') => VmFlags.LockOnFault,
        ((byte)'a', (byte)'c') => VmFlags.Account,
        ((byte)'n', (byte)'r') => VmFlags.NoReserve,
        ((byte)'h', (byte)'t') => VmFlags.HugeTlb,
        ((byte)'s', (byte)'f') => VmFlags.Sync,
        ((byte)'a', (byte)'r') => VmFlags.Architecture,
        ((byte)'w', (byte)'f') => VmFlags.WipeOnFork,
        ((byte)'d', (byte)'d') => VmFlags.DontDump,
        ((byte)'s', (byte)'d') => VmFlags.SoftDirty,
        ((byte)'m', (byte)'m') => VmFlags.MixedMap,
        ((byte)'h', (byte)'g') => VmFlags.HugePage,
        ((byte)'n', (byte)'h') => VmFlags.NoHugePage,
        ((byte)'m', (byte)'g') => VmFlags.Mergeable,
        ((byte)'b', (byte)'t') => VmFlags.BranchTargets,
        ((byte)'m', (byte)'t') => VmFlags.MemoryTagging,
        ((byte)'u', (byte)'m') => VmFlags.UserfaultMissing,
        ((byte)'u', (byte)'w') => VmFlags.UserfaultWriteProtect,
        ((byte)'u', (byte)'i') => VmFlags.UserfaultMinor,
        ((byte)'s', (byte)'s') => VmFlags.ShadowStack,
        ((byte)'s', (byte)'l') => VmFlags.Sealed,
        ((byte)'d', (byte)'p') => VmFlags.Droppable,
        ((byte)'g', (byte)'u') => VmFlags.MaybeGuard,
        _ => VmFlags.Unknown,
    };
}
