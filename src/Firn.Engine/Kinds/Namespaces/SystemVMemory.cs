using Firn.Engine.Memory;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>Segments of shared memory of System V, with their content. sysvipc(7), shmctl(2).</summary>
/// <remarks>
/// All with the thread in the ipc namespace. The content is read and filled through the file behind an attached segment, which
/// /proc/PID/map_files leads to. Who attaches a segment is a matter of mappings (<see cref="VmaStatus.SystemVSegment"/>). What a tree
/// without a namespace of its own has attached is <see cref="AttachedSegments"/>' business.
/// </remarks>
internal static class SystemVMemory
{
    private const uint PermissionBits = 0x1ff;

    // ---- dump

    /// <summary>Saves all segments.</summary>
    public static void Dump(DumpContext context, DumpedNamespace own)
    {
        foreach ((int id, Shmid64Ds segment) in All())
        {
            using Attached attached = Attached.To(id, segment.shm_segsz, IpcFlags.SHM_RDONLY);
            Write(context, own.Id, Describe(segment, id), attached.File);
        }
    }

    /// <summary>Whether there are segments in the ipc namespace that the thread is in.</summary>
    public static bool Exists() => All().Count > 0;

    /// <summary>Saves a segment.</summary>
    /// <param name="context">The dump.</param>
    /// <param name="namespaceId">The id of the ipc namespace, in the name of its image.</param>
    /// <param name="entry">Its message.</param>
    /// <param name="content">The file behind it.</param>
    public static void Write(DumpContext context, uint namespaceId, IpcShmEntry entry, Fd content)
    {
        ulong pageSize = HugePages.SizeOf(content.Number);
        if (pageSize != 0)
        {
            entry.HugetlbFlag = HugePages.SHM_HUGETLB | HugePages.SizeBits(pageSize);
        }

        context.Images.Add(ImageKind.IpcnsShm, namespaceId, entry);
        SharedObjects.WriteContent(context, entry.Desc.Id, content, (long)Whole(entry.Size, pageSize), pageSize);
    }

    /// <summary>The message of a segment.</summary>
    public static IpcShmEntry Describe(in Shmid64Ds segment, int id)
        => new() { Desc = IpcNamespace.Describe(segment.shm_perm, id), Size = segment.shm_segsz, InPagemaps = true };

    // ---- restore

    /// <summary>Reads and verifies the segments, and opens the files with their content: before the thread goes anywhere.</summary>
    public static void Resolve(RestoreContext context, uint namespaceId)
    {
        Contents contents = context.Files.State.Get<Contents>();
        contents.Sources = new PageSources(context.Images.Directory);
        foreach (ImageEntry image in context.Images.Entries(ImageKind.IpcnsShm, namespaceId))
        {
            var entry = (IpcShmEntry)image.Message;
            List<SourceRun> pages = entry.InPagemaps ? contents.Sources.Resolve(ImageKind.PagemapShmem, entry.Desc.Id) : [];
            contents.ById.Add(entry.Desc.Id, (entry, pages, image.Payload));
        }

        foreach (PagesSource source in contents.Sources.Files)
        {
            source.Descriptor = Sys.Open(source.Path, OpenFlags.O_RDONLY);
        }
    }

    /// <summary>Makes all segments.</summary>
    public static void Restore(RestoreContext context, RestoredNamespace own)
    {
        foreach (IpcShmEntry entry in Entries(context))
        {
            IpcNamespace.Demand(Make(entry), entry.Desc, "shared memory segment");
            Fill(context, entry.Desc.Id, false);
        }
    }

    /// <summary>All segments of the image set.</summary>
    public static List<IpcShmEntry> Entries(RestoreContext context)
        => [.. context.Files.State.Get<Contents>().ById.Values.Select(known => known.Entry)];

    /// <summary>Makes a segment, empty.</summary>
    /// <returns>Its id: another than it had, if that is another segment's.</returns>
    public static SysResult Make(IpcShmEntry entry)
    {
        IpcNamespace.ChooseNextId("shm", entry.Desc.Id);
        int flags = (int)(IpcFlags.IPC_CREAT | IpcFlags.IPC_EXCL) | (int)(entry.Desc.Mode & PermissionBits);
        ulong pageSize = PageSizeOf(entry);
        flags |= pageSize == 0 ? 0 : (int)(HugePages.SHM_HUGETLB | HugePages.SizeBits(pageSize));
        SysResult made;
        using (BorrowedIdentity.Of(0, entry.Desc.Cuid, entry.Desc.Cgid))
        {
            made = Sys.ShmGet((int)entry.Desc.Key, entry.Size, flags);
        }

        if (made.Errno == Errno.ENOMEM && pageSize != 0)
        {
            throw HugePages.TooFew($"System V segment {entry.Desc.Id}", pageSize);
        }

        int id = made.OrThrow($"shmget(0x{entry.Desc.Key:x}, {entry.Size})").Int32;
        var segment = new Shmid64Ds
        {
            shm_perm = new Ipc64Perm { uid = entry.Desc.Uid, gid = entry.Desc.Gid, mode = entry.Desc.Mode & PermissionBits },
        };
        Sys.ShmCtl(id, IpcCommand.IPC_SET, ref segment).OrThrow($"shmctl({id}, IPC_SET)");
        return made;
    }

    /// <summary>Puts the content of a segment in place.</summary>
    /// <param name="context">The restore.</param>
    /// <param name="id">The segment.</param>
    /// <param name="isUsed">Whether it may have another content yet.</param>
    public static void Fill(RestoreContext context, uint id, bool isUsed)
    {
        (IpcShmEntry entry, List<SourceRun> pages, ReadOnlyMemory<byte> payload) = context.Files.State.Get<Contents>().ById[id];
        ulong pageSize = PageSizeOf(entry);
        using Attached attached = Attached.To((int)id, entry.Size, 0);
        if (isUsed)
        {
            const AllocateMode Empty = AllocateMode.FALLOC_FL_PUNCH_HOLE | AllocateMode.FALLOC_FL_KEEP_SIZE;
            Sys.Fallocate(attached.File.Number, Empty, 0, (long)Whole(entry.Size, pageSize)).OrThrow($"fallocate(segment {id})");
        }

        if (pageSize != 0)
        {
            HugePages.Fill(attached.File, pages, pageSize, $"System V segment {id}");
            return;
        }

        RestoredObjects.Fill(attached.File, pages, (long)entry.Size);
        if (payload.Length > 0)
        {
            Sys.Pwrite(attached.File.Number, payload.Span, 0).OrThrow($"pwrite(segment {id})");
        }
    }

    /// <summary>The size of a segment that a mapping is of, in whole pages, and the size of these.</summary>
    /// <exception cref="ImageFormatException">The image set has no such segment.</exception>
    public static (ulong Size, ulong PageSize) SizeOf(RestoreContext context, uint id)
        => context.Files.State.Get<Contents>().ById.TryGetValue(id, out (IpcShmEntry Entry, List<SourceRun>, ReadOnlyMemory<byte>) known)
            ? (Whole(known.Entry.Size, PageSizeOf(known.Entry)), Math.Max(PageSizeOf(known.Entry), (ulong)Kernel.PageSize))
            : throw new ImageFormatException(
                "ipcns-shm.img", -1, "ipc-segment", $"has no segment {id}, which a task has attached; the image set is not complete");

    /// <summary>Whether there are segments that go when the last task has detached them.</summary>
    public static bool HasVanishing(RestoreContext context) => Vanishing(context).Any();

    /// <summary>Marks the segments that go when the last task has detached them: all have attached them by now.</summary>
    public static void Vanish(RestoreContext context)
    {
        var unused = default(Shmid64Ds);
        foreach (IpcShmEntry entry in Vanishing(context))
        {
            Sys.ShmCtl((int)entry.Desc.Id, IpcCommand.IPC_RMID, ref unused).OrThrow($"shmctl({entry.Desc.Id}, IPC_RMID)");
        }
    }

    private static ulong PageSizeOf(IpcShmEntry entry)
        => entry.HasHugetlbFlag && entry.HugetlbFlag != 0 ? HugePages.SizeOf(entry.HugetlbFlag, "ipcns-shm.img") : 0;

    private static ulong Whole(ulong size, ulong pageSize)
    {
        ulong page = Math.Max(pageSize, (ulong)Kernel.PageSize);
        return (size + page - 1) & ~(page - 1);
    }

    private static IEnumerable<IpcShmEntry> Vanishing(RestoreContext context)
        => context.Files.State.Get<Contents>().ById.Values.Select(known => known.Entry)
            .Where(entry => (entry.Desc.Mode & Shmid64Ds.SHM_DEST) != 0);

    private static List<(int Id, Shmid64Ds Segment)> All()
    {
        List<(int, Shmid64Ds)> all = [];
        var segment = default(Shmid64Ds);
        int highest = Sys.ShmCtl(0, IpcCommand.SHM_INFO, ref segment).OrThrow("shmctl(SHM_INFO)").Int32;
        for (int index = 0; index <= highest; index++)
        {
            SysResult found = Sys.ShmCtl(index, IpcCommand.SHM_STAT_ANY, ref segment);
            if (!found.IsError)
            {
                all.Add((found.Int32, segment));
            }
        }

        return all;
    }

    /// <summary>What is in the segments of an image set.</summary>
    private sealed class Contents : IDisposable
    {
        public PageSources? Sources { get; set; }

        public Dictionary<uint, (IpcShmEntry Entry, List<SourceRun> Pages, ReadOnlyMemory<byte> Payload)> ById { get; } = [];

        public void Dispose() => Sources?.Dispose();
    }

    /// <summary>A segment that Firn has attached for a moment, and the file behind it.</summary>
    private sealed class Attached : IDisposable
    {
        private readonly nint address;

        private Attached(nint address, Fd file)
        {
            this.address = address;
            File = file;
        }

        public Fd File { get; }

        public static Attached To(int id, ulong size, IpcFlags flags)
        {
            nint address = Sys.ShmAt(id, flags).OrThrow($"shmat({id})").Raw;
            ulong start = (ulong)address;
            SysResult opened = default;
            string path = string.Empty;

            // The size of its pages can't be asked for: a range that ends elsewhere is not there.
            foreach (ulong pageSize in HugePages.PageSizes)
            {
                path = $"{NamespaceVisit.OwnProc}self/map_files/{start:x}-{start + Whole(size, pageSize):x}";
                opened = Sys.OpenAt(
                    At.AT_FDCWD,
                    path,
                    (flags == 0 ? OpenFlags.O_RDWR : OpenFlags.O_RDONLY) | OpenFlags.O_CLOEXEC,
                    0);
                if (opened.Errno != Errno.ENOENT)
                {
                    break;
                }
            }

            if (opened.IsError)
            {
                Sys.ShmDt(address).OrThrow("shmdt");
            }

            return new Attached(address, new Fd(opened.OrThrow($"openat({path})").Int32));
        }

        public void Dispose()
        {
            File.Dispose();
            Sys.ShmDt(address).OrThrow("shmdt");
        }
    }
}
