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
/// descriptors share of a pidfd, but its flags, there is nothing. One whose process has been waited for gets a process that was.
/// </para>
/// </remarks>
internal sealed class PidFdFile : FileKind
{
    private const OpenFlags PIDFD_THREAD = OpenFlags.O_EXCL;
    private const int Reaped = -1;

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Pidfd;

    // xor edi,edi; mov eax,60; syscall: exit(0).
    private static ReadOnlySpan<byte> ExitCode => [0x31, 0xff, 0xb8, 0x3c, 0x00, 0x00, 0x00, 0x0f, 0x05];

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => file.IsAnonymousInode("[pidfd]");

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        int pid = file.Info.Pid ?? 0;
        if (context.Tasks.Any(task => task.Pid != pid && task.Threads.Any(thread => thread.Tid == pid)))
        {
            context.Problems.Add(
                "pidfd-thread",
                file.Owner.Pid,
                $"fd {file.Number}: pidfd of the thread {pid}",
                "descriptors are restored before threads exist",
                "let the program close it before the dump");
        }
        else if (pid != Reaped && context.FindTask(pid) is null)
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
        => entry.Pidfd = new PidfdEntry
        {
            Id = file.Id,
            Ino = (uint)file.Stat.st_ino,
            Flags = (uint)file.Flags,
            Nspid = file.Info.NSpid is [.., int innermost] ? innermost : Reaped,
            Fown = FileOwner.Dump(context, file),
        };

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        OpenFlags flags = (OpenFlags)entry.Pidfd.Flags & (PIDFD_THREAD | OpenFlags.O_NONBLOCK);
        return entry.Pidfd.Nspid == Reaped ? OpenReaped(context, flags) : Open(Sys.GetPid(), flags & ~PIDFD_THREAD);
    }

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

        OpenFlags flags = (OpenFlags)message.Flags & (PIDFD_THREAD | OpenFlags.O_NONBLOCK);
        OpenFlags closeOnExec = descriptor.Flags != 0 ? OpenFlags.O_CLOEXEC : 0;
        Slot opened = batch.Call(Sysno.pidfd_open, message.Nspid, (int)flags);
        batch.Call(Sysno.dup3, opened, descriptor.Fd, (int)closeOnExec);
        batch.Call(Sysno.close, opened);
    }

    private static Fd OpenReaped(RestoreContext context, OpenFlags flags)
    {
        if (context.OwnNamespace(CloneFlags.CLONE_NEWPID) is null)
        {
            return OpenReaped(flags);
        }

        // A process that was in the tree's pid namespace: to the tree, one that was outside is another thing.
        using Fd own = NamespaceVisit.Open(context.FirstPid, "pid");
        using Fd firns = NamespaceVisit.Open(Sys.GetPid(), "pid");
        Sys.SetNs(own.Number, CloneFlags.CLONE_NEWPID).OrThrow("setns(CLONE_NEWPID)");
        try
        {
            return OpenReaped(flags);
        }
        finally
        {
            Sys.SetNs(firns.Number, CloneFlags.CLONE_NEWPID).OrThrow("setns(CLONE_NEWPID, home)");
        }
    }

    private static Fd OpenReaped(OpenFlags flags)
    {
        // No exit signal, and the parent's memory: the child makes one system call and is gone.
        var arguments = new CloneArgs { flags = (ulong)(CloneFlags.CLONE_VM | CloneFlags.CLONE_VFORK) };
        int pid = Kernel.Clone3(in arguments, ExitCode, 0).OrThrow("clone3 of a process for a pidfd").Int32;
        try
        {
            return Open(pid, flags);
        }
        finally
        {
            Sys.Wait4(pid, out _, WaitOptions.__WALL).OrThrow($"wait4({pid})");
        }
    }

    private static Fd Open(int pid, OpenFlags flags)
        => new(Kernel.Call(Sysno.pidfd_open, pid, (nint)flags).OrThrow($"pidfd_open({pid}, {flags})").Int32);

    private sealed class Placed : HashSet<(int Pid, uint Fd)>
    {
    }
}
