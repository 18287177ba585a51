using System.Numerics;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Memory;

/// <summary>Huge pages of hugetlbfs: how images name their size, and how objects of them are read and filled.</summary>
/// <remarks>
/// hugetlbpage.rst of the kernel's documentation. Their size stands in the flags of mmap(2), memfd_create(2) and shmget(2) alike: six bits
/// from bit 26 on, the logarithm of the size in bytes. Such files can be read, but not written: they are filled through a mapping.
/// </remarks>
internal static class HugePages
{
    /// <summary>What /proc/PID/map_files says of anonymous memory of huge pages.</summary>
    public const string AnonymousLink = "/anon_hugepage (deleted)";

    /// <summary>The flag of memfd_create(2), which the field of an image has beside the size.</summary>
    public const uint MFD_HUGETLB = 4;

    /// <summary>The flag of shmget(2), which the field of an image has beside the size.</summary>
    public const uint SHM_HUGETLB = 0x800;

    private const int SizeShift = 26;
    private const uint SizeMask = 0x3f;
    private const long FileSystemType = 0x958458f6;
    private const ulong Usual = 2 << 20;
    private const ulong Smallest = 16 << 10;

    /// <summary>The sizes that x86-64 has, and that of ordinary pages first.</summary>
    public static IReadOnlyList<ulong> PageSizes { get; } = [(ulong)Kernel.PageSize, Usual, 1 << 30];

    /// <summary>The size as bits of a flag word.</summary>
    public static uint SizeBits(ulong pageSize) => (uint)BitOperations.Log2(pageSize) << SizeShift;

    /// <summary>The flags of mmap(2) for pages of a size; none for 0.</summary>
    public static MapFlags MapFlagsOf(ulong pageSize)
        => pageSize == 0 ? 0 : (MapFlags)((uint)MapFlags.MAP_HUGETLB | SizeBits(pageSize));

    /// <summary>The flags of a mapping that a restore has to give to mmap(2) for its pages.</summary>
    public static MapFlags MapFlagsOf(VmaEntry vma)
        => vma.Has(MapFlags.MAP_HUGETLB) ? (MapFlags)(vma.Flags & ((uint)MapFlags.MAP_HUGETLB | (SizeMask << SizeShift))) : 0;

    /// <summary>The size of pages that flags name: 2 MiB where they only say that they are huge.</summary>
    /// <exception cref="ImageFormatException">It is no size of huge pages.</exception>
    public static ulong SizeOf(uint flags, string file)
    {
        int logarithm = (int)((flags >> SizeShift) & SizeMask);
        ulong size = logarithm == 0 ? Usual : 1UL << logarithm;
        return size is >= Smallest and <= 16UL << 30
            ? size
            : throw new ImageFormatException(
                file, -1, ImageDiagnostic.BadMessage, $"speaks of huge pages of {size} bytes, which there are none of; the set is damaged");
    }

    /// <summary>The size of the pages of a file on a hugetlbfs; 0 for any other file.</summary>
    public static ulong SizeOf(int fd)
        => Sys.FstatFs(fd, out StatFs stat).IsError || stat.f_type != FileSystemType ? 0 : (ulong)stat.f_bsize;

    /// <summary>Whether a file is on a hugetlbfs.</summary>
    /// <param name="path">A path that leads to it.</param>
    /// <param name="stat">What stat(2) says of it: only a file with large blocks is asked about.</param>
    public static bool Has(string path, in FileStat stat)
        => (ulong)stat.st_blksize >= Smallest && !Sys.StatFs(path, out StatFs system).IsError && system.f_type == FileSystemType;

    /// <summary>Makes anonymous shared memory of huge pages, and gives a descriptor of the file behind it.</summary>
    /// <exception cref="LinuxException">The kernel has too few of them.</exception>
    public static Fd MakeSharedAnonymous(long size, ulong pageSize)
    {
        using MappedMemory memory = MappedMemory.Map(
            -1,
            0,
            size,
            ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE,
            MapFlags.MAP_SHARED | MapFlags.MAP_ANONYMOUS | MapFlags.MAP_NORESERVE | MapFlagsOf(pageSize));
        return Sys.Open($"/proc/self/map_files/{memory.Address:x}-{memory.Address + (nint)size:x}", OpenFlags.O_RDWR);
    }

    /// <summary>Writes the pages of an object that are not all zero: a hole can't be told from them.</summary>
    /// <param name="source">The object.</param>
    /// <param name="size">Its size in bytes.</param>
    /// <param name="pageSize">That of its pages.</param>
    /// <param name="target">Where the pages go.</param>
    /// <returns>The runs.</returns>
    public static List<AddressRange> Write(Fd source, long size, ulong pageSize, PagesFile target)
    {
        var runs = new List<AddressRange>();
        byte[] buffer = GC.AllocateUninitializedArray<byte>((int)Math.Min(pageSize, Usual));
        long written = 0;
        for (long offset = 0; offset < size; offset += buffer.Length)
        {
            int read = Sys.Pread(source.Number, buffer, offset).OrThrow($"pread({source}, {offset})").Int32;
            Span<byte> page = buffer.AsSpan(0, (read + Kernel.PageSize - 1) & -Kernel.PageSize);
            page[read..].Clear();
            if (page.IndexOfAnyExcept((byte)0) >= 0)
            {
                target.Write(page, written);
                written += page.Length;
                PageRuns.Append(runs, new AddressRange((ulong)offset, (ulong)(offset + page.Length)));
            }
        }

        return runs;
    }

    /// <summary>Fills an object through a mapping of it.</summary>
    /// <exception cref="CheckpointException">The kernel has too few huge pages.</exception>
    public static void Fill(Fd target, List<SourceRun> pages, ulong pageSize, string what)
    {
        foreach (SourceRun run in pages)
        {
            ulong start = run.Start & ~(pageSize - 1);
            ulong end = (run.End + pageSize - 1) & ~(pageSize - 1);
            using MappedMemory memory = MappedMemory.Map(
                target.Number,
                (long)start,
                (long)(end - start),
                ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE,
                MapFlags.MAP_SHARED | MapFlags.MAP_NORESERVE);
            for (ulong at = run.Start; at < run.End;)
            {
                Span<byte> chunk = memory.Slice((long)(at - start), (int)Math.Min(run.End - at, Usual));
                SysResult read = Sys.Pread(run.File.Descriptor!.Number, chunk, run.Offset + (long)(at - run.Start));
                if (read.Errno == Errno.EFAULT)
                {
                    throw TooFew(what, pageSize);
                }

                if (read.OrThrow($"pread({run.File.Path})").Int32 == 0)
                {
                    throw new ImageFormatException(
                        run.File.Path, run.Offset, ImageDiagnostic.Truncated, $"the file ends within the pages of {what}");
                }

                at += (ulong)read.Int32;
            }
        }
    }

    /// <summary>What is said where huge pages are wanting.</summary>
    public static CheckpointException TooFew(string what, ulong pageSize) => new(
        $"{what} needs huge pages of {pageSize >> 10} kB, and the kernel has too few of them free; raise "
            + $"/sys/kernel/mm/hugepages/hugepages-{pageSize >> 10}kB/nr_hugepages")
    {
        Phase = "forking",
        Errno = Errno.ENOMEM,
    };
}
