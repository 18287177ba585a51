using System.Globalization;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Memory;

/// <summary>The dump half of memory: mappings, pages, shared objects.</summary>
internal static class MemoryDump
{
    private const int CriuAuxvWords = 44;
    private const long MostKept = 32 << 20;

    /// <summary>
    /// Describes all mappings, of all tasks, in their <see cref="DumpedTask.Mm"/>; makes mapped files and shared objects known; says what
    /// can't be saved. Nothing is written and nothing changed.
    /// </summary>
    /// <param name="context">The dump.</param>
    /// <param name="ahead">The VmFlags of all tasks.</param>
    public static void Collect(DumpContext context, AdvicesAhead ahead)
    {
        (uint major, uint minor) = SharedObjects.Device();
        var classifier = new VmaClassifier(major, minor);
        foreach (DumpedTask task in context.Tasks)
        {
            if (!task.IsZombie && task.MemoryOwner == task)
            {
                CollectTask(context, task, classifier, ahead.Of(task));
            }
        }
    }

    /// <summary>
    /// Queues what only a task itself can tell of its memory: where its break is, what is locked that is still to come, and more.
    /// </summary>
    public static void QueueQuestions(DumpContext context, DumpedTask task, RemoteBatch batch)
    {
        MemoryPolicies.DumpMappings(context, task, batch);
        Slot programBreak = batch.Call(Sysno.brk, 0);
        batch.Then(() => task.Mm.MmBrk = programBreak.UInt64);
        FutureLocks.Dump(task, batch);
        ProtectionKeys.Dump(task, batch);
    }

    /// <summary>
    /// Finds the pages of all tasks, lets each task write its own, all side by side, and adds the page maps; meanwhile Firn writes the
    /// shared objects. What are few pages Firn writes itself. The tree is frozen and nothing stands in the way.
    /// </summary>
    /// <exception cref="CheckpointException">A file can't be written.</exception>
    public static void WritePages(DumpContext context)
    {
        MemoryPolicies.DumpNodes(context);
        AioRings.WaitForRequests(context);
        var all = new Dictionary<DumpedTask, TaskPages>();
        var models = new Dictionary<DumpedTask, FewPages>();
        var writers = new List<PageWriter>();
        try
        {
            long begun = Sys.ClockNanoseconds(1);
            ILookup<DumpedTask, DumpedTask> children = context.Tasks.Where(static task => task.Parent is not null)
                .ToLookup(static task => task.Parent!);
            List<TaskPages> owners = [];
            foreach (DumpedTask task in context.Tasks.Where(static task => !task.IsZombie && task.MemoryOwner == task))
            {
                var pages = new TaskPages(context, task, children[task].Count());
                all.Add(task, pages);
                owners.Add(pages);
            }

            foreach (List<TaskPages> generation in Generations(owners, all))
            {
                SideBySide.ForEach(generation, pages => pages.Scan(ParentOf(pages, all)));
            }

            var before = new HashSet<DumpedTask>();
            foreach (TaskPages pages in owners)
            {
                DumpedTask task = pages.Task;
                before.Add(task);
                context.PageStatistics.Scanned += pages.Found;
                if (task.Parent is not null && pages.HasManyWritten && children[task.Parent].Count() > 1)
                {
                    pages.FindShared(children[task.Parent].Where(sibling => sibling != task && before.Contains(sibling))
                        .Select(sibling => all[sibling]));
                }

                if (!WriteIfFew(context, pages, models))
                {
                    writers.Add(new PageWriter(context, pages));
                }

                AddPagemap(context, pages);
            }

            long scanned = Sys.ClockNanoseconds(1);
            PageWriter.Run(writers, () => SharedObjects.Write(context));
            context.BeforePublishing.Add(() => SharedPages.WriteLinks(context, all));
            context.PageStatistics.ScanTime += TimeSpan.FromTicks((scanned - begun) / TimeSpan.NanosecondsPerTick);
            context.PageStatistics.WriteTime += TimeSpan.FromTicks((Sys.ClockNanoseconds(1) - scanned) / TimeSpan.NanosecondsPerTick);
        }
        finally
        {
            foreach (TaskPages pages in all.Values)
            {
                pages.Dispose();
            }
        }
    }

    /// <summary>A run as CRIU 4.2 writes it: the count in nr_pages, zero in the older field that must be there, no in_parent.</summary>
    internal static PagemapEntry ToMessage(PageRun run)
        => new() { Vaddr = run.Address, CompatNrPages = 0, Flags = (uint)run.Flags, NrPages = run.Pages };

    // CRIU 4.2 has room for 44 words, which are all pairs that this kernel gives but the last, AT_NULL: it is left out where it does not
    // fit. The kernel ends the vector by itself when it is set.
    internal static IEnumerable<ulong> SavedAuxv(ulong[] words)
    {
        int ending = Array.FindLastIndex(words, word => word != 0) is var last && last < 0 ? 0 : (last + 2) & ~1;
        return words.Take(Math.Max(ending, CriuAuxvWords));
    }

    private static TaskPages? ParentOf(TaskPages pages, Dictionary<DumpedTask, TaskPages> all)
        => pages.Task.Parent is { } parent && all.TryGetValue(parent.MemoryOwner, out TaskPages? found) ? found : null;

    // Parents before children. A process that shares its memory is stood for by the first of them, who comes before the others.
    private static List<List<TaskPages>> Generations(List<TaskPages> owners, Dictionary<DumpedTask, TaskPages> all)
    {
        var depths = new Dictionary<TaskPages, int>();
        var generations = new List<List<TaskPages>>();
        foreach (TaskPages pages in owners)
        {
            int depth = ParentOf(pages, all) is { } parent ? depths[parent] + 1 : 0;
            depths.Add(pages, depth);
            if (depth == generations.Count)
            {
                generations.Add([]);
            }

            generations[depth].Add(pages);
        }

        return generations;
    }

    // The first child of a parent is the model of the others.
    private static bool WriteIfFew(DumpContext context, TaskPages pages, Dictionary<DumpedTask, FewPages> models)
    {
        MemoryDumpState state = context.Files.State.Get<MemoryDumpState>();
        if (FewPages.Read(pages) is not { } few)
        {
            return false;
        }

        if (pages.Donor is not null && !pages.ComesFromSibling && !models.TryAdd(pages.Task.Parent!, few))
        {
            few.LeaveOutAlike(models[pages.Task.Parent!]);
        }

        byte[] left = few.Left();
        if (state.Kept + left.Length > MostKept)
        {
            pages.File.WriteWhole(left);
            return true;
        }

        // To make a file takes longer than to copy so little: that has time until the tree runs on.
        state.Kept += left.Length;
        context.BeforePublishing.Add(() => pages.File.WriteWhole(left));
        return true;
    }

    private static void AddPagemap(DumpContext context, TaskPages pages)
    {
        List<PageRun> runs = pages.Runs();
        ulong id = (ulong)pages.Task.InnerPid;
        context.Images.Add(ImageKind.Pagemap, id, new PagemapHead { PagesId = pages.File.Id });
        ulong written = 0;
        ulong shared = 0;
        foreach (PageRun run in runs)
        {
            context.Images.Add(ImageKind.Pagemap, id, ToMessage(run));
            written += run.IsPresent ? run.Pages : 0;
            shared += run.IsPresent ? 0 : run.Pages;
        }

        // CRIU's place for guard pages: entries behind all mappings.
        foreach (AddressRange guard in pages.Guards)
        {
            pages.Task.Mm.Vmas.Add(new VmaEntry
            {
                Start = guard.Start,
                End = guard.End,
                Pgoff = 0,
                Shmid = 0,
                Prot = 0,
                Flags = 0,
                Status = (uint)VmaStatus.Guard,
                Fd = -1,
            });
        }

        context.PageStatistics.Written += (long)written;
        context.PageStatistics.Shared += (long)shared;
        if (context.Log.IsEnabled(LogLevel.Debug))
        {
            context.Log.LogDebug(
                "pid {Pid}: {Written} pages to write, {Shared} of its parent or a sibling, {Runs} runs",
                pages.Task.Pid,
                written,
                shared,
                runs.Count);
        }
    }

    private static void CollectTask(DumpContext context, DumpedTask task, VmaClassifier classifier, MemoryAdvices advices)
    {
        FillLandmarks(task);
        foreach (Mapping mapping in task.Mappings)
        {
            if (RemoteProcess.IsScratch(mapping))
            {
                continue;
            }

            VmaEntry vma = classifier.Describe(mapping, advices.Of(mapping), out VmaObjection? objection);
            if (objection is not null)
            {
                context.Problems.Add(objection.Identifier, task.Pid, $"mapping {mapping}", objection.Reason, objection.Remedy);
                continue;
            }

            if (vma.Is(VmaStatus.Socket))
            {
                if (context.Files.Files.FirstOrDefault(file => file.IsSocket && file.IsDescriptor && file.Stat.st_ino == mapping.Inode)
                    is { Kind: { } kind } socket && kind.IsMappable(context, socket, mapping.Length))
                {
                    vma.Shmid = socket.Id;
                }
                else
                {
                    context.Problems.Add(
                        "socket-mapping", task.Pid, $"mapping {mapping}",
                        "it is memory of a socket, and not the whole of the rings of a packet socket that the tree has open",
                        "let the application unmap it first");
                }
            }
            else if (vma.Is(VmaStatus.IoUring))
            {
                IoUringMappings.Examine(context, task, mapping, vma);
            }
            else if (vma.HasFdflags)
            {
                vma.Shmid = vma.Is(VmaStatus.SystemVSegment) ? mapping.Inode
                    : vma.Is(VmaStatus.AioRing) ? 0
                    : context.Files.AddMapped(context, task, mapping);
                if (vma.Is(VmaStatus.SystemVSegment) && context.Namespace(CloneFlags.CLONE_NEWIPC).IsFirns)
                {
                    context.Files.State.Get<MemoryDumpState>().Segments.Add((task, mapping));
                }

                if (mapping.Shared)
                {
                    vma.Fdflags = AccessMode(task.Pid, mapping);
                }
            }

            if (vma.Is(VmaStatus.AioRing))
            {
                AioRings.Examine(context, task, vma);
            }

            if (task.Mm.Vmas.Count > 0 && VmaClassifier.AreOne(task.Mm.Vmas[^1], vma))
            {
                task.Mm.Vmas[^1].End = vma.End;
            }
            else
            {
                task.Mm.Vmas.Add(vma);
            }
        }

        task.Mm.ExeFileId = context.Files.AddExecutable(context, task);
    }

    private static void FillLandmarks(DumpedTask task)
    {
        ProcStat stat = task.Stat;
        task.Mm.MmStartCode = stat.StartCode;
        task.Mm.MmEndCode = stat.EndCode;
        task.Mm.MmStartData = stat.StartData;
        task.Mm.MmEndData = stat.EndData;
        task.Mm.MmStartStack = stat.StartStack;
        task.Mm.MmStartBrk = stat.StartBrk;
        task.Mm.MmArgStart = stat.ArgStart;
        task.Mm.MmArgEnd = stat.ArgEnd;
        task.Mm.MmEnvStart = stat.EnvStart;
        task.Mm.MmEnvEnd = stat.EnvEnd;
        task.Mm.MmSavedAuxv.AddRange(SavedAuxv(Auxv.Read(task.Pid)));

        // The break itself only the task can tell, by brk(0).
        task.Mm.MmBrk = stat.StartBrk;
    }

    // How the file was opened that is mapped: the permission bits of the link (fs/proc/base.c, proc_map_files_instantiate).
    private static uint AccessMode(int pid, Mapping mapping)
    {
        string path = string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/map_files/{mapping.Start:x}-{mapping.End:x}");
        Sys.StatAt(At.AT_FDCWD, path, out FileStat stat, At.AT_SYMLINK_NOFOLLOW).OrThrow($"newfstatat({path})");
        return (stat.st_mode & 0x180) switch
        {
            0x180 => (uint)OpenFlags.O_RDWR,
            0x80 => (uint)OpenFlags.O_WRONLY,
            _ => (uint)OpenFlags.O_RDONLY,
        };
    }
}
