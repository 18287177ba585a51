using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Files;

/// <summary>A file without any name left: saved whole, and made again under its old name, which is then taken away again.</summary>
/// <remarks>
/// Descriptors and mappings of one inode share one ghost. unlink(2): the file lives as long as it is open; its link in /proc then says
/// "(deleted)". A file of O_TMPFILE is made by O_TMPFILE again: so linkat(2) can still give it a name.
/// </remarks>
internal static partial class GhostFile
{
    private const int BlockSize = 512;
    private const int LargestChunk = 16 << 20;

    /// <summary>Refuses what is too large, or of a type that can't be saved.</summary>
    public static void Examine(DumpContext context, OpenFile file)
    {
        long stored = file.Stat.st_blocks * BlockSize;
        if (file.FileType == InodeMode.S_IFREG && stored > context.Options.GhostLimit)
        {
            context.Problems.Add(
                "ghost-limit",
                file.Owner.Pid,
                file.Resource,
                $"it has no name left, and its {stored} bytes are more than the limit of {context.Options.GhostLimit} for files that are "
                    + "saved whole",
                $"allow it with --ghost-limit {stored}");
        }
        else if (file.FileType is not (InodeMode.S_IFREG or InodeMode.S_IFDIR or InodeMode.S_IFIFO or InodeMode.S_IFCHR))
        {
            context.Problems.Add(
                "ghost-type",
                file.Owner.Pid,
                file.Resource,
                "it has no name left, and is of a type that can't be saved whole",
                "close it before the dump");
        }
    }

    /// <summary>Saves the file, if no other descriptor of it did already, and joins the entry to it.</summary>
    public static void Dump(DumpContext context, OpenFile file, uint entryId)
    {
        Dictionary<(ulong, ulong), uint> ghosts = context.Files.State.Get<DumpedGhosts>().ByInode;
        var inode = (file.Stat.st_dev, file.Stat.st_ino);
        if (!ghosts.TryGetValue(inode, out uint id))
        {
            ghosts.Add(inode, id = (uint)ghosts.Count + 1);
            DumpInode(context, file, id);
        }

        context.Images.Add(ImageKind.RemapFpath, 0, new RemapFilePathEntry { OrigId = entryId, RemapId = id, RemapType = RemapType.Ghost });
    }

    private static void DumpInode(DumpContext context, OpenFile file, uint id)
    {
        FileStat stat = file.Stat;
        var entry = new GhostFileEntry
        {
            Uid = stat.st_uid,
            Gid = stat.st_gid,
            Mode = stat.st_mode,
            Dev = DeviceNumber.Kernel(stat.st_dev),
            Ino = stat.st_ino,
            Atim = new Timeval { TvSec = stat.st_atime, TvUsec = stat.st_atime_nsec / 1000 },
            Mtim = new Timeval { TvSec = stat.st_mtime, TvUsec = stat.st_mtime_nsec / 1000 },
        };
        if (file.FileType == InodeMode.S_IFCHR)
        {
            entry.Rdev = (uint)stat.st_rdev;
        }

        if (file.FileType != InodeMode.S_IFREG)
        {
            context.Images.Add(ImageKind.GhostFile, id, entry);
            return;
        }

        // To open it would break a lease.
        if (FileLocks.HasLease(file) && (file.Flags & OpenFlags.O_ACCMODE) != OpenFlags.O_WRONLY)
        {
            context.Images.Add(ImageKind.GhostFile, id, entry, Read(file.Taken, 0, stat.st_size, file.Resource));
            return;
        }

        // Opened anew: with a position of its own, and for reading even where the task only writes.
        using Fd content = Sys.Open(file.ProcPath, OpenFlags.O_RDONLY | OpenFlags.O_NOATIME);
        if (stat.st_blocks * BlockSize >= stat.st_size && stat.st_size <= LargestChunk)
        {
            context.Images.Add(ImageKind.GhostFile, id, entry, Read(content, 0, stat.st_size, file.Resource));
            return;
        }

        entry.Chunks = true;
        entry.Size = (ulong)stat.st_size;
        context.Images.Add(ImageKind.GhostFile, id, entry);
        for (long offset = 0; ;)
        {
            SysResult data = Sys.Lseek(content.Number, offset, Seek.SEEK_DATA);
            if (data.Errno == Errno.ENXIO)
            {
                return;
            }

            long start = data.OrThrow($"lseek({file.Resource}, {offset}, SEEK_DATA)").Int64;
            long end = Sys.Lseek(content.Number, start, Seek.SEEK_HOLE).OrThrow($"lseek({file.Resource}, {start}, SEEK_HOLE)").Int64;
            offset = Math.Min(end, start + LargestChunk);
            byte[] bytes = Read(content, start, offset - start, file.Resource);
            context.Images.Add(ImageKind.GhostFile, id, new GhostChunkEntry { Len = (ulong)bytes.Length, Off = (ulong)start }, bytes);
        }
    }

    private static byte[] Read(Fd file, long offset, long length, string name)
    {
        byte[] bytes = new byte[length];
        for (int done = 0; done < bytes.Length;)
        {
            int count = Sys.Pread(file.Number, bytes.AsSpan(done), offset + done).OrThrow($"pread({name}, {offset + done})").Int32;
            if (count == 0)
            {
                throw new CheckpointException($"{name} is shorter than its size says: {offset + done} of {offset + length} bytes");
            }

            done += count;
        }

        return bytes;
    }

    private sealed class DumpedGhosts
    {
        public Dictionary<(ulong Device, ulong Inode), uint> ByInode { get; } = [];
    }
}
