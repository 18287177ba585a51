using Firn.Engine.Kinds.Files;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Events;

/// <summary>epoll: a set of open files that are watched together.</summary>
/// <remarks>
/// <para>Kernel: fs/eventpoll.c, epoll(7), proc_pid_fdinfo(5).</para>
/// <para>
/// An entry is kept by the pair of open file and the number it was added with. The number may be closed since, or be another file: then
/// the message's own member says which file is meant. For the kernel the numbers of whoever adds count, so Firn adds most entries
/// itself, before any task exists. Only a signalfd must be added by a task, because it hooks into the signals of who adds it; and a
/// pidfd, because its process must exist.
/// </para>
/// <para>Not restored: that an edge has been reported already; it is reported once more.</para>
/// </remarks>
internal sealed class EpollFile : FileKind
{
    private const uint AlwaysReported = Epoll.EPOLLERR | Epoll.EPOLLHUP;

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Eventpoll;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => file.IsAnonymousInode("[eventpoll]");

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        for (int i = 0; i < file.Info.EpollTargets.Count; i++)
        {
            if (FindTarget(context, file, i) is null)
            {
                EpollTarget target = file.Info.EpollTargets[i];
                context.Problems.Add(
                    "epoll-target-outside",
                    file.Owner.Pid,
                    $"fd {file.Number}: epoll that watches inode {target.Inode}, added as fd {target.Fd}",
                    "no process of the tree holds that file", "dump the process that holds it as well, or close it there");
            }
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        entry.Epfd = new EventpollFileEntry { Id = file.Id, Flags = (uint)file.Flags, Fown = FileOwner.Dump(context, file) };
        for (int i = 0; i < file.Info.EpollTargets.Count; i++)
        {
            EpollTarget target = file.Info.EpollTargets[i];
            OpenFile watched = FindTarget(context, file, i)
                ?? throw new CheckpointException(
                    $"pid {file.Owner.Pid} fd {file.Number}: the file that epoll watches as fd {target.Fd} is gone")
                {
                    Pid =
                        file.Owner.Pid
                };
            var message = new EventpollTfdEntry
            {
                Id = 0,
                Tfd = (uint)target.Fd,
                Events = target.Events,
                Data = target.Data,
                Dev = target.Device,
                Inode = target.Inode,
                Pos = (ulong)target.Position,
            };
            if (ByNumber(context, file, target.Fd) != watched)
            {
                message.TargetId = watched.Id;
            }

            entry.Epfd.Tfd.Add(message);
        }
    }

    // What a restorer that knows but the number finds: CRIU, and Firn for CRIU's images.
    private static OpenFile? ByNumber(DumpContext context, OpenFile file, int number)
        => context.Tasks.Where(task => context.Files.DescriptorsOf(task).Any(descriptor => descriptor.File == file))
            .Select(task => context.Files.Find(task, number)).FirstOrDefault(found => found is not null);

    private static OpenFile? FindTarget(DumpContext context, OpenFile file, int index)
    {
        List<EpollTarget> targets = file.Info.EpollTargets;
        EpollTarget target = targets[index];
        var slot = new KcmpEpollSlot { efd = (uint)file.Number, tfd = (uint)target.Fd };
        for (int i = 0; i < index; i++)
        {
            slot.toff += targets[i].Fd == target.Fd ? 1u : 0;
        }

        OpenFile? likely = ByNumber(context, file, target.Fd);
        if (likely is not null && IsTarget(file, likely, target, slot))
        {
            return likely;
        }

        return context.Files.Files.FirstOrDefault(candidate => candidate.IsDescriptor && IsTarget(file, candidate, target, slot));
    }

    private static bool IsTarget(OpenFile file, OpenFile candidate, EpollTarget target, KcmpEpollSlot slot)
        => candidate.Stat.st_ino == target.Inode
            && Sys.KcmpEpollTarget(candidate.HolderPid, candidate.Number, file.HolderPid, slot).Raw == 0;

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        var fd = new Fd(Sys.EpollCreate().OrThrow($"epoll_create1 of file {entry.Id}").Int32);
        FileOwner.RestoreFlags(fd, entry.Epfd.Flags);
        return fd;
    }

    /// <inheritdoc/>
    public override void Link(RestoreContext context, FileEntry entry, Fd fd) => AddTargets(context, entry, fd, isLate: false);

    /// <summary>Adds the files in /proc of tasks and the pidfds, which come when all else is there.</summary>
    public static void LinkLate(RestoreContext context)
    {
        IEnumerable<FileEntry> all = context.Files.Entries.Values.Where(entry => entry.Epfd is not null);
        foreach (FileEntry entry in all.Where(entry => context.Files.IsProvided(entry.Id)))
        {
            AddTargets(context, entry, context.Files[entry.Id], isLate: true);
        }
    }

    private static void AddTargets(RestoreContext context, FileEntry entry, Fd fd, bool isLate)
    {
        // Those that have fired first: to make them fire must not take an event from others.
        var targets = entry.Epfd.Tfd.Select(target => (Message: target, Id: TargetId(context, entry, target)))
            .Where(target => isLate == IsLate(context, context.Files.Entry(target.Id))
                && !IsAddedByTask(context, entry, target.Message, target.Id))
            .OrderBy(target => !HasFired(target.Message)).ToList();
        ForeignNumbers.Run(
            [.. targets.Select(target => (context.Files[target.Id].Number, (int)target.Message.Tfd))],
            index => Add(fd, entry, targets[index].Message));
    }

    /// <inheritdoc/>
    public override void Attach(RestoreContext context, FileEntry entry, RestoredTask task, FdinfoEntry descriptor, RemoteBatch batch)
    {
        foreach (EventpollTfdEntry target in entry.Epfd.Tfd)
        {
            uint id = TargetId(context, entry, target);
            if (NeedsTask(context, id) && Adder(context, entry, target, id) is (RestoredTask adder, FdinfoEntry number) && adder == task
                && task.Descriptors.First(each => each.Id == entry.Id) == descriptor)
            {
                QueueAdd(task, descriptor, number, target, batch);
            }
        }
    }

    // Under the number that it was added with: where the task has the file under another one, for as long as it takes.
    private static void QueueAdd(
        RestoredTask task, FdinfoEntry epoll, FdinfoEntry number, EventpollTfdEntry target, RemoteBatch batch)
    {
        RemoteBuffer wanted = batch.Data(new EpollEvent { events = target.Events, data = target.Data });
        if (number.Fd == target.Tfd)
        {
            batch.Call(Sysno.epoll_ctl, epoll.Fd, Epoll.EPOLL_CTL_ADD, number.Fd, wanted);
            return;
        }

        FdinfoEntry? other = task.Descriptors.FirstOrDefault(each => each.Fd == target.Tfd);
        Slot? aside = other is null ? null : batch.Call(Sysno.fcntl, target.Tfd, (int)FcntlCommand.F_DUPFD_CLOEXEC, 0);
        batch.Call(Sysno.dup3, number.Fd, target.Tfd, (int)OpenFlags.O_CLOEXEC);
        batch.Call(Sysno.epoll_ctl, epoll.Fd, Epoll.EPOLL_CTL_ADD, target.Tfd, wanted);
        if (aside is null)
        {
            batch.Call(Sysno.close, target.Tfd);
            return;
        }

        batch.Call(Sysno.dup3, aside, target.Tfd, (other!.Flags & 1) != 0 ? (int)OpenFlags.O_CLOEXEC : 0);
        batch.Call(Sysno.close, aside);
    }

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd) => FileOwner.Arm(context, entry.Epfd.Fown, fd, fd.ToString());

    private static void Add(Fd epoll, FileEntry entry, EventpollTfdEntry target)
    {
        var wanted = new EpollEvent { events = target.Events, data = target.Data };
        int number = (int)target.Tfd;
        if (HasFired(target))
        {
            // Not even errors are reported then, a state that only firing leads to; where nothing is ready, errors would still be.
            wanted.events |= Epoll.EPOLLIN | Epoll.EPOLLOUT;
        }

        Sys.EpollControl(epoll.Number, Epoll.EPOLL_CTL_ADD, number, wanted)
            .OrThrow($"epoll_ctl(EPOLL_CTL_ADD) of file {entry.Id}: fd {number}, events 0x{target.Events:x}");
        if (HasFired(target))
        {
            Span<EpollEvent> fired = stackalloc EpollEvent[1];
            if (Sys.EpollWait(epoll.Number, fired, 0).Raw == 0)
            {
                wanted.events = target.Events;
                Sys.EpollControl(epoll.Number, Epoll.EPOLL_CTL_MOD, number, wanted).OrThrow(
                    $"epoll_ctl(EPOLL_CTL_MOD) of file {entry.Id}: fd {number}");
            }
        }
    }

    private static bool HasFired(EventpollTfdEntry target) => (target.Events & (AlwaysReported | Epoll.EPOLLONESHOT)) == Epoll.EPOLLONESHOT;

    private static bool IsLate(RestoreContext context, FileEntry entry)
        => PidFdFile.IsLate(entry) || (entry.Reg is { } file && ProcFiles.IsLate(context, file));

    // A signalfd wakes whoever has added it to the epoll; a ring exists once a task has made it.
    private static bool NeedsTask(RestoreContext context, uint id)
        => context.Files.Entry(id).Type is FdTypes.Signalfd or FdTypes.Iouring;

    private static bool IsAddedByTask(RestoreContext context, FileEntry entry, EventpollTfdEntry target, uint id)
    {
        if (!NeedsTask(context, id))
        {
            return false;
        }

        if (Adder(context, entry, target, id) is not null)
        {
            return true;
        }

        context.Log.LogWarning(
            "epoll {Epoll}: no task holds both it and file {Target}, added as fd {Number}; it won't be woken by that",
            entry.Id,
            id,
            target.Tfd);

        // What stands in for a ring would wake it, and wrongly.
        return context.Files.Entry(id).Type != FdTypes.Signalfd;
    }

    private static (RestoredTask Task, FdinfoEntry Descriptor)? Adder(
        RestoreContext context, FileEntry entry, EventpollTfdEntry target, uint id)
    {
        foreach (RestoredTask task in Holders(context, entry))
        {
            if (task.Descriptors.FirstOrDefault(descriptor => descriptor.Fd == target.Tfd && descriptor.Id == id) is { } found)
            {
                return (task, found);
            }
        }

        // To take a number away from a file for a moment, as it then must be, would give up the locks that its holder has on it.
        foreach (RestoredTask task in Holders(context, entry))
        {
            bool mayHaveLocks = context.Images.Entries(ImageKind.FileLocks).Count > 0
                && task.Descriptors.Any(descriptor => descriptor.Fd == target.Tfd);
            if (!mayHaveLocks && task.Descriptors.FirstOrDefault(descriptor => descriptor.Id == id) is { } elsewhere)
            {
                return (task, elsewhere);
            }
        }

        return null;
    }

    private static IEnumerable<RestoredTask> Holders(RestoreContext context, FileEntry entry)
        => context.Tasks.Where(task => task.Descriptors.Any(descriptor => descriptor.Id == entry.Id));

    private static uint TargetId(RestoreContext context, FileEntry entry, EventpollTfdEntry target)
    {
        if (target.HasTargetId)
        {
            return target.TargetId;
        }

        return Holders(context, entry).SelectMany(task => task.Descriptors).FirstOrDefault(descriptor => descriptor.Fd == target.Tfd)?.Id
            ?? throw new ImageFormatException(
                "files.img", 0, "epoll-target", $"epoll {entry.Id} watches fd {target.Tfd}, which no task that holds the epoll has");
    }
}
