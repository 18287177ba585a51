using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Events;

/// <summary>io_uring: rings by which a program hands requests to the kernel. A ring at rest is saved.</summary>
/// <remarks>
/// <para>
/// Kernel: io_uring/fdinfo.c, register.c, io_uring.c. What the rings hold is memory that Firn can map; how a ring was set up, and what is
/// registered with it, is asked by calls that can't succeed (<see cref="IoUringQuestions"/>), or shown by fdinfo
/// (<see cref="IoUringShape"/>). A ring with IORING_SETUP_SINGLE_ISSUER answers one thread alone.
/// </para>
/// <para>
/// Not to be found out is what differs only after errors, or in speed: IORING_SETUP_SUBMIT_ALL, IORING_SETUP_TASKRUN_FLAG (set where
/// tasks run deferred) and IORING_SETUP_COOP_TASKRUN (not set), so that no program waits for what never comes.
/// </para>
/// </remarks>
internal sealed partial class IoUringFile : FileKind
{
    private const string UseEpoll = "let the program use epoll instead, as UV_USE_IO_URING=0 does for libuv";

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Iouring;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => file.IsAnonymousInode("[io_uring]");

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        FileOwner.Examine(context, file);
        IoUringInfo ring = file.Info.IoUring ?? new IoUringInfo();
        if ((AtRest(ring) ?? AsSetUp(file) ?? IoUringRegistered.Object(context, file, ring)) is { } objection)
        {
            Refuse(context, file, objection);
            return;
        }

        if (MappingsOf(context, file).All(found => found.Mapping.Offset == IoUringConstants.IORING_OFF_SQES))
        {
            Refuse(context, file, Objection.Unsaveable("no task has it mapped, so that nobody can tell how it was set up"));
            return;
        }

        // What only its own thread may ask is asked when that can speak.
        if (Sys.IoUringRegisterNowhere(file.Taken.Number, IoUringRegister.IORING_REGISTER_EVENTFD, 1).Errno != Errno.EEXIST
            && IoUringQuestions.Object(IoUringQuestions.ByFirn(file.Taken)) is { } answer)
        {
            Refuse(context, file, answer);
        }
    }

    /// <inheritdoc/>
    public override bool IsMappable(DumpContext context, OpenFile file, ulong length) => true;

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        IoUringInfo ring = file.Info.IoUring!;
        IoUringThreads threads = context.Files.State.Get<IoUringThreads>();
        var message = new IoUringEntry
        {
            Flags = (uint)file.Flags,
            Fown = FileOwner.Dump(context, file),
            SqEntries = ring.SubmissionMask + 1,
            CqEntries = ring.CompletionMask + 1,
            Completed = ring.Completed,
        };
        bool hasOneIssuer =
            Sys.IoUringRegisterNowhere(file.Taken.Number, IoUringRegister.IORING_REGISTER_EVENTFD, 1).Errno == Errno.EEXIST;
        var flags = IoUringSetup.IORING_SETUP_SUBMIT_ALL | IoUringSetup.IORING_SETUP_CQSIZE;
        DumpedTask owner = file.Owner;
        Objection? objection = threads.Ask(context, file);
        message.Places.AddRange(threads.PlacesOf(file));
        if (hasOneIssuer && objection is null)
        {
            flags |= IoUringSetup.IORING_SETUP_SINGLE_ISSUER;
            if (Sys.IoUringEnter(file.Taken.Number, IoUringConstants.IORING_ENTER_GETEVENTS).Errno == Errno.EEXIST)
            {
                flags |= IoUringSetup.IORING_SETUP_DEFER_TASKRUN | IoUringSetup.IORING_SETUP_TASKRUN_FLAG;
            }

            if (threads.SubmitterOf(file) is { } submitter)
            {
                owner = submitter.Thread.Task;
                message.Submitter = (uint)submitter.Thread.InnerTid;
                objection = IoUringQuestions.Object(IoUringQuestions.ByThread(submitter.Thread, submitter.Number));
            }
            else
            {
                objection = Objection.Unsaveable("the only thread that may submit to it has ended (IORING_SETUP_SINGLE_ISSUER)");
            }
        }

        objection ??= IoUringRegistered.Dump(context, file, ring, owner, message);
        objection ??= IoUringShape.Dump(context, file, flags, message);
        if (objection is not null)
        {
            Refuse(context, file, objection);
            context.Problems.ThrowIfAny();
        }

        entry.Iou = message;
    }

    /// <summary>The mappings of a ring: a ring has an inode of its own.</summary>
    internal static IEnumerable<(DumpedTask Task, Mapping Mapping)> MappingsOf(DumpContext context, OpenFile file)
        => context.Tasks.Where(task => !task.IsZombie && task.MemoryOwner == task)
            .SelectMany(task => task.Mappings.Where(mapping => mapping.Inode == file.Stat.st_ino && mapping.Name == file.Link)
                .Select(mapping => (task, mapping)));

    private static void Refuse(DumpContext context, OpenFile file, Objection objection)
        => context.Problems.Add(
            objection.Identifier, file.Owner.Pid, $"fd {file.Number}: io_uring", objection.Reason, objection.Remedy);

    private static Objection? AtRest(IoUringInfo ring)
    {
        if (ring.Thread >= 0)
        {
            return Threaded($"thread {ring.Thread} of the kernel takes its requests");
        }

        // A request may give no completion, or many: so the difference is at least what is said, or nothing.
        uint underWay = Math.Max(ring.Taken - ring.Completed, (uint)ring.ArmedPolls);
        if (ring.ArmedPolls > 0 || ring.Taken != ring.Completed)
        {
            return Objection.Busy(underWay is > 0 and < int.MaxValue
                ? $"{underWay} of its requests are under way, and can't be read"
                : "requests are under way in it, and can't be read");
        }

        return ring.Overflown > 0 || ring.CompletionTail != ring.Completed
            ? Objection.Busy("completions wait for room in it")
            : null;
    }

    // What Firn's own descriptor of it tells.
    private static Objection? AsSetUp(OpenFile file)
    {
        Errno entered = Sys.IoUringEnter(file.Taken.Number, 0).Errno;
        if (entered != Errno.None)
        {
            return entered == Errno.EOWNERDEAD
                ? Threaded("a thread of the kernel took its requests, and has ended")
                : Objection.Unsaveable($"it is not enabled yet (IORING_SETUP_R_DISABLED; {entered})", "let the program enable it first");
        }

        SysResult mapped = Kernel.Call(
            Sysno.mmap, 0, Kernel.PageSize, (nint)ProtectionFlags.PROT_READ, (nint)MapFlags.MAP_SHARED, file.Taken.Number, 0);
        if (mapped.IsError)
        {
            return Objection.Unsaveable(
                $"it can't be looked into ({mapped.Errno}): the program has given it memory of its own (IORING_SETUP_NO_MMAP)");
        }

        Kernel.Call(Sysno.munmap, mapped.Raw, Kernel.PageSize).OrThrow("munmap(a page of a ring)");
        return null;
    }

    private static Objection Threaded(string how)
        => new(
            "io-uring-thread",
            how + " (IORING_SETUP_SQPOLL), and doesn't stop with the program",
            "let the program set it up without that thread; " + UseEpoll);

    /// <summary>Why a ring can't be saved.</summary>
    /// <param name="Identifier">The stable name of the problem.</param>
    /// <param name="Reason">Why.</param>
    /// <param name="Remedy">What the user can do.</param>
    internal sealed record Objection(string Identifier, string Reason, string Remedy)
    {
        /// <summary>Requests are under way.</summary>
        public static Objection Busy(string reason)
            => new("io-uring-busy", reason, "dump while it is at rest, which most programs never are; " + UseEpoll);

        /// <summary>A ring can't be made again, for a reason of its own.</summary>
        public static Objection Unsaveable(string reason, string remedy = UseEpoll)
            => new("io-uring", reason, remedy);

        /// <summary>Something is registered with it that can't be saved.</summary>
        public static Objection Registered(string reason, string remedy = UseEpoll)
            => new("io-uring-registered", reason, remedy);
    }
}
