using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>struct clone_args of clone3(2) (include/uapi/linux/sched.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct CloneArgs
{
    public ulong flags;
    public ulong pidfd;
    public ulong child_tid;
    public ulong parent_tid;
    public ulong exit_signal;
    public ulong stack;
    public ulong stack_size;
    public ulong tls;
    public ulong set_tid;
    public ulong set_tid_size;
    public ulong cgroup;
}

/// <summary>Flags of clone3(2) (include/uapi/linux/sched.h).</summary>
[Flags]
public enum CloneFlags : ulong
{
    CLONE_NEWTIME = 0x80,
    CLONE_VM = 0x100,
    CLONE_FS = 0x200,
    CLONE_FILES = 0x400,
    CLONE_SIGHAND = 0x800,
    CLONE_PIDFD = 0x1000,
    CLONE_PTRACE = 0x2000,
    CLONE_VFORK = 0x4000,
    CLONE_PARENT = 0x8000,
    CLONE_THREAD = 0x10000,
    CLONE_NEWNS = 0x20000,
    CLONE_SYSVSEM = 0x40000,
    CLONE_SETTLS = 0x80000,
    CLONE_PARENT_SETTID = 0x100000,
    CLONE_CHILD_CLEARTID = 0x200000,
    CLONE_UNTRACED = 0x800000,
    CLONE_CHILD_SETTID = 0x1000000,
    CLONE_NEWCGROUP = 0x2000000,
    CLONE_NEWUTS = 0x4000000,
    CLONE_NEWIPC = 0x8000000,
    CLONE_NEWUSER = 0x10000000,
    CLONE_NEWPID = 0x20000000,
    CLONE_NEWNET = 0x40000000,
    CLONE_IO = 0x80000000,
    CLONE_CLEAR_SIGHAND = 0x100000000,
    CLONE_INTO_CGROUP = 0x200000000,
}

/// <summary>Options of wait4(2).</summary>
[Flags]
public enum WaitOptions
{
    None = 0,
    WNOHANG = 1,
    WUNTRACED = 2,
    WCONTINUED = 8,
    __WNOTHREAD = 0x20000000,
    __WALL = 0x40000000,
    __WCLONE = unchecked((int)0x80000000),
}

/// <summary>Kinds of kcmp(2).</summary>
public enum KcmpType
{
    KCMP_FILE = 0,
    KCMP_VM = 1,
    KCMP_FILES = 2,
    KCMP_FS = 3,
    KCMP_SIGHAND = 4,
    KCMP_IO = 5,
    KCMP_SYSVSEM = 6,
    KCMP_EPOLL_TFD = 7,
}

/// <summary>Options of prctl(2) that Firn uses (include/uapi/linux/prctl.h).</summary>
public enum PrctlOption
{
    PR_SET_PDEATHSIG = 1,
    PR_GET_PDEATHSIG = 2,
    PR_GET_DUMPABLE = 3,
    PR_SET_DUMPABLE = 4,
    PR_SET_KEEPCAPS = 8,
    PR_SET_NAME = 15,
    PR_GET_NAME = 16,
    PR_GET_SECCOMP = 21,
    PR_SET_SECCOMP = 22,
    PR_CAPBSET_READ = 23,
    PR_CAPBSET_DROP = 24,
    PR_GET_SECUREBITS = 27,
    PR_SET_SECUREBITS = 28,
    PR_SET_TIMERSLACK = 29,
    PR_GET_TIMERSLACK = 30,
    PR_SET_MM = 35,
    PR_SET_CHILD_SUBREAPER = 36,
    PR_GET_CHILD_SUBREAPER = 37,
    PR_SET_NO_NEW_PRIVS = 38,
    PR_GET_NO_NEW_PRIVS = 39,
    PR_GET_TID_ADDRESS = 40,
    PR_SET_THP_DISABLE = 41,
    PR_GET_THP_DISABLE = 42,
    PR_CAP_AMBIENT = 47,
    PR_SET_MEMORY_MERGE = 67,
    PR_GET_MEMORY_MERGE = 68,
    PR_SET_VMA = 0x53564d41,
    PR_GET_TSC = 25,
    PR_SET_TSC = 26,
    PR_MCE_KILL = 33,
    PR_MCE_KILL_GET = 34,
    PR_GET_SPECULATION_CTRL = 52,
    PR_SET_SPECULATION_CTRL = 53,
    PR_SET_IO_FLUSHER = 57,
    PR_GET_IO_FLUSHER = 58,
    PR_SET_MDWE = 65,
    PR_GET_MDWE = 66,
    PR_TIMER_CREATE_RESTORE_IDS = 77,
}

/// <summary>struct sched_attr of sched_setattr(2) (include/uapi/linux/sched/types.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SchedAttributes
{
    public const int SCHED_ATTR_SIZE_VER1 = 56;

    public uint size;
    public uint sched_policy;
    public ulong sched_flags;
    public int sched_nice;
    public uint sched_priority;
    public ulong sched_runtime;
    public ulong sched_deadline;
    public ulong sched_period;
    public uint sched_util_min;
    public uint sched_util_max;
}

/// <summary>struct rseq_cs (include/uapi/linux/rseq.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct RseqCriticalSection
{
    public uint version;
    public uint flags;
    public ulong start_ip;
    public ulong post_commit_offset;
    public ulong abort_ip;
}

/// <summary>struct __user_cap_header_struct of capset(2) (include/uapi/linux/capability.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct CapabilityHeader
{
    public const uint _LINUX_CAPABILITY_VERSION_3 = 0x20080522;

    public uint version;
    public int pid;
}

/// <summary>struct __user_cap_data_struct; version 3 takes two, the lower 32 capabilities first.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct CapabilityData
{
    public uint effective;
    public uint permitted;
    public uint inheritable;
}

/// <summary>struct sock_fprog of seccomp(2) (include/uapi/linux/filter.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct FilterProgram
{
    public ushort len;
    public ulong filter;
}
