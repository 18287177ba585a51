using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Memory;

/// <summary>The dump half of shared memory objects: memfds, and the files behind shared anonymous memory.</summary>
internal static class SharedObjects
{
    private const string DeletedSuffix = " (deleted)";
    private const string MemfdPrefix = "/memfd:";
    private const string SharedAnonymous = "/dev/zero";

    /// <summary>The device on which the kernel keeps such objects: major and minor number.</summary>
    public static (uint Major, uint Minor) Device()
    {
        const uint CloseOnExec = 1;
        using var probe = new Fd(Sys.MemfdCreate("firn-probe", CloseOnExec).OrThrow("memfd_create(firn-probe)").Int32);
        Sys.Fstat(probe.Number, out FileStat stat).OrThrow("fstat(firn-probe)");
        return DeviceOf(stat);
    }

    /// <summary>The name within a link: as it was given to memfd_create(2), or /dev/zero for shared anonymous memory.</summary>
    public static string NameOf(string link)
    {
        string name = link.EndsWith(DeletedSuffix, StringComparison.Ordinal) ? link[..^DeletedSuffix.Length] : link;
        return name.StartsWith(MemfdPrefix, StringComparison.Ordinal) ? name[MemfdPrefix.Length..] : SharedAnonymous;
    }

    /// <summary>Writes the pages of all objects, and their messages.</summary>
    public static void Write(DumpContext context)
    {
        // Segments of System V have theirs already, since those are in the messages of their namespace.
        HashSet<uint> shmIds = [.. context.Images.Files.Where(file => file.Kind == ImageKind.PagemapShmem).Select(file => (uint)file.Id)];
        foreach ((uint inodeId, OpenFile file) in context.Files.State.Get<MemfdInodes>().All)
        {
            // CRIU takes the inode number for the id. Any number does that no other object has.
            uint shmId = file.Stat.st_ino <= uint.MaxValue ? (uint)file.Stat.st_ino : inodeId;
            while (!shmIds.Add(shmId))
            {
                shmId++;
            }

            Write(context, inodeId, shmId, file);
        }
    }

    /// <summary>The device of a file: major and minor number.</summary>
    public static (uint Major, uint Minor) DeviceOf(in FileStat stat)
        => ((uint)((stat.st_dev >> 8) & 0xfff), (uint)((stat.st_dev & 0xff) | ((stat.st_dev >> 12) & 0xfff00)));

    private static void Write(DumpContext context, uint inodeId, uint shmId, OpenFile file)
    {
        // Opened anew, so that no one's offset moves.
        using Fd source = Sys.Open(file.ProcPath, OpenFlags.O_RDONLY);
        Sys.Fstat(source.Number, out FileStat stat).OrThrow($"fstat({file.ProcPath})");
        SysResult seals = Sys.Fcntl(source.Number, FcntlCommand.F_GET_SEALS);
        ulong pageSize = HugePages.Has(file.ProcPath, stat) ? (ulong)stat.st_blksize : 0;
        var entry = new MemfdInodeEntry
        {
            Name = NameOf(file.Link),
            Uid = stat.st_uid,
            Gid = stat.st_gid,
            Size = (ulong)stat.st_size,
            Shmid = shmId,
            Seals = seals.IsError ? 0 : (uint)seals.Int32,
            InodeId = inodeId,
            Mode = stat.st_mode,
        };
        if (pageSize != 0)
        {
            entry.HugetlbFlag = HugePages.MFD_HUGETLB | HugePages.SizeBits(pageSize);
        }

        context.Images.Add(ImageKind.Memfd, 0, entry);
        WriteContent(context, shmId, source, stat.st_size, pageSize);
    }

    /// <summary>Writes the pages of an object that have content.</summary>
    /// <param name="context">The dump.</param>
    /// <param name="shmId">Its id among shared objects.</param>
    /// <param name="source">Firn's own descriptor of its file.</param>
    /// <param name="size">Its size in bytes.</param>
    /// <param name="pageSize">The size of its pages, where they are huge; else 0.</param>
    public static void WriteContent(DumpContext context, uint shmId, Fd source, long size, ulong pageSize)
    {
        using var target = new PagesFile(context);
        target.Make();
        context.Images.Add(ImageKind.PagemapShmem, shmId, new PagemapHead { PagesId = target.Id });
        long written = 0;
        if (pageSize != 0)
        {
            foreach (AddressRange range in HugePages.Write(source, size, pageSize, target))
            {
                written += (long)range.Length;
                var run = new PageRun(range.Start, range.Length / (ulong)Kernel.PageSize, PageFlags.Present);
                context.Images.Add(ImageKind.PagemapShmem, shmId, MemoryDump.ToMessage(run));
            }

            Count(context, written);
            return;
        }

        foreach ((long start, long end) in FileContent.DataRanges(source.Number, size))
        {
            long length = (end - start + Kernel.PageSize - 1) & -Kernel.PageSize;
            target.Check(FileContent.Copy(source.Number, start, target.Number, written, end - start), end - start);
            written += length;
            var run = new PageRun((ulong)start, (ulong)length / Kernel.PageSize, PageFlags.Present);
            context.Images.Add(ImageKind.PagemapShmem, shmId, MemoryDump.ToMessage(run));
        }

        // The last page of the last run may be cut short by the object's size.
        target.SetSize(written);
        Count(context, written);
    }

    private static void Count(DumpContext context, long written)
    {
        context.PageStatistics.Scanned += written / Kernel.PageSize;
        context.PageStatistics.Written += written / Kernel.PageSize;
    }
}
