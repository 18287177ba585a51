using Firn.Engine.Kinds;
using Firn.Engine.Kinds.Files;
using Firn.Engine.Restoring;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Sharing;

/// <summary>The restore of open files: Firn makes each open file description once, and the tasks put them in place by dup3(2).</summary>
/// <remarks>
/// In order: whoever restores memory fills <see cref="MemfdObjects"/>; <see cref="CreateAll"/>; the tasks are made, and inherit all; <see cref="Place"/>
/// for each task; <see cref="LinkAll"/>; <see cref="Attach"/> for each; <see cref="CloseRegion"/> for each; <see cref="ArmAll"/>.
/// </remarks>
internal static class DescriptorTables
{
    private const int CallsPerDescriptor = 12;
    private const int BytesPerDescriptor = 8192;

    /// <summary>Makes all open file descriptions, in the order of files.img.</summary>
    /// <exception cref="CheckpointException">One can't be made.</exception>
    public static void CreateAll(RestoreContext context)
    {
        foreach (FileEntry entry in context.Images.All<FileEntry>(ImageKind.Files))
        {
            context.Files.AddEntry(entry);
        }

        foreach (FileEntry entry in context.Images.All<FileEntry>(ImageKind.Files))
        {
            if (context.Files.IsProvided(entry.Id))
            {
                continue;
            }

            Guard(entry, () =>
            {
                if (FileKinds.Of(entry.Type).Create(context, entry) is { } fd)
                {
                    context.Files.Provide(entry.Id, fd);
                }
            });
        }
    }

    /// <summary>Connects what exists now.</summary>
    public static void LinkAll(RestoreContext context) => ForEach(context, (kind, entry, fd) => kind.Link(context, entry, fd));

    /// <summary>Sets going what ticks or fires: after all tasks are restored.</summary>
    public static void ArmAll(RestoreContext context) => ForEach(context, (kind, entry, fd) => kind.Arm(context, entry, fd));

    /// <summary>
    /// Queues working directory and root of a task, and its descriptors at their final numbers; other numbers below Firn's region are closed.
    /// A table that tasks share is placed once.
    /// </summary>
    public static void Place(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        string purpose = $"restore the descriptors of {task.Pid}";
        WorkingDirectory.QueueDirectories(context, task, batch);
        if (!context.Files.State.Get<Tables>().Owners.TryAdd(task.Ids.FilesId, task))
        {
            return;
        }

        foreach (FdinfoEntry descriptor in task.Descriptors)
        {
            batch.MakeRoom(1, 0, purpose);
            batch.Call(
                Sysno.dup3,
                Source(context, task, descriptor).Number,
                descriptor.Fd,
                (descriptor.Flags & 1) != 0 ? (int)OpenFlags.O_CLOEXEC : 0);
        }

        IEnumerable<int> numbers = task.Descriptors.Select(descriptor => (int)descriptor.Fd);
        foreach ((int first, int last) in DescriptorNumbers.Gaps(numbers, context.Files.FirstNumber))
        {
            batch.MakeRoom(1, 0, purpose);
            batch.Call(Sysno.close_range, first, last, 0);
        }
    }

    /// <summary>Queues what only a task can do with its descriptors, once its whole table is in place, and its locks.</summary>
    public static void Attach(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        if (context.Files.State.Get<Tables>().Owners.GetValueOrDefault(task.Ids.FilesId) != task)
        {
            return;
        }

        foreach (FdinfoEntry descriptor in task.Descriptors)
        {
            FileEntry entry = context.Files.Entries[descriptor.Id];
            batch.MakeRoom(CallsPerDescriptor, BytesPerDescriptor, $"restore the descriptors of {task.Pid}");
            FileKinds.Of(entry.Type).Attach(context, entry, task, descriptor, batch);
            FileLocks.Attach(context, task, descriptor, batch);
        }
    }

    /// <summary>Queues the closing of Firn's own region in a task: all numbers above those of the tree.</summary>
    public static void CloseRegion(RestoreContext context, RemoteBatch batch)
        => batch.Call(Sysno.close_range, context.Files.FirstNumber, uint.MaxValue, 0);

    // A description that only the task can make has a placeholder, until its kind attaches it.
    private static Fd Source(RestoreContext context, RestoredTask task, FdinfoEntry descriptor)
    {
        if (!context.Files.Entries.ContainsKey(descriptor.Id))
        {
            throw new ImageFormatException(
                ImageKind.Fdinfo.FileName(task.Ids.FilesId), 0, "file-id", $"says that descriptor {descriptor.Fd} is file {descriptor.Id}, which files.img does not have");
        }

        return context.Files.IsProvided(descriptor.Id) ? context.Files[descriptor.Id] : context.Files[task.Fs!.RootId];
    }

    private static void ForEach(RestoreContext context, Action<FileKind, FileEntry, Fd> action)
    {
        foreach (FileEntry entry in context.Images.All<FileEntry>(ImageKind.Files))
        {
            if (context.Files.IsProvided(entry.Id))
            {
                Guard(entry, () => action(FileKinds.Of(entry.Type), entry, context.Files[entry.Id]));
            }
        }
    }

    private static void Guard(FileEntry entry, Action action)
    {
        try
        {
            action();
        }
        catch (LinuxException exception)
        {
            throw new CheckpointException($"restore: file {entry.Id} ({entry.Type} {entry.Reg?.Name}): {exception.Message}", exception)
            {
                Errno = exception.Errno,
            };
        }
    }

    private sealed class Tables
    {
        public Dictionary<uint, RestoredTask> Owners { get; } = [];
    }
}
