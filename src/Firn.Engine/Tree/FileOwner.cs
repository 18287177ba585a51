using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Tree;

/// <summary>Who gets a signal when an open file becomes ready (F_SETOWN), and which; a part of most kinds of files.</summary>
/// <remarks>Kernel: fs/fcntl.c, f_modown(), send_sigio(). The ids of who set the owner decide later who may be signalled.</remarks>
internal static class FileOwner
{
    /// <summary>The flags that F_SETFL can change.</summary>
    public const OpenFlags Settable =
        OpenFlags.O_APPEND | OpenFlags.O_NONBLOCK | OpenFlags.O_ASYNC | OpenFlags.O_DIRECT | OpenFlags.O_NOATIME;

    // ---- dump

    /// <summary>Whether a descriptor has an owner.</summary>
    public static bool Exists(OpenFile file) => HasOwner(file) && Read(file).Pid != 0;

    /// <summary>Refuses an owner outside of the tree: at the restore, its id may be a stranger's.</summary>
    public static void Examine(DumpContext context, OpenFile file)
    {
        if (!HasOwner(file))
        {
            return;
        }

        FownEntry owner = Read(file);
        bool inside = (int)owner.PidType == FOwnerEx.F_OWNER_PGRP
            ? context.Tasks.Exists(task => task.Stat.ProcessGroup == (int)owner.Pid)
            : context.Tasks.Exists(task => task.ProcessId == (int)owner.Pid || task.Threads.Exists(thread => thread.Tid == (int)owner.Pid));
        if (owner.Pid != 0 && !inside)
        {
            context.Problems.Add(
                "file-owner-outside",
                file.Owner.Pid,
                file.Resource,
                $"its signals (F_SETOWN) go to {(owner.PidType == FOwnerEx.F_OWNER_PGRP ? "process group" : "task")} {owner.Pid}, which "
                    + "is not in the tree",
                "dump a tree that holds the owner too");
        }
    }

    /// <summary>Saves the owner. All zero where there is none, as always with O_PATH.</summary>
    public static FownEntry Dump(DumpContext context, OpenFile file)
    {
        if (!HasOwner(file))
        {
            return Nobody();
        }

        FownEntry entry = Read(file);
        if (entry.Pid != 0)
        {
            bool isGroup = (int)entry.PidType == FOwnerEx.F_OWNER_PGRP;
            entry.Pid = (uint)(isGroup ? context.InnerGroup((int)entry.Pid) : context.InnerId((int)entry.Pid));
        }

        return entry;
    }

    /// <summary>No owner at all.</summary>
    public static FownEntry Nobody() => new() { Uid = 0, Euid = 0, Signum = 0, PidType = 0, Pid = 0 };

    private static bool HasOwner(OpenFile file) => file.IsDescriptor && !file.IsPathOnly;

    private static FownEntry Read(OpenFile file)
    {
        FownEntry entry = Nobody();
        int fd = file.Taken.Number;
        entry.Signum = (uint)Sys.Fcntl(fd, FcntlCommand.F_GETSIG).OrThrow($"fcntl({file.Resource}, F_GETSIG)").Int32;
        FOwnerEx owner = default;
        Sys.Fcntl(fd, FcntlCommand.F_GETOWN_EX, ref owner).OrThrow($"fcntl({file.Resource}, F_GETOWN_EX)");
        if (owner.pid == 0)
        {
            return entry;
        }

        // uid in the lower half, euid in the upper one: uid_t[2].
        ulong ids = 0;
        Sys.Fcntl(fd, FcntlCommand.F_GETOWNER_UIDS, ref ids).OrThrow($"fcntl({file.Resource}, F_GETOWNER_UIDS)");
        entry.Uid = (uint)ids;
        entry.Euid = (uint)(ids >> 32);
        entry.PidType = (uint)owner.type;
        entry.Pid = (uint)owner.pid;
        return entry;
    }

    // ---- restore

    /// <summary>Queues O_ASYNC, in the task: the kernel remembers the descriptor's number for siginfo.</summary>
    public static void Attach(uint flags, FdinfoEntry descriptor, RemoteBatch batch)
    {
        if (((OpenFlags)flags & (OpenFlags.O_ASYNC | OpenFlags.O_PATH)) == OpenFlags.O_ASYNC)
        {
            batch.Call(Sysno.fcntl, (int)descriptor.Fd, (int)FcntlCommand.F_SETFL, (int)((OpenFlags)flags & Settable));
        }
    }

    /// <summary>Sets owner and signal: when all tasks exist, so that the owner does, and nothing can be signalled too early.</summary>
    /// <exception cref="CheckpointException">The owner does not exist.</exception>
    public static void Arm(RestoreContext context, FownEntry? entry, Fd fd, string name)
    {
        if (entry is null)
        {
            return;
        }

        if (entry.Signum != 0)
        {
            Sys.Fcntl(fd.Number, FcntlCommand.F_SETSIG, (nint)entry.Signum).OrThrow($"fcntl({name}, F_SETSIG, {entry.Signum})");
        }

        if (entry.Pid != 0)
        {
            SysResult result = SetOwner(entry, context.OuterId((int)entry.Pid), fd);
            if (result.IsError)
            {
                throw new CheckpointException(
                    $"{name}: its signals went to {entry.Pid}, which can't be set as owner: {ErrnoText.Describe(result.Errno)}")
                {
                    Errno = result.Errno,
                };
            }
        }
    }

    /// <summary>Sets status flags that differ from what the file has.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static void RestoreFlags(Fd fd, uint flags)
    {
        var now = (OpenFlags)Sys.Fcntl(fd.Number, FcntlCommand.F_GETFL).OrThrow($"fcntl({fd}, F_GETFL)").Int32;
        OpenFlags wanted = (now & ~Settable) | ((OpenFlags)flags & Settable);
        if (wanted != now)
        {
            Sys.Fcntl(fd.Number, FcntlCommand.F_SETFL, (nint)wanted).OrThrow($"fcntl({fd}, F_SETFL, {wanted})");
        }
    }

    // The kernel keeps the ids of who sets the owner, and checks with them whether a signal may be sent.
    private static SysResult SetOwner(FownEntry entry, int pid, Fd fd)
    {
        using var identity = BorrowedIdentity.Of(entry.Uid, entry.Euid);
        FOwnerEx owner = new() { type = (int)entry.PidType, pid = pid };
        return Sys.Fcntl(fd.Number, FcntlCommand.F_SETOWN_EX, ref owner);
    }
}
