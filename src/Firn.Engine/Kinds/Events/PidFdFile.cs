using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Events;

/// <summary>pidfd: a process as a descriptor.</summary>
/// <remarks>
/// <para>Kernel: fs/pidfs.c, pidfd_open(2), proc_pid_fdinfo(5).</para>
/// <para>
/// Its process must exist when it is made, so Firn makes it when all tasks do, and hands it to those who hold it (the restore's LateFiles).
/// One whose process has been waited for gets a process that was, and that has ended the same way (PIDFD_GET_INFO).
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
        => IsLate(entry) ? null : OpenReaped(context, entry.Pidfd, FlagsOf(entry));

    /// <summary>Whether a file is a pidfd of a task of the tree, and can be made when that exists.</summary>
    public static bool IsLate(FileEntry entry) => entry.Pidfd is { } message && message.Nspid != Reaped;

    /// <summary>Opens a pidfd of a task of the tree.</summary>
    /// <exception cref="LinuxException">The task doesn't exist.</exception>
    public static Fd OpenLate(RestoreContext context, FileEntry entry) => Open(context.OuterId(entry.Pidfd.Nspid), FlagsOf(entry));

    // A process that was in the tree's pid namespace: to the tree, one that was outside is another thing.
    private static Fd OpenReaped(RestoreContext context, PidfdEntry message, OpenFlags flags)
    {
        using PassingProcess process = PassingProcess.Make(context, 0, (int)message.ExitStatus);
        return Open(process.Pid, flags);
    }

    private static OpenFlags FlagsOf(FileEntry entry) => (OpenFlags)entry.Pidfd.Flags & (PIDFD_THREAD | OpenFlags.O_NONBLOCK);

    private static Fd Open(int pid, OpenFlags flags)
        => new(Kernel.Call(Sysno.pidfd_open, pid, (nint)flags).OrThrow($"pidfd_open({pid}, {flags})").Int32);
}
