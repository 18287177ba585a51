using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux;

public static partial class Sys
{
    /// <summary>kill(2).</summary>
    public static SysResult Kill(int pid, Signal signal) => Kernel.Call(Sysno.kill, pid, (nint)signal);

    /// <summary>futex(2), FUTEX_WAKE: wakes all who wait for a word, in any process.</summary>
    public static SysResult FutexWake(nint address)
    {
        const int FUTEX_WAKE = 1;
        return Kernel.Call(Sysno.futex, address, FUTEX_WAKE, int.MaxValue);
    }

    /// <summary>getpid(2).</summary>
    public static int GetPid() => Kernel.Call(Sysno.getpid).Int32;

    /// <summary>gettid(2).</summary>
    public static int GetTid() => Kernel.Call(Sysno.gettid).Int32;

    /// <summary>pidfd_open(2).</summary>
    public static SysResult PidfdOpen(int pid) => Kernel.Call(Sysno.pidfd_open, pid, 0);

    /// <summary>pidfd_open(2) of one thread (PIDFD_THREAD, Linux 6.9).</summary>
    public static SysResult PidfdOpenThread(int tid) => Kernel.Call(Sysno.pidfd_open, tid, (nint)OpenFlags.O_EXCL);

    /// <summary>How the process of a pidfd has ended, as wait(2) tells it: PIDFD_GET_INFO (include/uapi/linux/pidfd.h).</summary>
    /// <returns>An error where the process lives, or the kernel is older than 6.15: ENODATA, ESRCH or ENOTTY.</returns>
    public static SysResult PidfdExitStatus(int pidfd, out int status)
    {
        const uint PIDFD_GET_INFO = 0xC040FF0B;
        const ulong PIDFD_INFO_EXIT = 8;
        var info = new PidfdInfo { mask = PIDFD_INFO_EXIT };
        SysResult result = Ioctl(pidfd, PIDFD_GET_INFO, ref info);
        status = info.exit_code;
        return result.IsError || (info.mask & PIDFD_INFO_EXIT) != 0 ? result : new SysResult(-(nint)Errno.ENODATA);
    }

    /// <summary>pidfd_send_signal(2), as kill(2) with the process that the descriptor stands for.</summary>
    public static SysResult PidfdSendSignal(int pidfd, Signal signal) => Kernel.Call(Sysno.pidfd_send_signal, pidfd, (nint)signal, 0, 0);

    /// <summary>pidfd_getfd(2): a copy of another process's descriptor, close-on-exec.</summary>
    public static SysResult PidfdGetFd(int pidfd, int fd) => Kernel.Call(Sysno.pidfd_getfd, pidfd, fd, 0);

    /// <summary>kcmp(2): 0 equal, 1 less, 2 greater, 3 different.</summary>
    public static SysResult Kcmp(int pid1, int pid2, KcmpType type, nint index1 = 0, nint index2 = 0)
        => Kernel.Call(Sysno.kcmp, pid1, pid2, (nint)type, index1, index2);

    /// <summary>prctl(2) of the calling thread.</summary>
    public static SysResult Prctl(PrctlOption option, nint a1 = 0, nint a2 = 0, nint a3 = 0, nint a4 = 0)
        => Kernel.Call(Sysno.prctl, (nint)option, a1, a2, a3, a4);

    // struct pidfd_info (include/uapi/linux/pidfd.h), in its first size, which the call's number has in it.
    [StructLayout(LayoutKind.Sequential)]
    private struct PidfdInfo
    {
        public ulong mask;
        public ulong cgroupid;
        public uint pid;
        public uint tgid;
        public uint ppid;
        public uint ruid;
        public uint rgid;
        public uint euid;
        public uint egid;
        public uint suid;
        public uint sgid;
        public uint fsuid;
        public uint fsgid;
        public int exit_code;
    }
}
