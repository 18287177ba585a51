using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Scheduling policies (include/uapi/linux/sched.h).</summary>
public enum SchedPolicy : uint
{
    SCHED_NORMAL = 0,
    SCHED_FIFO = 1,
    SCHED_RR = 2,
    SCHED_BATCH = 3,
    SCHED_IDLE = 5,
    SCHED_DEADLINE = 6,
    SCHED_EXT = 7,
}

/// <summary>struct sched_attr of sched_setattr(2) (include/uapi/linux/sched/types.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SchedAttr
{
    public uint size;
    public SchedPolicy sched_policy;
    public ulong sched_flags;
    public int sched_nice;
    public uint sched_priority;
    public ulong sched_runtime;
    public ulong sched_deadline;
    public ulong sched_period;
    public uint sched_util_min;
    public uint sched_util_max;
}

/// <summary>Who getpriority(2) is about (include/uapi/linux/resource.h).</summary>
public enum PriorityWhich
{
    PRIO_PROCESS = 0,
    PRIO_PGRP = 1,
    PRIO_USER = 2,
}

/// <summary>Resources with a limit (include/uapi/asm-generic/resource.h).</summary>
public enum ResourceLimit
{
    RLIMIT_CPU = 0,
    RLIMIT_FSIZE = 1,
    RLIMIT_DATA = 2,
    RLIMIT_STACK = 3,
    RLIMIT_CORE = 4,
    RLIMIT_RSS = 5,
    RLIMIT_NPROC = 6,
    RLIMIT_NOFILE = 7,
    RLIMIT_MEMLOCK = 8,
    RLIMIT_AS = 9,
    RLIMIT_LOCKS = 10,
    RLIMIT_SIGPENDING = 11,
    RLIMIT_MSGQUEUE = 12,
    RLIMIT_NICE = 13,
    RLIMIT_RTPRIO = 14,
    RLIMIT_RTTIME = 15,
}

/// <summary>struct rlimit64 (include/uapi/linux/resource.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Rlimit64
{
    public const ulong RLIM64_INFINITY = ulong.MaxValue;

    public ulong rlim_cur;
    public ulong rlim_max;
}
