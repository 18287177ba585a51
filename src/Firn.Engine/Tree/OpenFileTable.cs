using System.Globalization;
using System.Text.RegularExpressions;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Tree;

/// <summary>
/// All files of a frozen tree that get an entry in files.img, each once, however many descriptors and mappings lead to it.
/// </summary>
/// <remarks>
/// Two descriptors stand for one open file description if kcmp(2) says so: they share position and flags. What could be the same is
/// found by device, inode, flags and link first, so that kcmp has little to do. proc_pid_fd(5), proc_pid_fdinfo(5).
/// </remarks>
/// <param name="kinds">The kinds of open files.</param>
/// <param name="examineLocks">Says what of a file's locks stands in the way, whatever its kind.</param>
/// <param name="dumpLocks">Saves a file's locks.</param>
internal sealed partial class OpenFileTable(
    IReadOnlyList<FileKind> kinds, Action<DumpContext, OpenFile> examineLocks, Action<DumpContext, OpenFile> dumpLocks) : IDisposable
{
    // The dumper's own table would have 1, by CRIU's count.
    private const uint FirstTableId = 2;

    private readonly List<OpenFile> files = [];
    private readonly List<DescriptorTable> tables = [];
    private readonly Dictionary<FileKey, SortedByKernel<OpenFile>> candidates = [];
    private readonly SortedByKernel<DescriptorTable> tableOrder = new(
        static (first, second) => Sys.Kcmp(first.Owner.Pid, second.Owner.Pid, KcmpType.KCMP_FILES));

    private readonly Dictionary<DumpedTask, DescriptorTable> tableOf = [];
    private int examined;

    /// <summary>All files, by ascending id.</summary>
    public IReadOnlyList<OpenFile> Files => files;

    /// <summary>What kinds remember during this dump.</summary>
    public StateBag State { get; } = new();

    /// <summary>What the dump of files changed in file systems, to be taken back in reverse should the dump fail: link remaps.</summary>
    public Stack<Action> Undo { get; } = new();

    /// <summary>The descriptors of a task, ascending.</summary>
    public IReadOnlyList<Descriptor> DescriptorsOf(DumpedTask task)
        => tableOf.TryGetValue(task, out DescriptorTable? table) ? table.Rows : [];

    /// <summary>The file behind a descriptor of a task, or null.</summary>
    public OpenFile? Find(DumpedTask task, int number)
        => DescriptorsOf(task).FirstOrDefault(row => row.Number == number) is { File: { } file } ? file : null;

    /// <summary>
    /// Walks the descriptor tables, working directories and roots of all processes, finds what is shared, and lets each kind say what
    /// stands in the way. Fills the processes' files_id and their <see cref="DumpedTask.Fs"/>. Nothing is changed.
    /// </summary>
    public void Collect(DumpContext context)
    {
        foreach (DumpedTask task in context.Tasks.Where(task => !task.IsZombie))
        {
            CollectTask(context, task);
        }

        // The list grows: what is found in a queue may be a socket with a queue.
        for (int i = 0; i < files.Count; i++)
        {
            files[i].Kind?.CollectInner(context, files[i]);
        }

        ExamineNew(context);
    }

    /// <summary>Gives the file behind a descriptor that came out of a socket's queue; its own entry where no task holds it.</summary>
    /// <param name="via">The socket.</param>
    /// <param name="fd">Firn's descriptor, which belongs to the table from now on.</param>
    public OpenFile AddInFlight(OpenFile via, Fd fd)
    {
        Sys.Fstat(fd.Number, out FileStat stat).OrThrow($"fstat of a file in the queue of {via.Resource}");
        var file = new OpenFile(fd)
        {
            Owner = via.Owner,
            Via = via,
            Number = fd.Number,
            ProcPath = string.Create(CultureInfo.InvariantCulture, $"/proc/{Environment.ProcessId}/fd/{fd.Number}"),
            Link = FdList.ReadLink(Environment.ProcessId, fd.Number),
            Stat = stat,
            Info = FdInfo.Read(Environment.ProcessId, fd.Number),
        };
        if (FindSame(file) is { } known)
        {
            file.Dispose();
            known.IsInFlight = true;
            return known;
        }

        file.IsInFlight = true;
        Register(file);
        return file;
    }

    /// <summary>Fills files.img and the descriptor tables.</summary>
    public void Dump(DumpContext context)
    {
        foreach (OpenFile file in files)
        {
            FileKind kind = file.Kind
                ?? throw new CheckpointException(
                    $"pid {file.Owner.Pid} {file.Resource}: no kind of file that Firn knows")
                { Pid = file.Owner.Pid };
            var entry = new FileEntry { Type = kind.Type, Id = file.Id };
            try
            {
                kind.Dump(context, file, entry);
                dumpLocks(context, file);
            }
            catch (LinuxException exception)
            {
                throw new CheckpointException($"pid {file.Owner.Pid} {file.Resource}: {exception.Message}", exception)
                {
                    Phase = "dump",
                    Pid = file.Owner.Pid,
                    Errno = exception.Errno,
                };
            }

            context.Images.Add(ImageKind.Files, 0, entry);
        }

        foreach (DescriptorTable table in tables)
        {
            foreach (Descriptor row in table.Rows)
            {
                context.Images.Add(ImageKind.Fdinfo, table.Id, new FdinfoEntry
                {
                    Id = row.File.Id,
                    Flags = row.CloseOnExec ? 1u : 0,
                    Type = row.File.Kind!.Type,
                    Fd = (uint)row.Number,
                });
            }
        }
    }

    /// <summary>Takes an id for a file that has no OpenFile of its own, from the one counter of all.</summary>
    public uint NextId() => ++lastId;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (OpenFile file in files)
        {
            file.Dispose();
        }

        State.Dispose();
    }

    private void CollectTask(DumpContext context, DumpedTask task)
    {
        var table = new DescriptorTable(task, FirstTableId + (uint)tables.Count);
        if (tableOrder.FindOrAdd(table) is { } shared)
        {
            table = shared;
        }
        else
        {
            tables.Add(table);
            bool isVisited = task.Mappings.Exists(RemoteProcess.IsScratch);
            foreach (int number in FdList.Read(task.Pid).Order())
            {
                FdInfo info = FdInfo.Read(task.Pid, number);
                OpenFile file = FindInParent(task, number) ?? FindOrAdd(task, number, info, isVisited);
                if (file.IsLeft)
                {
                    task.LeftDescriptors.Add(number);
                    continue;
                }

                file.Holders.Add(new FileHolder(task, number, info.Locks));
                table.Rows.Add(new Descriptor(number, file, (info.Flags & OpenFlags.O_CLOEXEC) != 0));
            }
        }

        tableOf.Add(task, table);
        task.Ids.FilesId = table.Id;
        task.Fs.CwdId = AddDirectory(task, "cwd");
        task.Fs.RootId = AddDirectory(task, "root");
        task.Fs.Umask = task.Status.Umask;
    }

    // What a child has is mostly what its parent had under the same number: one kcmp instead of link and stat.
    private OpenFile? FindInParent(DumpedTask task, int number)
    {
        if (task.Parent is { } parent && Find(parent, number) is { } file
            && Sys.Kcmp(parent.Pid, task.Pid, KcmpType.KCMP_FILE, number, number) is { IsError: false, Int32: 0 })
        {
            return file;
        }

        return null;
    }

    private OpenFile FindOrAdd(DumpedTask task, int number, FdInfo info, bool isVisited)
    {
        string path = string.Create(CultureInfo.InvariantCulture, $"/proc/{task.Pid}/fd/{number}");
        Sys.StatAt(At.AT_FDCWD, path, out FileStat stat).OrThrow($"stat({path})");
        var file = new OpenFile
        {
            Owner = task,
            Number = number,
            ProcPath = path,
            Link = FdList.ReadLink(task.Pid, number),
            Stat = stat,
            Info = info,
        };
        if (FindSame(file) is { } known)
        {
            return known;
        }

        file.IsLeft = IsLeft(file, isVisited);
        if (!file.IsLeft)
        {
            Register(file);
        }

        return file;
    }

    // Adds it to those that others are compared with, if it is new.
    private OpenFile? FindSame(OpenFile file)
    {
        var key = new FileKey(file.Stat.st_dev, file.Stat.st_ino, file.Flags, file.Link);
        if (!candidates.TryGetValue(key, out SortedByKernel<OpenFile>? order))
        {
            candidates.Add(key, order = new SortedByKernel<OpenFile>(
                static (first, second) => Sys.Kcmp(first.HolderPid, second.HolderPid, KcmpType.KCMP_FILE, first.Number, second.Number)));
        }

        return order.FindOrAdd(file);
    }

    // What a Firn that was killed has left: the scratch's memfd; and, as long as the scratch is still mapped, the way by which descriptors
    // came, and the pages file.
    private static bool IsLeft(OpenFile file, bool isVisited)
        => file.Link.StartsWith("/memfd:" + Scratch.Name, StringComparison.Ordinal)
            || (isVisited && file.IsSocket && FdPorter.IsPorter(file.Taken.Number))
            || (isVisited && (file.Info.Flags & OpenFlags.O_CLOEXEC) != 0 && PagesFileName().IsMatch(file.Link));

    [GeneratedRegex(@"/pages-[0-9]+\.img( \(deleted\))?$")]
    private static partial Regex PagesFileName();

    private void Register(OpenFile file)
    {
        file.Id = NextId();
        file.Kind = kinds.FirstOrDefault(kind => kind.Recognizes(file));
        files.Add(file);
    }

    private void ExamineNew(DumpContext context)
    {
        for (; examined < files.Count; examined++)
        {
            OpenFile file = files[examined];
            if (file.Kind is { } kind)
            {
                int before = context.Problems.All.Count;
                kind.Examine(context, file);
                examineLocks(context, file);
                if (file.Via is not null)
                {
                    ExamineInFlight(context, file);

                    // The number is one of Firn's descriptors, and means nothing to the user.
                    context.Problems.Rename(before, $"fd {file.Number}", file.InFlight);
                }
            }
            else
            {
                context.Problems.Add(
                    "descriptor-kind",
                    file.Owner.Pid,
                    file.Resource,
                    "no kind of file that Firn can save",
                    "let the program close it before the dump");
            }
        }
    }

    // What belongs to a descriptor in a task, and no task has one.
    private static void ExamineInFlight(DumpContext context, OpenFile file)
    {
        if (file.Info.Locks.Exists(held => held.Kind is not (FileLockKind.Flock or FileLockKind.OpenFileDescription or FileLockKind.Lease)))
        {
            context.Problems.Add(
                "in-flight-lock",
                file.Owner.Pid,
                file.Resource,
                "it holds a lock of an unknown kind, and no task has it open",
                "let the program receive it before the dump");
        }
    }

    private readonly record struct FileKey(ulong Device, ulong Inode, OpenFlags Flags, string Link);

    private sealed class DescriptorTable(DumpedTask owner, uint id)
    {
        public DumpedTask Owner { get; } = owner;

        public uint Id { get; } = id;

        public List<Descriptor> Rows { get; } = [];
    }
}

/// <summary>A row of a descriptor table.</summary>
/// <param name="Number">The descriptor.</param>
/// <param name="File">What it stands for.</param>
/// <param name="CloseOnExec">Whether execve(2) closes it.</param>
internal readonly record struct Descriptor(int Number, OpenFile File, bool CloseOnExec);
