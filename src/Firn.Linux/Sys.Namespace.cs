using Firn.Linux.Abi;

namespace Firn.Linux;

public static partial class Sys
{
    private const uint NS_GET_PID_FROM_PIDNS = 0x8004_b706;

    /// <summary>setns(2) of the calling thread, to the namespaces of a pidfd or to the one of a descriptor of /proc/PID/ns.</summary>
    public static SysResult SetNs(int fd, CloneFlags flags) => Kernel.Call(Sysno.setns, fd, (nint)flags);

    /// <summary>fchdir(2): of the whole process, or of the calling thread alone if it has directories of its own (CLONE_FS).</summary>
    public static SysResult FchDir(int fd) => Kernel.Call(Sysno.fchdir, fd);

    /// <summary>Gives a task's id in the caller's pid namespace by the one that it has in another: ioctl_nsfs(2), Linux 6.11.</summary>
    /// <param name="pidNamespace">The other namespace.</param>
    /// <param name="pid">The id of a task or thread there.</param>
    public static SysResult PidFromNamespace(int pidNamespace, int pid) => Ioctl(pidNamespace, NS_GET_PID_FROM_PIDNS, pid);
}
