using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Memory;

/// <summary>The restore half of shared memory objects.</summary>
internal sealed class RestoredObjects(RestoreContext context, PageSources sources) : IDisposable
{
    private const uint F_SEAL_SEAL = 1;
    private const uint F_SEAL_SHRINK = 2;
    private const uint F_SEAL_GROW = 4;
    private const uint F_SEAL_WRITE = 8;
    private const uint F_SEAL_FUTURE_WRITE = 16;
    private const uint F_SEAL_EXEC = 32;
    private const uint PermissionMask = 0xfff;
    private const string SharedAnonymous = "/dev/zero";

    private readonly Dictionary<uint, (MemfdInodeEntry Entry, List<SourceRun> Pages)> inodes = [];
    private readonly Dictionary<uint, (long Size, List<SourceRun> Pages)> anonymous = [];
    private readonly Dictionary<uint, Fd> inodeFds = [];
    private readonly Dictionary<uint, Fd> anonymousFds = [];

    /// <summary>Reads and verifies the objects.</summary>
    /// <param name="tasks">All tasks, whose mappings tell of shared anonymous memory in sets of older versions.</param>
    /// <exception cref="ImageFormatException">An image is absent or damaged.</exception>
    public void Resolve(IEnumerable<TaskMemory> tasks)
    {
        string name = ImageKind.Memfd.FileName();
        foreach (MemfdInodeEntry entry in context.Images.All<MemfdInodeEntry>(ImageKind.Memfd))
        {
            List<SourceRun> pages = sources.Resolve(ImageKind.PagemapShmem, entry.Shmid);
            if (entry.Size > long.MaxValue || (pages.Count > 0 && pages[^1].End > ((entry.Size + 0xfff) & ~0xfffUL)))
            {
                throw new ImageFormatException(
                    name,
                    -1,
                    ImageDiagnostic.BadPageMap,
                    $"the memfd {entry.Name} has {entry.Size} bytes, and pages beyond; the set is damaged");
            }

            if (!inodes.TryAdd((uint)entry.InodeId, (entry, pages)))
            {
                throw new ImageFormatException(
                    name, -1, ImageDiagnostic.BadMessage, $"the id {entry.InodeId} is there twice; the set is damaged");
            }
        }

        foreach (VmaEntry vma in tasks.SelectMany(task => task.Vmas).Select(vma => vma.Entry)
            .Where(vma => vma.Is(VmaStatus.AnonymousShared) && !vma.Is(VmaStatus.SystemVSegment)))
        {
            uint id = (uint)vma.Shmid;
            long size = (long)(vma.Pgoff + (vma.End - vma.Start));
            if (!anonymous.TryGetValue(id, out (long Size, List<SourceRun> Pages) known))
            {
                known = (0, sources.Resolve(ImageKind.PagemapShmem, id));
            }

            anonymous[id] = (Math.Max(size, known.Size), known.Pages);
        }
    }

    /// <summary>Makes all objects. The pages files are open.</summary>
    public void Make()
    {
        MemfdObjects known = context.Files.State.Get<MemfdObjects>();
        foreach ((uint id, (MemfdInodeEntry entry, List<SourceRun> pages)) in inodes)
        {
            Fd fd = context.Files.MoveToRegion(Make(entry));
            ulong pageSize = PageSizeOf(entry);
            if (pageSize != 0)
            {
                HugePages.Fill(fd, pages, pageSize, $"memfd {entry.Name}");
            }
            else
            {
                Fill(fd, pages, (long)entry.Size);
            }

            Dress(fd, entry);
            inodeFds.Add(id, fd);
            known.Provide(id, fd);
        }

        foreach ((uint id, (long size, List<SourceRun> pages)) in anonymous)
        {
            Fd fd = context.Files.MoveToRegion(FileContent.MakeSharedAnonymous(size));
            Fill(fd, pages, size);
            anonymousFds.Add(id, fd);
        }
    }

    /// <summary>The object that a mapping is of, or null when it is of an ordinary file or of none.</summary>
    public Fd? Find(VmaEntry vma)
    {
        uint id = (uint)vma.Shmid;
        if (vma.Is(VmaStatus.AnonymousShared))
        {
            return anonymousFds[id];
        }

        // The seals that a mapping minds are minded by the object, so whether it may be written is up to the descriptor alone.
        bool isReadOnly = vma.Is(VmaStatus.FileShared) && ((OpenFlags)vma.Fdflags & OpenFlags.O_ACCMODE) != OpenFlags.O_RDWR;
        return !isReadOnly && context.Files.Entries.TryGetValue(id, out FileEntry? entry) && entry.Memfd is not null
            ? inodeFds.GetValueOrDefault(entry.Memfd.InodeId)
            : null;
    }

    /// <summary>Adds the seals that would have hindered mapping.</summary>
    public void Seal()
    {
        foreach ((uint id, (MemfdInodeEntry entry, _)) in inodes)
        {
            uint late = entry.Seals & (F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
            if ((late & F_SEAL_FUTURE_WRITE) != 0 || ((late & F_SEAL_SEAL) != 0 && entry.Seals != F_SEAL_SEAL))
            {
                AddSeals(inodeFds[id], entry, late);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // The memfds are the table's by now (MemfdObjects).
        foreach (Fd fd in anonymousFds.Values)
        {
            fd.Dispose();
        }
    }

    private static ulong PageSizeOf(MemfdInodeEntry entry)
        => entry.HasHugetlbFlag && entry.HugetlbFlag != 0 ? HugePages.SizeOf(entry.HugetlbFlag, ImageKind.Memfd.FileName()) : 0;

    private static Fd Make(MemfdInodeEntry entry)
    {
        ulong pageSize = PageSizeOf(entry);
        if (pageSize != 0 && entry.Size % pageSize != 0)
        {
            throw new ImageFormatException(
                ImageKind.Memfd.FileName(),
                -1,
                ImageDiagnostic.BadMessage,
                $"gives the memfd {entry.Name} {entry.Size} bytes, which are no whole huge pages; the set is damaged");
        }

        if (entry.Name == SharedAnonymous)
        {
            return pageSize != 0
                ? HugePages.MakeSharedAnonymous((long)entry.Size, pageSize)
                : FileContent.MakeSharedAnonymous((long)entry.Size);
        }

        // Without the flag an object is sealed against sealing from the start.
        uint flags = Memfd.MFD_CLOEXEC | (entry.Seals == F_SEAL_SEAL ? 0 : Memfd.MFD_ALLOW_SEALING)
            | (pageSize != 0 ? HugePages.MFD_HUGETLB | HugePages.SizeBits(pageSize) : 0);
        var fd = new Fd(Sys.MemfdCreate(entry.Name, flags).OrThrow($"memfd_create({entry.Name})").Int32);
        Sys.Ftruncate(fd.Number, (long)entry.Size).OrThrow($"ftruncate(memfd {entry.Name}, {entry.Size})");
        return fd;
    }

    /// <summary>Copies pages into an object.</summary>
    internal static void Fill(Fd fd, List<SourceRun> pages, long size)
    {
        foreach (SourceRun run in pages)
        {
            long length = Math.Min((long)(run.End - run.Start), size - (long)run.Start);
            SysResult copied = FileContent.Copy(run.File.Descriptor!.Number, run.Offset, fd.Number, (long)run.Start, length);
            if (copied.OrThrow($"sendfile({run.File.Path}, {length} bytes into shared memory)").Int64 != length)
            {
                throw new ImageFormatException(
                    run.File.Path, run.Offset, ImageDiagnostic.Truncated, "the file ends within the pages of a shared memory object");
            }
        }

        Sys.Lseek(fd.Number, 0, 0).OrThrow("lseek(memfd, 0)");
    }

    private static void Dress(Fd fd, MemfdInodeEntry entry)
    {
        Sys.Fstat(fd.Number, out FileStat stat).OrThrow($"fstat(memfd {entry.Name})");
        if (stat.st_uid != entry.Uid || stat.st_gid != entry.Gid)
        {
            Sys.Fchown(fd.Number, entry.Uid, entry.Gid).OrThrow($"fchown(memfd {entry.Name}, {entry.Uid}, {entry.Gid})");
        }

        if (entry.HasMode && ((stat.st_mode ^ entry.Mode) & PermissionMask) != 0)
        {
            Sys.Fchmod(fd.Number, entry.Mode & PermissionMask).OrThrow($"fchmod(memfd {entry.Name}, {entry.Mode:x})");
        }

        AddSeals(fd, entry, entry.Seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_EXEC));
    }

    private static void AddSeals(Fd fd, MemfdInodeEntry entry, uint seals)
    {
        if (seals != 0)
        {
            Sys.Fcntl(fd.Number, FcntlCommand.F_ADD_SEALS, (nint)seals).OrThrow($"fcntl(memfd {entry.Name}, F_ADD_SEALS, {seals:x})");
        }
    }
}
