using System.Runtime.InteropServices;
using Firn.Engine.Memory;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Google.Protobuf.Collections;

namespace Firn.Engine.Kinds.Events;

/// <content>
/// A ring belongs to who makes it: so a task does, when all have their memory and before any has its descriptors in place. Until then
/// something else has its number.
/// </content>
internal sealed partial class IoUringFile
{
    private const string Purpose = "make an io_uring";

    private const uint MostEntries = 1 << 16;

    private const IoUringSetup Possible = IoUringSetup.IORING_SETUP_SUBMIT_ALL | IoUringSetup.IORING_SETUP_CQSIZE
        | IoUringSetup.IORING_SETUP_SINGLE_ISSUER | IoUringSetup.IORING_SETUP_DEFER_TASKRUN | IoUringSetup.IORING_SETUP_TASKRUN_FLAG
        | IoUringSetup.IORING_SETUP_SQE128 | IoUringSetup.IORING_SETUP_CQE32 | IoUringSetup.IORING_SETUP_NO_SQARRAY;

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
        => new Fd(Sys.EventFd(0, EventFdFlags.EFD_CLOEXEC).OrThrow("eventfd2(in place of an io_uring)").Int32);

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd)
        => FileOwner.Arm(context, entry.Iou.Fown, fd, fd.ToString());

    /// <summary>Whether there are rings to make.</summary>
    public static bool Any(RestoreContext context) => context.Files.Entries.Values.Any(entry => entry.Iou is not null);

    /// <summary>Makes all rings, and puts them where they were mapped.</summary>
    /// <exception cref="ImageFormatException">One is damaged.</exception>
    /// <exception cref="CheckpointException">The kernel gives another ring.</exception>
    public static void MakeAll(RestoreContext context)
    {
        List<FileEntry> entries = [.. context.Files.Entries.Values.Where(entry => entry.Iou is not null)];
        List<RestoredTask> tasks = [.. context.Tasks.Where(task => !task.IsZombie)];
        var makers = new Dictionary<FileEntry, RestoredTask>();
        foreach (FileEntry entry in entries)
        {
            List<RestoredTask> holders = [.. tasks.Where(task => Has(task, entry.Id))];
            RestoredTask maker = holders.Find(task => task.Threads.Exists(thread => IsSubmitter(thread, entry.Iou)))
                ?? holders.FirstOrDefault()
                ?? throw Damaged($"file {entry.Id} is of no task");
            makers.Add(entry, maker);
            Make(context, entry, maker);
            foreach (RestoredTask other in holders.Where(task => task != maker))
            {
                Hand(maker, other, context.Files[entry.Id].Number);
            }
        }

        foreach (RestoredTask task in tasks.Where(task => task.MemoryOwner == task))
        {
            IoUringMappings.Restore(task, id => context.Files.Entry(id).Iou is null
                ? throw Damaged($"file {id}, which is mapped as one, is none")
                : context.Files[id].Number);
        }

        foreach ((FileEntry entry, RestoredTask maker) in makers)
        {
            int number = context.Files[entry.Id].Number;
            IoUringRegistered.Restore(context, entry.Iou, number, maker);
            if (!IsLeftToThread(maker, entry.Iou))
            {
                IoUringCounters.Restore(context.Files[entry.Id], entry.Iou, maker.Leader, number);
            }
        }
    }

    /// <summary>Lets a thread take the rings that it alone may submit to, and register those that it had.</summary>
    public static void RestoreThread(RestoreContext context, RestoredThread thread)
    {
        RestoredTask task = thread.Task;
        foreach (FileEntry entry in context.Files.Entries.Values)
        {
            if (entry.Iou is not { } message || task.Descriptors.FirstOrDefault(row => row.Id == entry.Id) is not { } descriptor)
            {
                continue;
            }

            if (IsSubmitter(thread, message) && IsLeftToThread(task, message))
            {
                RemoteBatch batch = thread.Remote.Batch;
                batch.MakeRoom(1, 0, Purpose);
                batch.Call(Sysno.io_uring_register, descriptor.Fd, (int)IoUringRegister.IORING_REGISTER_ENABLE_RINGS, 0, 0);
                batch.Run(Purpose);
                IoUringCounters.Restore(context.Files[entry.Id], message, thread, (int)descriptor.Fd);
            }

            IoUringThreads.Restore(message, thread, descriptor.Fd);
        }
    }

    /// <summary>What an image holds that no ring can be.</summary>
    internal static ImageFormatException Damaged(string what)
        => new("files.img", -1, "io-uring", $"has an io_uring that can't be: {what}; the image set is damaged: dump again");

    private static bool Has(RestoredTask task, uint id)
        => task.Descriptors.Any(row => row.Id == id)
            || (task.MemoryOwner == task && task.Mm!.Vmas.Any(vma => vma.Is(VmaStatus.IoUring) && vma.Shmid == id));

    private static bool IsSubmitter(RestoredThread thread, IoUringEntry message)
        => message.HasSubmitter && message.Submitter == (uint)thread.Tid;

    // The first thread is there when rings are made.
    private static bool IsLeftToThread(RestoredTask task, IoUringEntry message)
        => message.HasSubmitter && message.Submitter != (uint)task.Leader.Tid;

    private static void Make(RestoreContext context, FileEntry entry, RestoredTask maker)
    {
        IoUringEntry message = entry.Iou;
        if (message.SqEntries is 0 or > MostEntries || message.CqEntries is 0 or > 2 * MostEntries
            || message.Offsets.Count != IoUringOffsets.Length)
        {
            throw Damaged($"file {entry.Id} has {message.SqEntries} entries and {message.Offsets.Count} offsets");
        }

        if (((IoUringSetup)message.SetupFlags & ~Possible) != 0)
        {
            throw Damaged($"file {entry.Id} has flags {message.SetupFlags:x}, with which none is saved");
        }

        int number = context.Files[entry.Id].Number;
        RemoteBatch batch = maker.Leader.Remote.Batch;
        RemoteBuffer parameters = batch.Data(new IoUringParameters
        {
            flags = (IoUringSetup)message.SetupFlags | (IsLeftToThread(maker, message) ? IoUringSetup.IORING_SETUP_R_DISABLED : 0),
            cq_entries = message.CqEntries,
        });
        Slot made = batch.Call(Sysno.io_uring_setup, message.SqEntries, parameters);
        batch.Call(Sysno.dup3, made, number, 0);
        batch.Call(Sysno.close, made);
        bool isSame = false;
        batch.Then(() =>
        {
            ReadOnlySpan<uint> offsets = parameters.As<IoUringParameters>()[0].offsets;
            isSame = offsets.SequenceEqual(message.Offsets.ToArray());
        });
        batch.Run(Purpose);
        if (!isSame)
        {
            throw new CheckpointException(
                $"task {maker.Pid}: the rings of an io_uring are laid out otherwise by this kernel; restore it where it was saved")
            {
                Phase = "forking",
                Pid = maker.Pid,
            };
        }

        using var pidFd = new Fd(Sys.PidfdOpen(maker.OuterPid).OrThrow($"pidfd_open({maker.OuterPid})").Int32);
        using var taken = new Fd(Sys.PidfdGetFd(pidFd.Number, number).OrThrow($"pidfd_getfd({maker.OuterPid}, {number})").Int32);
        Sys.Dup3(taken.Number, number, 0).OrThrow($"dup3(io_uring, {number})");
        FileOwner.RestoreFlags(taken, message.Flags);
    }

    // A ring can't be sent over a socket (io_is_uring_fops in net/core/scm.c), but who holds it can: by a pidfd, whatever pid namespace
    // the other is in.
    private static void Hand(RestoredTask maker, RestoredTask other, int number)
    {
        RemoteBatch batch = other.Leader.Remote.Batch;
        using var from = new Fd(Sys.PidfdOpen(maker.OuterPid).OrThrow($"pidfd_open({maker.OuterPid})").Int32);
        using var to = new Fd(Sys.PidfdOpen(other.OuterPid).OrThrow($"pidfd_open({other.OuterPid})").Int32);
        using var porter = new FdPorter(other.Leader.Remote, to);
        porter.QueueOpen();
        batch.Run(Purpose);
        porter.Send([from.Number]);
        Slot taken = batch.Call(Sysno.pidfd_getfd, porter.QueueReceive()[0], number, 0);
        batch.Call(Sysno.dup3, taken, number, 0);
        batch.Call(Sysno.close, taken);
        porter.QueueClose();
        batch.Run(Purpose);
    }
}
