using Firn.Engine.Kinds;
using Firn.Engine.Kinds.Files;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Restoring;

/// <summary>The restore of open files: Firn makes each open file description once, and the tasks put them in place by dup3(2).</summary>
/// <remarks>
/// In order: <see cref="Prepare"/>; whoever restores memory fills <see cref="MemfdObjects"/>; <see cref="Create"/>; <see cref="Link"/>; the
/// tasks are made; <see cref="QueueTable"/> for each; then <see cref="QueueAttach"/> for each; <see cref="Arm"/>.
/// </remarks>
internal static class DescriptorTables
{
    // Pages files, sockets' helpers, the scratch and the like, which are no entries of files.img.
    private const int Spare = 256;
    private const int CallsPerDescriptor = 12;
    private const int BytesPerDescriptor = 8192;

    /// <summary>Finds out how many descriptors are needed, and where; raises Firn's own limit.</summary>
    /// <param name="images">The image set.</param>
    /// <param name="tasks">All tasks.</param>
    /// <param name="lowest">Where Firn's region may begin.</param>
    /// <exception cref="CheckpointException">The hard limit is too low.</exception>
    public static RestoredFiles Prepare(LoadedImages images, IEnumerable<RestoredTask> tasks, int lowest)
    {
        Sys.GetLimit(0, ResourceLimit.RLIMIT_NOFILE, out Rlimit64 limit).OrThrow("prlimit64(RLIMIT_NOFILE)");
        if (limit.rlim_cur < limit.rlim_max)
        {
            limit.rlim_cur = limit.rlim_max;
            Sys.SetLimit(0, ResourceLimit.RLIMIT_NOFILE, limit).OrThrow($"prlimit64(RLIMIT_NOFILE, {limit.rlim_max})");
        }

        IReadOnlyList<RestoredTask> all = [.. tasks];
        int entries = images.Entries(ImageKind.Files).Count;
        IEnumerable<int> used = all.SelectMany(task => task.Descriptors).Select(descriptor => (int)descriptor.Fd);
        long highest = (long)Math.Min(limit.rlim_cur, int.MaxValue);
        var files = new RestoredFiles(DescriptorNumbers.FirstOfRegion(used, (2 * entries) + all.Count + Spare, highest, lowest));
        foreach (FileEntry entry in images.All<FileEntry>(ImageKind.Files))
        {
            files.AddEntry(entry);
        }

        return files;
    }

    /// <summary>Makes all open file descriptions, in the order of files.img.</summary>
    /// <exception cref="CheckpointException">One can't be made.</exception>
    public static void Create(RestoreContext context)
    {
        foreach (FileEntry entry in context.Images.All<FileEntry>(ImageKind.Files))
        {
            if (context.Files.IsProvided(entry.Id))
            {
                continue;
            }

            Guard(context, entry, () =>
            {
                if (FileKinds.Of(entry.Type).Create(context, entry) is { } fd)
                {
                    context.Files.Provide(entry.Id, fd);
                }
            });
        }

        foreach (FileKind kind in FileKinds.All)
        {
            kind.Complete(context);
        }
    }

    /// <summary>Connects what exists now.</summary>
    public static void Link(RestoreContext context)
    {
        ForEach(context, (kind, entry, fd) => kind.Link(context, entry, fd));
        FileLocks.RestoreInFlight(context);
    }

    /// <summary>Sets going what ticks or fires: after all tasks are restored.</summary>
    public static void Arm(RestoreContext context) => ForEach(context, (kind, entry, fd) => kind.Arm(context, entry, fd));

    /// <summary>
    /// Queues a task's whole table: its descriptors, and the closing of all else. From here on the task has no descriptor of Firn's region.
    /// </summary>
    public static void QueueTable(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        string purpose = $"restore the descriptors of {task.Pid}";
        foreach (FdinfoEntry descriptor in task.Descriptors)
        {
            batch.MakeRoom(1, 0, purpose);
            batch.Call(
                Sysno.dup3,
                Source(context, task, descriptor).Number,
                descriptor.Fd,
                (descriptor.Flags & 1) != 0 ? (int)OpenFlags.O_CLOEXEC : 0);
        }

        // By that it goes into its user namespace later, and closes it.
        IEnumerable<int> kept = task.GoesToUser ? [task.User!.Entrance!.Number] : [];
        foreach ((uint first, uint last) in DescriptorNumbers.Gaps(task.Descriptors.Select(descriptor => (int)descriptor.Fd).Concat(kept)))
        {
            batch.MakeRoom(1, 0, purpose);
            batch.Call(Sysno.close_range, first, last, 0);
        }
    }

    /// <summary>Queues what only the task can do with its descriptors, once all tables are in place.</summary>
    public static void QueueAttach(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        string purpose = $"attach the descriptors of {task.Pid}";
        foreach (FdinfoEntry descriptor in task.Descriptors)
        {
            FileEntry entry = context.Files.Entry(descriptor.Id);
            if (!task.OwnsDescriptors && entry.Type != FdTypes.Tty)
            {
                // Done by the process that had the table first; only a terminal asks who takes it.
                continue;
            }

            batch.MakeRoom(CallsPerDescriptor, BytesPerDescriptor, purpose);
            FileKinds.Of(entry.Type).Attach(context, entry, task, descriptor, batch);
            FileLocks.Attach(context, task, descriptor, batch);
        }
    }

    // A description that only the task can make has a placeholder, until its kind attaches it.
    private static Fd Source(RestoreContext context, RestoredTask task, FdinfoEntry descriptor)
    {
        if (!context.Files.Entries.ContainsKey(descriptor.Id))
        {
            throw new ImageFormatException(
                ImageKind.Fdinfo.FileName(task.Ids.FilesId),
                0,
                "file-id",
                $"says that descriptor {descriptor.Fd} is file {descriptor.Id}, which files.img does not have");
        }

        return context.Files.IsProvided(descriptor.Id) ? context.Files[descriptor.Id] : context.Files[task.Fs!.RootId];
    }

    private static void ForEach(RestoreContext context, Action<FileKind, FileEntry, Fd> action)
    {
        foreach (FileEntry entry in context.Images.All<FileEntry>(ImageKind.Files))
        {
            if (context.Files.IsProvided(entry.Id))
            {
                Guard(context, entry, () => action(FileKinds.Of(entry.Type), entry, context.Files[entry.Id]));
            }
        }
    }

    private static void Guard(RestoreContext context, FileEntry entry, Action action)
    {
        try
        {
            NestedNamespaces.Within(context, entry, action);
        }
        catch (LinuxException exception)
        {
            throw new CheckpointException($"file {entry.Id} ({entry.Type} {entry.Reg?.Name}): {exception.Message}", exception)
            {
                Errno = exception.Errno,
            };
        }
    }
}
