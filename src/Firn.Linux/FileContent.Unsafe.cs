using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>Copies content from file to file within the kernel, and makes the file behind shared anonymous memory.</summary>
public static unsafe class FileContent
{
    private const int SEEK_SET = 0;
    private const int SEEK_DATA = 3;
    private const int SEEK_HOLE = 4;
    private const nint MaxChunk = 0x7ffff000;

    /// <summary>Copies bytes by sendfile(2). Both descriptors must be open for Firn alone: the offset of the target moves.</summary>
    /// <returns>The number of bytes copied, less than asked for only at the end of the source; or -errno.</returns>
    public static SysResult Copy(int source, long sourceOffset, int target, long targetOffset, long count)
    {
        SysResult seek = Sys.Lseek(target, targetOffset, SEEK_SET);
        if (seek.IsError)
        {
            return seek;
        }

        long done = 0;
        while (done < count)
        {
            // SAFETY: the kernel reads and writes the offset during the call alone.
            long offset = sourceOffset + done;
            SysResult sent = Kernel.Call(Sysno.sendfile, target, source, (nint)(&offset), (nint)Math.Min(count - done, MaxChunk));
            if (sent.Errno == Errno.EINTR)
            {
                continue;
            }

            if (sent.IsError)
            {
                return sent;
            }

            if (sent.Raw == 0)
            {
                break;
            }

            done += sent.Raw;
        }

        return new SysResult((nint)done);
    }

    /// <summary>The parts of a sparse file that are not holes (SEEK_DATA, SEEK_HOLE), by ascending offset.</summary>
    /// <param name="fd">A descriptor that is Firn's alone: its offset moves.</param>
    /// <param name="size">The size of the file.</param>
    /// <exception cref="LinuxException">lseek(2) failed.</exception>
    public static List<(long Start, long End)> DataRanges(int fd, long size)
    {
        var ranges = new List<(long, long)>();
        long position = 0;
        while (position < size)
        {
            SysResult data = Sys.Lseek(fd, position, SEEK_DATA);
            if (data.Errno == Errno.ENXIO)
            {
                break;
            }

            long start = data.OrThrow($"lseek({fd}, {position}, SEEK_DATA)").Int64;
            position = Sys.Lseek(fd, start, SEEK_HOLE).OrThrow($"lseek({fd}, {start}, SEEK_HOLE)").Int64;
            ranges.Add((start, Math.Min(position, size)));
        }

        return ranges;
    }

    /// <summary>
    /// Makes shared anonymous memory, as mmap(2) with MAP_SHARED and MAP_ANONYMOUS does, and gives a descriptor of the file behind it, by
    /// which it can be mapped elsewhere: mappings then look as if inherited by fork.
    /// </summary>
    /// <param name="size">Its size in bytes.</param>
    /// <exception cref="LinuxException">mmap(2) failed, or /proc/self/map_files can't be used: that takes
    /// CAP_CHECKPOINT_RESTORE.</exception>
    public static Fd MakeSharedAnonymous(long size)
    {
        long length = (size + Kernel.PageSize - 1) & -Kernel.PageSize;
        using MappedMemory memory = MappedMemory.Map(
            -1,
            0,
            length,
            ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE,
            MapFlags.MAP_SHARED | MapFlags.MAP_ANONYMOUS | MapFlags.MAP_NORESERVE);
        return Sys.Open($"/proc/self/map_files/{memory.Address:x}-{memory.Address + (nint)length:x}", OpenFlags.O_RDWR);
    }
}
