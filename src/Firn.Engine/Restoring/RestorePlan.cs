using Firn.Engine.Hooks;
using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Memory;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Restoring;

/// <summary>What a restore is going to do, found out and verified before there is any process.</summary>
internal sealed class RestorePlan
{
    private const int ScratchPerTask = 256 << 10;
    private const int ScratchPerThread = 12 << 10;
    private const int MainBatch = 192 << 10;
    private const int ThreadBatch = 8 << 10;

    // A region where neither the seed nor an ordinary program has anything, tried first.
    private const ulong PreferredScratch = 0x1000_0000_0000;

    private RestorePlan(RestoreContext context, MemoryPlan memory)
    {
        Context = context;
        Memory = memory;
    }

    /// <summary>What the stages share.</summary>
    public RestoreContext Context { get; }

    /// <summary>How memory is put back.</summary>
    public MemoryPlan Memory { get; }

    /// <summary>Where the scratch lies in all tasks.</summary>
    public ulong ScratchAddress { get; private init; }

    /// <summary>Its size in bytes.</summary>
    public int ScratchSize { get; private init; }

    /// <summary>Bytes of a leader's batch, and of that of an init which Firn adds.</summary>
    public static int LeaderBatchSize => MainBatch;

    /// <summary>Bytes of another thread's batch.</summary>
    public static int ThreadBatchSize => ThreadBatch;

    /// <summary>Reads and verifies an image set.</summary>
    /// <exception cref="ImageFormatException">It is damaged or not complete.</exception>
    public static RestorePlan Make(RestoreOptions options, ILogger log)
    {
        Privilege.Demand("prepare");
        if (!Directory.Exists(options.ImagesDirectory))
        {
            throw new CheckpointException(
                $"images directory {options.ImagesDirectory} does not exist; name one with --images-dir")
            { Phase = "prepare" };
        }

        var images = new LoadedImages(options.ImagesDirectory);
        CheckInventory(images);
        List<RestoredTask> tasks = ReadTree(images);
        List<RestoredNamespace> namespaces = NamespaceStage.Plan(options, images, tasks);
        List<RestoredNamespace> nested = NestedStage.Plan(images, tasks);
        List<NestedPids> pids = NestedPids.Plan(images, tasks);
        images.Ids = UserNamespace.Resolve(images, namespaces);
        int lowest = namespaces.Count + nested.Count > 0 ? Handover.LowestRegion : DescriptorNumbers.Lowest;
        var context = new RestoreContext
        {
            Options = options,
            Log = log,
            Images = images,
            Hooks = new HookCaller(options.Hooks, options.ImagesDirectory, log),
            Files = DescriptorTables.Prepare(images, tasks, lowest),
        };
        context.Tasks.AddRange(tasks);
        context.Namespaces.AddRange(namespaces);
        AttachedSegments.Resolve(context);
        context.Nested.AddRange(nested);
        context.NestedPids.AddRange(pids);
        NestedUserStage.Plan(context);
        MemoryPlan memory = MemoryPlan.Make(context, id => SystemVMemory.SizeOf(context, id));
        int threads = tasks.Sum(task => task.Threads.Count);
        int processes = tasks.Count + 1 + AbsentLeaders.Count(tasks) + NestedUserStage.CountHelpers(context);
        int size = (Kernel.PageSize + (processes * ScratchPerTask) + (threads * ScratchPerThread) + 0xffff) & ~0xffff;
        return new RestorePlan(context, memory) { ScratchSize = size, ScratchAddress = FindHole(tasks, (ulong)size) };
    }

    private static void CheckInventory(LoadedImages images)
    {
        if (!File.Exists(Path.Combine(images.Directory, "inventory.img")))
        {
            throw new CheckpointException(
                $"{images.Directory} holds no inventory.img: it is no image set, or its dump did not come to its end; dump again")
            { Phase = "prepare" };
        }

        var inventory = images.One<InventoryEntry>(ImageKind.Inventory);
        if (inventory.ImgVersion is not (1 or 2) || !inventory.FdinfoPerId)
        {
            throw new ImageFormatException(
                "inventory.img",
                0,
                "image-version",
                $"has version {inventory.ImgVersion}, which this firn does not read; restore with the program that wrote it");
        }
    }

    private static List<RestoredTask> ReadTree(LoadedImages images)
    {
        List<RestoredTask> tasks = [];
        Dictionary<uint, RestoredTask> byPid = [];
        HashSet<uint> ids = [];
        var seen = new SharedState.Seen();
        foreach (PstreeEntry entry in images.All<PstreeEntry>(ImageKind.Pstree))
        {
            RestoredTask? parent = null;
            if (tasks.Count > 0 && !byPid.TryGetValue(entry.Ppid, out parent))
            {
                throw Damaged($"names {entry.Ppid} as the parent of {entry.Pid}, which does not stand before it");
            }

            // Pids are below 2^22 on any kernel (PID_MAX_LIMIT, include/linux/threads.h).
            if (entry.Threads.Count == 0
                || entry.Threads[0] != entry.Pid
                || entry.Threads.Any(tid => tid is 0 or > 1 << 22 || !ids.Add(tid)))
            {
                throw Damaged($"gives task {entry.Pid} threads that can't be: none, one twice, or an id out of range");
            }

            CheckNestedIds(entry);

            RestoredTask task = ReadTask(images, entry, parent);
            SetCreator(images, task, seen, tasks);
            parent?.Children.Add(task);
            byPid.Add(entry.Pid, task);
            tasks.Add(task);
        }

        return tasks.Count > 0 ? tasks : throw Damaged("holds no task");

        static ImageFormatException Damaged(string what)
            => new("pstree.img", 0, "process-tree", what + "; the image set is damaged: dump again");
    }

    private static void CheckNestedIds(PstreeEntry entry)
    {
        // MAX_PID_NS_LEVEL of include/linux/pid_namespace.h.
        const int Deepest = 32;
        int depth = entry.NestedThreads.Count == 0 ? 0 : entry.NestedThreads[0].Ids.Count;
        bool isRight = entry.NestedThreads.Count == 0
            ? entry.NestedGroup is null && entry.NestedSession is null
            : depth is > 0 and <= Deepest
                && entry.NestedThreads.Count == entry.Threads.Count
                && entry.NestedThreads.All(ids => ids.Ids.Count == depth && ids.Ids.All(id => id is > 0 and <= 1 << 22))
                && entry.NestedGroup?.Ids.Count == depth
                && entry.NestedSession?.Ids.Count == depth;
        if (!isRight)
        {
            throw new ImageFormatException(
                ImageKind.Pstree.FileName(0),
                0,
                "nested-ids",
                $"gives task {entry.Pid} ids in pid namespaces that can't be; the image set is damaged: dump again");
        }
    }

    private static RestoredTask ReadTask(LoadedImages images, PstreeEntry entry, RestoredTask? parent)
    {
        CoreEntry core = ReadCore(images, entry.Pid);
        if (core.Tc is null)
        {
            throw new ImageFormatException(
                $"core-{entry.Pid}.img", 0, "task-core", "lacks what belongs to the process; the image set is damaged: dump again");
        }

        bool isZombie = core.Tc.TaskState == RestoredTask.DeadState;
        TaskKobjIdsEntry ids = isZombie ? core.Ids ?? new TaskKobjIdsEntry() : images.One<TaskKobjIdsEntry>(ImageKind.Ids, entry.Pid);
        var task = new RestoredTask
        {
            Entry = entry,
            Parent = parent,
            Ids = ids,
            Fs = isZombie ? null : images.One<FsEntry>(ImageKind.Fs, entry.Pid),
            Descriptors = isZombie ? [] : [.. images.All<FdinfoEntry>(ImageKind.Fdinfo, ids.FilesId)],
        };
        foreach (FdinfoEntry descriptor in task.Descriptors)
        {
            if (descriptor.Fd > 1 << 20)
            {
                throw new ImageFormatException(
                    ImageKind.Fdinfo.FileName(ids.FilesId),
                    0,
                    "descriptor",
                    $"names descriptor {descriptor.Fd}, more than a task can have");
            }
        }

        for (int i = 0; i < entry.Threads.Count; i++)
        {
            uint tid = entry.Threads[i];
            CoreEntry threadCore = tid == entry.Pid ? core : ReadCore(images, tid);
            IReadOnlyList<uint> nested = entry.NestedThreads.Count > 0 ? entry.NestedThreads[i].Ids : [];
            task.Threads.Add(new RestoredThread { Task = task, Tid = (int)tid, Nested = nested, Core = threadCore });
        }

        if (!isZombie && task is { HasDeadLeader: true, Threads.Count: 1 })
        {
            throw new ImageFormatException(
                $"core-{entry.Pid}.img",
                0,
                "task-core",
                "says that its thread has exited while others run, and there are none; the image set is damaged: dump again");
        }

        return task;
    }

    // Who has the memory of another has no image of it.
    private static void SetCreator(LoadedImages images, RestoredTask task, SharedState.Seen seen, List<RestoredTask> earlier)
    {
        task.Creator = task.Parent;
        if (!task.IsZombie)
        {
            task.Shared = seen.Add(task.Ids);
            if (task.Shared != 0)
            {
                task.Creator = SharedState.FindCreator(task, task.Shared, earlier, one => one.Ids, one => one.Parent)
                    ?? throw new ImageFormatException(
                        ImageKind.Ids.FileName((ulong)task.Pid), 0, "task-core",
                        "says that the task shares what none of its kin has; the image set is damaged: dump again");
            }

            task.Mm = task.MemoryOwner == task ? images.One<MmEntry>(ImageKind.Mm, (ulong)task.Pid) : task.MemoryOwner.Mm;
            task.Creator = ComesFrom(task, earlier) ?? task.Creator;
        }

        task.Creator?.Created.Add(task);
    }

    // A sibling makes it where they share pages, and sessions allow: else the parent, and the pages are copied.
    private static RestoredTask? ComesFrom(RestoredTask task, List<RestoredTask> earlier)
        => task.Shared == 0 && task.Mm is { HasForkedFrom: true } mm
            ? earlier.Find(one => one.Pid == mm.ForkedFrom && one.Parent == task.Parent && !one.IsZombie && one.MemoryOwner == one
                && (task.Entry.Sid == one.Entry.Sid || task.Entry.Sid == task.Entry.Pid))
            : null;

    private static CoreEntry ReadCore(LoadedImages images, uint tid)
    {
        var core = images.One<CoreEntry>(ImageKind.Core, tid);
        if (core.Mtype != CoreEntry.Types.March.X8664)
        {
            throw new ImageFormatException(
                $"core-{tid}.img",
                0,
                "machine",
                $"is of a task on {core.Mtype}, and this machine is x86_64; restore it on a machine of its kind");
        }

        return core;
    }

    private static ulong FindHole(List<RestoredTask> tasks, ulong size)
    {
        const ulong Margin = 1 << 20;
        List<(ulong Start, ulong End)> used =
        [
            .. tasks.Where(task => task.Mm is not null).SelectMany(task => task.Mm!.Vmas).Select(vma => (vma.Start, vma.End)).Order(),
        ];
        ulong candidate = PreferredScratch;
        foreach ((ulong start, ulong end) in used)
        {
            if (end + Margin <= candidate)
            {
                continue;
            }

            if (start >= candidate + size + Margin)
            {
                break;
            }

            candidate = (end + Margin + 0xfff) & ~0xfffUL;
        }

        return candidate;
    }
}
