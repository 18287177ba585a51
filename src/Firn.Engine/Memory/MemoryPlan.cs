using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Memory;

/// <summary>The restore half of memory: what each process gets, found out and verified before there is any process.</summary>
/// <remarks>
/// In order: <see cref="Make"/>, <see cref="MakeObjects"/> (before files are created, which may need a memfd), <see cref="OpenFiles"/>
/// (after), and for each process <see cref="RestoreInto"/>, its forks, and <see cref="ApplyAfterForking"/>.
/// </remarks>
internal sealed class MemoryPlan : IDisposable
{
    private readonly RestoreContext context;
    private readonly PageSources sources;
    private readonly Dictionary<RestoredTask, TaskMemory> tasks = [];
    private readonly RestoredObjects objects;
    private readonly Func<uint, (ulong Size, ulong PageSize)> segmentSize;
    private bool isAskedForLimit;

    private MemoryPlan(RestoreContext context, PageSources sources, Func<uint, (ulong Size, ulong PageSize)> segmentSize)
    {
        this.context = context;
        this.segmentSize = segmentSize;
        this.sources = sources;
        objects = new RestoredObjects(context, sources);
    }

    /// <summary>How many private pages are read from the images, once all tasks are restored.</summary>
    public long PagesRestored { get; private set; }

    /// <summary>Reads and verifies what concerns memory.</summary>
    /// <param name="context">The restore.</param>
    /// <param name="segmentSize">Tells the size in bytes of a System V segment of the image set, and that of its pages, by its id.</param>
    /// <exception cref="ImageFormatException">It is damaged or not complete.</exception>
    /// <exception cref="CheckpointException">It can't be restored here.</exception>
    public static MemoryPlan Make(RestoreContext context, Func<uint, (ulong Size, ulong PageSize)> segmentSize)
    {
        var plan = new MemoryPlan(context, new PageSources(context.Images.Directory), segmentSize);
        foreach (RestoredTask task in context.Tasks)
        {
            if (!task.IsZombie && task.MemoryOwner == task)
            {
                TaskMemory memory = TaskMemory.Make(task, plan.sources.Resolve(ImageKind.Pagemap, (ulong)task.Pid));
                plan.tasks.Add(task, memory);
                if (task.Creator is not null && plan.tasks.TryGetValue(task.Creator.MemoryOwner, out TaskMemory? parent))
                {
                    memory.Inherit(parent);
                }
            }
        }

        // Children before parents, so that what a grandchild needs is seen by all above it.
        for (int i = context.Tasks.Count - 1; i >= 0; i--)
        {
            RestoredTask task = context.Tasks[i];
            if (plan.SharesWithParent(task))
            {
                plan.tasks[task.Creator!.MemoryOwner].ReachDownFor(plan.tasks[task]);
            }
        }

        plan.objects.Resolve(plan.tasks.Values);
        plan.CheckVdso();
        return plan;
    }

    /// <summary>Whether a process is to be forked after its parent's memory is in place, since it shares pages with it.</summary>
    public bool SharesWithParent(RestoredTask task) => tasks.TryGetValue(task, out TaskMemory? memory) && memory.SharesWithParent;

    /// <summary>Makes memfds and shared anonymous memory, with their content.</summary>
    public void MakeObjects()
    {
        OpenSources();
        objects.Make();
    }

    /// <summary>Opens what mappings need, at numbers that all tasks inherit. All files have been created.</summary>
    public void OpenFiles()
    {
        foreach (TaskMemory memory in tasks.Values)
        {
            foreach (PlannedVma vma in memory.Vmas)
            {
                _ = DescriptorOf(vma.Entry);
            }
        }
    }

    /// <summary>Puts the memory of processes in place, side by side. They run nothing of their own yet.</summary>
    /// <param name="tasks">
    /// The processes, stopped, and whether each was forked from its parent's restored memory; else what it has doesn't matter.
    /// </param>
    /// <param name="scratchAddress">Where the scratch lies, which is left alone.</param>
    /// <param name="scratchSize">Its size in bytes.</param>
    public void RestoreInto(IReadOnlyList<(RestoredTask Task, bool Inherited)> tasks, ulong scratchAddress, ulong scratchSize)
    {
        ReadAheadOfLimit(tasks);
        var scratch = new AddressRange(scratchAddress, scratchAddress + scratchSize);
        List<MemoryBuilder> started = [];
        foreach ((RestoredTask task, bool inherited) in tasks)
        {
            var builder = new MemoryBuilder(
                context, this.tasks[task], task.Leader.Remote.Batch, scratch, DescriptorOf, segmentSize);
            Explain(this.tasks[task], () => builder.Start(inherited, Maps.Read(task.OuterPid)));
            started.Add(builder);
        }

        foreach (MemoryBuilder builder in started)
        {
            Explain(builder.Memory, () => PagesRestored += builder.Finish());
        }
    }

    // What a task that has huge pages is denied, or can't be read into, is one of these.
    private static void Explain(TaskMemory memory, Action work)
    {
        try
        {
            work();
        }
        catch (RemoteCallException exception) when (exception.Errno is Errno.ENOMEM or Errno.EFAULT)
        {
            PlannedVma? huge = memory.Vmas.Find(vma => vma.Entry.Has(MapFlags.MAP_HUGETLB));
            throw huge is null
                ? exception
                : HugePages.TooFew(
                    $"task {memory.Task.Pid}", HugePages.SizeOf(huge.Entry.Flags, ImageKind.Mm.FileName((ulong)memory.Task.Pid)));
        }
    }

    /// <summary>Does what children must not inherit, or what must come late: advice, guard pages, locks, landmarks.</summary>
    public void ApplyAfterForking(IReadOnlyList<RestoredTask> tasks)
    {
        foreach (RestoredTask task in tasks)
        {
            AioRings.Restore(this.tasks[task], task.Leader.Remote.Batch);
        }

        foreach (RestoredTask task in tasks)
        {
            new MemoryFinisher(context, this.tasks[task], task.Leader.Remote.Batch).Start();
        }

        foreach (RestoredTask task in tasks)
        {
            task.Leader.Remote.Batch.Finish();
        }
    }

    /// <summary>Seals that forbid new writable mappings: all mappings exist.</summary>
    public void SealObjects() => objects.Seal();

    /// <inheritdoc/>
    public void Dispose()
    {
        sources.Dispose();
        objects.Dispose();
    }

    private int DescriptorOf(VmaEntry vma)
    {
        if (vma.Is(VmaStatus.SystemVSegment) || (vma.Has(MapFlags.MAP_ANONYMOUS) && !vma.Is(VmaStatus.AnonymousShared)))
        {
            return -1;
        }

        if (vma.Is(VmaStatus.Socket))
        {
            return context.Files[(uint)vma.Shmid].Number;
        }

        if (objects.Find(vma) is { } shared)
        {
            return shared.Number;
        }

        bool isWritable = vma.Is(VmaStatus.FileShared)
            && (vma.HasFdflags
                ? ((OpenFlags)vma.Fdflags & OpenFlags.O_ACCMODE) == OpenFlags.O_RDWR
                : (vma.Protection() & ProtectionFlags.PROT_WRITE) != 0);
        return context.Files.State.Get<MappedFiles>().Get(context, (uint)vma.Shmid, isWritable).Number;
    }

    // The page cache of a file is charged to the memory group of the task that reads it first: a task that sits near its limit could be
    // killed for the images that it reads. Firn reads them first then.
    private void ReadAheadOfLimit(IReadOnlyList<(RestoredTask Task, bool Inherited)> tasks)
    {
        if (isAskedForLimit || tasks.Count == 0)
        {
            return;
        }

        isAskedForLimit = true;
        if (!new MemoryLimit().Concerns(tasks[0].Task.OuterPid))
        {
            return;
        }

        byte[] buffer = GC.AllocateUninitializedArray<byte>(1 << 20);
        foreach (PagesSource source in sources.Files)
        {
            for (long offset = 0; offset < source.Size; offset += buffer.Length)
            {
                _ = Sys.Pread(source.Descriptor!.Number, buffer, offset);
            }
        }
    }

    private void OpenSources()
    {
        foreach (PagesSource source in sources.Files)
        {
            source.Descriptor = context.Files.MoveToRegion(Sys.Open(source.Path, OpenFlags.O_RDONLY));
        }
    }

    // The vdso belongs to the kernel. A process that was in the midst of it, or has its addresses in hand, needs the very same.
    private void CheckVdso()
    {
        List<Mapping> own = Maps.Read(Sys.GetPid());
        Mapping? vdso = own.Find(mapping => mapping.IsNamed("[vdso]"));
        byte[]? code = vdso is null ? null : Read($"/proc/{Sys.GetPid()}/mem", (long)vdso.Start, (int)vdso.Length);
        var compared = new HashSet<(PagesSource, long)>();
        foreach (TaskMemory memory in tasks.Values)
        {
            if (memory.Vdso is null || memory.VdsoPages.Count == 0 || !compared.Add((memory.VdsoPages[0].File, memory.VdsoPages[0].Offset)))
            {
                continue;
            }

            byte[] saved = new byte[memory.Vdso.End - memory.Vdso.Start];
            foreach (SourceRun run in memory.VdsoPages)
            {
                Read(run.File.Path, run.Offset, (int)(run.End - run.Start)).CopyTo(saved, (int)(run.Start - memory.Vdso.Start));
            }

            if (code is null || !Vdso.IsSame(saved, code))
            {
                throw new CheckpointException(
                    $"task {memory.Task.Pid} was saved under another kernel or on another processor: its vdso is not this kernel's; "
                        + "restore it where it was saved")
                {
                    Phase = "prepare",
                    Pid = memory.Task.Pid,
                };
            }
        }
    }

    private static byte[] Read(string path, long offset, int length)
    {
        using Fd fd = Sys.Open(path, OpenFlags.O_RDONLY);
        byte[] bytes = new byte[length];
        int read = Sys.Pread(fd.Number, bytes, offset).OrThrow($"pread({path}, {offset})").Int32;
        return bytes[..read];
    }
}
