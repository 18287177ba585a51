namespace Firn.Linux.Procfs;

/// <summary>/proc/TID/wchan: where in the kernel a task waits.</summary>
/// <remarks>proc_pid_wchan(5). Shown to who may trace the task, by kernels with the names of their functions (CONFIG_KALLSYMS).</remarks>
public static class WaitChannel
{
    /// <summary>
    /// Whether a task was stopped by a signal, and then frozen by the freezer of its cgroup, version 1: its state is D then, as that of
    /// all that is frozen, and a tracer that seizes it waits in the kernel until it is thawed (kernel/ptrace.c, JOBCTL_TRAPPING).
    /// </summary>
    /// <param name="tid">A thread; any that is gone is neither.</param>
    public static bool IsFrozenWhileStopped(int tid)
        => ProcStat.TryRead(tid, out ProcStat? stat) is { IsError: false }
            && stat!.State == TaskState.DiskSleep
            && !ProcFile.TryRead($"/proc/{tid}/wchan", out ReadOnlySpan<byte> function).IsError
            // Where the compiler has put the one into the other, it is the outer one.
            && (function.StartsWith("do_signal_stop"u8) || function.StartsWith("get_signal"u8));
}
