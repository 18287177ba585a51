using System.Runtime.InteropServices;
using Firn.Engine.Sharing;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds;

/// <summary>What every open file description has beside its kind: who gets its signals, and its status flags.</summary>
/// <remarks>fcntl(2), F_SETOWN and F_SETFL; kernel: fs/fcntl.c.</remarks>
internal static class FileOwner
{
    // What F_SETFL can change; the access mode and what only open(2) takes belong to how the file is made.
    private const OpenFlags Settable =
        OpenFlags.O_APPEND | OpenFlags.O_NONBLOCK | OpenFlags.O_ASYNC | OpenFlags.O_DIRECT | OpenFlags.O_NOATIME;

    // ---- dump

    /// <summary>Reads who gets the signals of a file, as Firn's own pid namespace has it.</summary>
    /// <exception cref="LinuxException">The descriptor can't be taken or read.</exception>
    public static FownEntry Read(OpenFile file)
    {
        int fd = file.Taken.Number;
        var owner = default(FOwnerEx);
        var uids = default(OwnerUids);
        int signal = Sys.Fcntl(fd, FcntlCommand.F_GETSIG).OrThrow($"fcntl({file.Link}, F_GETSIG) of pid {file.Owner.Pid} fd {file.Number}").Int32;
        if (!Sys.Fcntl(fd, FcntlCommand.F_GETOWN_EX, ref owner).IsError && owner.pid != 0)
        {
            Sys.Fcntl(fd, FcntlCommand.F_GETOWNER_UIDS, ref uids).OrThrow($"fcntl({file.Link}, F_GETOWNER_UIDS) of pid {file.Owner.Pid} fd {file.Number}");
        }

        return new FownEntry { Uid = uids.uid, Euid = uids.euid, Signum = (uint)signal, PidType = (uint)owner.type, Pid = (uint)owner.pid };
    }

    // ---- restore

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

    /// <summary>Sets who gets the signals. The task must exist, so this belongs to Arm.</summary>
    /// <exception cref="LinuxException">The kernel refuses: ESRCH if the task or group that it names isn't there.</exception>
    public static void Restore(Fd fd, FownEntry entry)
    {
        if (entry.Signum != 0)
        {
            Sys.Fcntl(fd.Number, FcntlCommand.F_SETSIG, (nint)entry.Signum).OrThrow($"fcntl({fd}, F_SETSIG, {entry.Signum})");
        }

        if (entry.Pid != 0)
        {
            // The kernel keeps the ids of who sets the owner, and checks with them whether a signal may be sent.
            using var identity = BorrowedIdentity.Of(entry.Uid, entry.Euid);
            var owner = new FOwnerEx { type = (int)entry.PidType, pid = (int)entry.Pid };
            Sys.Fcntl(fd.Number, FcntlCommand.F_SETOWN_EX, ref owner).OrThrow($"fcntl({fd}, F_SETOWN_EX, {entry.Pid})");
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct OwnerUids
    {
        public uint uid;
        public uint euid;
    }
}
