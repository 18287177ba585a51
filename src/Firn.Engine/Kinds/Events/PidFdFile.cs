using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Events;

/// <summary>pidfd: a process as a descriptor.</summary>
/// <remarks>
/// <para>Kernel: fs/pidfs.c, pidfd_open(2), proc_pid_fdinfo(5).</para>
/// <para>
/// Its process must exist when it is made, so each task makes its own at last, in place of the stand-in that it inherited; what two
/// descriptors share of a pidfd, but its flags, there is nothing. One whose process has been waited for gets a process that was, and that
/// has ended the same way (PIDFD_GET_INFO).
/// </para>
/// </remarks>
internal sealed class PidFdFile : FileKind
{
    private const OpenFlags PIDFD_THREAD = OpenFlags.O_EXCL;
    private const int Reaped = -1;

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Pidfd;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => file.IsAnonymousInode("[pidfd]");

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        int pid = file.Info.Pid ?? 0;
        bool isThread = (file.Flags & PIDFD_THREAD) != 0 && context.Tasks.Any(task => task.Threads.Any(thread => thread.Tid == pid));
        if (pid != Reaped && !isThread && context.FindTask(pid) is null)
        {
            context.Problems.Add(
                "pidfd-outside",
                file.Owner.Pid,
                $"fd {file.Number}: pidfd of {(pid == 0 ? "a process in another pid namespace" : $"process {pid}")}",
                "that process isn't in the tree", "dump a tree that holds both, or let the program close it before the dump");
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        entry.Pidfd = new PidfdEntry
        {
            Id = file.Id,
            Ino = (uint)file.Stat.st_ino,
            Flags = (uint)file.Flags,
            Nspid = file.Info.NSpid.Length > context.Tasks[0].PidLevel ? file.Info.NSpid[context.Tasks[0].PidLevel] : Reaped,
            Fown = FileOwner.Dump(context, file),
        };

        // A kernel before 6.15 doesn't tell: then it has ended with 0.
        if (entry.Pidfd.Nspid == Reaped && Sys.PidfdExitStatus(file.Taken.Number, out int status).Raw >= 0)
        {
            entry.Pidfd.ExitStatus = (uint)status;
        }
    }

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        OpenFlags flags = FlagsOf(entry);
        return entry.Pidfd.Nspid == Reaped ? OpenReaped(context, entry.Pidfd, flags) : Open(Sys.GetPid(), flags & ~PIDFD_THREAD);
    }

    /// <summary>Whether a file is a pidfd of a task of the tree, and can be made when that exists.</summary>
    public static bool NeedsTask(FileEntry entry) => entry.Pidfd is { } message && message.Nspid != Reaped;

    /// <summary>Whether a file is a pidfd that may be of a thread other than the first.</summary>
    public static bool NeedsThread(FileEntry entry) => NeedsTask(entry) && (FlagsOf(entry) & PIDFD_THREAD) != 0;

    /// <summary>Opens a pidfd of a task of the tree for who can't open it himself: a socket's queue. Null for all other files.</summary>
    /// <exception cref="LinuxException">The task doesn't exist.</exception>
    public static Fd? OpenLate(RestoreContext context, FileEntry entry)
        => NeedsTask(entry) ? Open(context.OuterId(entry.Pidfd.Nspid), FlagsOf(entry)) : null;

    /// <inheritdoc/>
    public override void Attach(RestoreContext context, FileEntry entry, RestoredTask task, FdinfoEntry descriptor, RemoteBatch batch)
        => Place(context, task, descriptor, batch);

    /// <summary>
    /// Queues that a task opens a pidfd in place of the stand-in, once for each descriptor. Does nothing for other kinds.
    /// </summary>
    public static void Place(RestoreContext context, RestoredTask task, FdinfoEntry descriptor, RemoteBatch batch)
    {
        if (context.Files.Entry(descriptor.Id).Pidfd is not { } message || message.Nspid == Reaped
            || !context.Files.State.Get<Placed>().Add((task.Pid, descriptor.Fd)))
        {
            return;
        }

        OpenFlags flags = FlagsOf(context.Files.Entry(descriptor.Id));
        OpenFlags closeOnExec = descriptor.Flags != 0 ? OpenFlags.O_CLOEXEC : 0;
        Slot opened = batch.Call(Sysno.pidfd_open, context.IdFor(task, message.Nspid), (int)flags);
        batch.Call(Sysno.dup3, opened, descriptor.Fd, (int)closeOnExec);
        batch.Call(Sysno.close, opened);
    }

    // A process that was in the tree's pid namespace: to the tree, one that was outside is another thing.
    private static Fd OpenReaped(RestoreContext context, PidfdEntry message, OpenFlags flags)
    {
        using PassingProcess process = PassingProcess.Make(context, 0, (int)message.ExitStatus);
        return Open(process.Pid, flags);
    }

    private static OpenFlags FlagsOf(FileEntry entry) => (OpenFlags)entry.Pidfd.Flags & (PIDFD_THREAD | OpenFlags.O_NONBLOCK);

    private static Fd Open(int pid, OpenFlags flags)
        => new(Kernel.Call(Sysno.pidfd_open, pid, (nint)flags).OrThrow($"pidfd_open({pid}, {flags})").Int32);

    private sealed class Placed : HashSet<(int Pid, uint Fd)>
    {
    }
}
