using Firn.Linux.Abi;

namespace Firn.Linux;

// SAFETY, of all that follows: the kernel reads and writes what it is given during the call alone, and no more than the structure.
public static unsafe partial class Sys
{
    /// <summary>sched_getattr(2) of a thread.</summary>
    public static SysResult SchedGetAttr(int tid, out SchedAttr attributes)
    {
        fixed (SchedAttr* pointer = &attributes)
        {
            *pointer = default;
            return Kernel.Call(Sysno.sched_getattr, tid, (nint)pointer, sizeof(SchedAttr), 0);
        }
    }

    /// <summary>sched_setattr(2) of a thread; the size is filled in.</summary>
    public static SysResult SchedSetAttr(int tid, SchedAttr attributes)
    {
        attributes.size = (uint)sizeof(SchedAttr);
        return Kernel.Call(Sysno.sched_setattr, tid, (nint)(&attributes), 0);
    }

    /// <summary>getpriority(2), bare: 20 - nice, so 1 to 40.</summary>
    public static SysResult GetPriority(PriorityWhich which, int who) => Kernel.Call(Sysno.getpriority, (nint)which, who);

    /// <summary>setpriority(2): nice, -20 to 19.</summary>
    public static SysResult SetPriority(PriorityWhich which, int who, int nice) => Kernel.Call(Sysno.setpriority, (nint)which, who, nice);

    /// <summary>prlimit64(2): reads a limit. Of a task of another user it needs CAP_SYS_RESOURCE.</summary>
    public static SysResult GetLimit(int pid, ResourceLimit resource, out Rlimit64 limit)
    {
        fixed (Rlimit64* pointer = &limit)
        {
            *pointer = default;
            return Kernel.Call(Sysno.prlimit64, pid, (nint)resource, 0, (nint)pointer);
        }
    }

    /// <summary>prlimit64(2): sets a limit.</summary>
    public static SysResult SetLimit(int pid, ResourceLimit resource, Rlimit64 limit)
        => Kernel.Call(Sysno.prlimit64, pid, (nint)resource, (nint)(&limit), 0);

    /// <summary>get_robust_list(2): where a thread's list of robust futexes begins in its memory, and the size of the head.</summary>
    public static SysResult GetRobustList(int tid, out ulong head, out ulong length)
    {
        ulong first = 0;
        ulong size = 0;
        SysResult result = Kernel.Call(Sysno.get_robust_list, tid, (nint)(&first), (nint)(&size));
        head = first;
        length = size;
        return result;
    }
}
