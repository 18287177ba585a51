using Firn.Engine.Memory;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>Segments of shared memory of System V, with their content. sysvipc(7), shmctl(2).</summary>
/// <remarks>
/// All with the thread in the ipc namespace. The content is read and filled through the file behind an attached segment, which
/// /proc/PID/map_files leads to. Who attaches a segment is a matter of mappings (<see cref="VmaStatus.SystemVSegment"/>).
/// </remarks>
internal static class SystemVMemory
{
    private const uint PermissionBits = 0x1ff;

    // ---- dump

    /// <summary>Refuses segments of huge pages.</summary>
    public static void Examine(DumpContext context, DumpedNamespace own)
    {
        (uint Major, uint Minor) ordinary = SharedObjects.Device();
        foreach ((int id, Shmid64Ds segment) in All())
        {
            using Attached attached = Attached.To(id, segment.shm_segsz, IpcFlags.SHM_RDONLY);
            Sys.Fstat(attached.File.Number, out FileStat stat).OrThrow($"fstat(segment {id})");
            if (SharedObjects.DeviceOf(stat) != ordinary)
            {
                context.Problems.Add(
                    "hugetlb",
                    own.Member.Pid,
                    $"System V segment {id}",
                    "it is made of huge pages (SHM_HUGETLB)",
                    "use a segment of ordinary pages");
            }
        }
    }

    /// <summary>Saves all segments.</summary>
    public static void Dump(DumpContext context, DumpedNamespace own)
    {
        foreach ((int id, Shmid64Ds segment) in All())
        {
            var entry = new IpcShmEntry { Desc = IpcNamespace.Describe(segment.shm_perm, id), Size = segment.shm_segsz };
            using Attached attached = Attached.To(id, segment.shm_segsz, IpcFlags.SHM_RDONLY);
            if (own.IsNested)
            {
                // Page maps go by the id alone, and that may be another's in the root's namespace.
                context.Images.Add(ImageKind.IpcnsShm, own.Id, entry, Read(attached.File, segment.shm_segsz));
                continue;
            }

            entry.InPagemaps = true;
            context.Images.Add(ImageKind.IpcnsShm, own.Id, entry);
            SharedObjects.WriteContent(context, (uint)id, attached.File, (long)segment.shm_segsz);
        }
    }

    // ---- restore

    /// <summary>Reads and verifies the segments, and opens the files with their content: before the thread goes anywhere.</summary>
    public static void Resolve(RestoreContext context, RestoredNamespace own)
    {
        Contents contents = context.Files.State.Get<Contents>();
        contents.Sources ??= new PageSources(context.Images.Directory);
        foreach (ImageEntry image in context.Images.Entries(ImageKind.IpcnsShm, own.Id))
        {
            var entry = (IpcShmEntry)image.Message;
            if (entry.HasHugetlbFlag && entry.HugetlbFlag != 0)
            {
                throw new CheckpointException($"System V segment {entry.Desc.Id} is made of huge pages, which firn can't restore yet")
                {
                    Phase = "prepare",
                };
            }

            List<SourceRun> pages = entry.InPagemaps ? contents.Sources.Resolve(ImageKind.PagemapShmem, entry.Desc.Id) : [];
            contents.ById.Add((own.Id, entry.Desc.Id), new Content(entry, pages, image.Payload));
        }

        foreach (PagesSource source in contents.Sources.Files)
        {
            source.Descriptor ??= Sys.Open(source.Path, OpenFlags.O_RDONLY);
        }
    }

    /// <summary>Makes all segments.</summary>
    public static void Restore(RestoreContext context, RestoredNamespace own)
    {
        Contents contents = context.Files.State.Get<Contents>();
        foreach ((IpcShmEntry entry, List<SourceRun> pages, ReadOnlyMemory<byte> payload) in contents.Of(own))
        {
            IpcNamespace.ChooseNextId("shm", entry.Desc.Id);
            int flags = (int)(IpcFlags.IPC_CREAT | IpcFlags.IPC_EXCL) | (int)(entry.Desc.Mode & PermissionBits);
            int id;
            using (BorrowedIdentity.Of(0, entry.Desc.Cuid, entry.Desc.Cgid))
            {
                id = IpcNamespace.Demand(Sys.ShmGet((int)entry.Desc.Key, entry.Size, flags), entry.Desc, "shared memory segment");
            }

            using (Attached attached = Attached.To(id, entry.Size, 0))
            {
                RestoredObjects.Fill(attached.File, pages, (long)entry.Size);
                if (payload.Length > 0)
                {
                    Sys.Pwrite(attached.File.Number, payload.Span, 0).OrThrow($"pwrite(segment {id})");
                }
            }

            var segment = new Shmid64Ds
            {
                shm_perm = new Ipc64Perm { uid = entry.Desc.Uid, gid = entry.Desc.Gid, mode = entry.Desc.Mode & PermissionBits },
            };
            Sys.ShmCtl(id, IpcCommand.IPC_SET, ref segment).OrThrow($"shmctl({id}, IPC_SET)");
        }
    }

    /// <summary>The size of a segment that a mapping is of.</summary>
    /// <exception cref="ImageFormatException">The image set has no such segment, or the tree has no ipc namespace.</exception>
    public static ulong SizeOf(RestoreContext context, RestoredTask task, uint id)
        => context.Files.State.Get<Contents>().ById.TryGetValue((task.Ids.IpcNsId, id), out Content known)
            ? (known.Entry.Size + 0xfff) & ~0xfffUL
            : throw new ImageFormatException(
                "ipcns-shm.img", -1, "ipc-segment", $"has no segment {id}, which a task has attached; the image set is not complete");

    /// <summary>Whether there are segments that go when the last task has detached them.</summary>
    public static bool HasVanishing(RestoreContext context, RestoredNamespace own) => Vanishing(context, own).Any();

    /// <summary>Marks the segments that go when the last task has detached them: all have attached them by now.</summary>
    public static void Vanish(RestoreContext context, RestoredNamespace own)
    {
        var unused = default(Shmid64Ds);
        foreach (IpcShmEntry entry in Vanishing(context, own))
        {
            Sys.ShmCtl((int)entry.Desc.Id, IpcCommand.IPC_RMID, ref unused).OrThrow($"shmctl({entry.Desc.Id}, IPC_RMID)");
        }
    }

    private static IEnumerable<IpcShmEntry> Vanishing(RestoreContext context, RestoredNamespace own)
        => context.Files.State.Get<Contents>().Of(own).Select(known => known.Entry)
            .Where(entry => (entry.Desc.Mode & Shmid64Ds.SHM_DEST) != 0);

    private static byte[] Read(Fd file, ulong size)
    {
        byte[] bytes = new byte[size];
        foreach ((long start, long end) in FileContent.DataRanges(file.Number, (long)size))
        {
            for (long offset = start; offset < end;)
            {
                int count = Sys.Pread(file.Number, bytes.AsSpan((int)offset, (int)(end - offset)), offset).OrThrow("pread(segment)").Int32;
                offset += Math.Max(count, 1);
            }
        }

        return bytes;
    }

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

    /// <summary>A segment: its pages, or all its bytes.</summary>
    private readonly record struct Content(IpcShmEntry Entry, List<SourceRun> Pages, ReadOnlyMemory<byte> Payload);

    /// <summary>What is in the segments of an image set, by namespace and id.</summary>
    private sealed class Contents : IDisposable
    {
        public PageSources? Sources { get; set; }

        public Dictionary<(uint Namespace, uint Id), Content> ById { get; } = [];

        public IEnumerable<Content> Of(RestoredNamespace own)
            => ById.Where(row => row.Key.Namespace == own.Id).Select(row => row.Value);

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
            ulong end = start + ((size + 0xfff) & ~0xfffUL);
            string path = $"{NamespaceVisit.OwnProc}self/map_files/{start:x}-{end:x}";
            SysResult opened = Sys.OpenAt(
                At.AT_FDCWD,
                path,
                (flags == 0 ? OpenFlags.O_RDWR : OpenFlags.O_RDONLY) | OpenFlags.O_CLOEXEC,
                0);
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
