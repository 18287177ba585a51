using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Restoring;

/// <summary>System calls with a time-out of which a part was over at the dump: they go on for the rest.</summary>
/// <remarks>
/// What the kernel continues by restart_syscall(2) it keeps for itself, the end of the time above all. So the thread makes the call itself,
/// by the program's own instruction, with the time that is left, and is interrupted at once: the kernel then keeps the same as before, and
/// goes on with it when the thread is let go. kernel/time/hrtimer.c, hrtimer_nanosleep_restart().
/// </remarks>
internal static class ContinuedCalls
{
    /// <summary>Lets all threads that were within such a call begin it. Their registers are set afterwards: <see cref="Apply"/>.</summary>
    public static void Begin(IEnumerable<RestoredThread> threads)
    {
        foreach (RestoredThread thread in threads)
        {
            if (thread.Core.ThreadCore?.InterruptedCall is { HasRemaining: true } call)
            {
                thread.CallResult = Begin(thread.Remote, Kinds.Tasks.Registers.FromMessage(thread.Core.ThreadInfo.Gpregs), call);
            }
        }
    }

    /// <summary>The registers of a thread that was within such a call, as the kernel is to find them when it lets the thread go.</summary>
    public static UserRegs Apply(RestoredThread thread, in UserRegs registers)
    {
        if (thread.Core.ThreadCore?.InterruptedCall is not { } call)
        {
            return registers;
        }

        if (thread.CallResult is not { } result)
        {
            return InterruptedCall.BeginAnew(registers, (Sysno)call.Number);
        }

        UserRegs continued = registers;
        continued.rax = (ulong)result;
        continued.orig_rax = result is >= -(long)Errno.ERESTART_RESTARTBLOCK and <= -(long)Errno.ERESTARTSYS ? call.Number : ulong.MaxValue;
        return continued;
    }

    private static long Begin(Remote remote, UserRegs registers, InterruptedCallEntry call)
    {
        const ulong NanosecondsPerSecond = 1_000_000_000;
        const ulong NanosecondsPerMillisecond = 1_000_000;
        RemoteBuffer time = remote.Batch.Data(
            new Linux.Abi.Timespec
            {
                tv_sec = (long)(call.Remaining / NanosecondsPerSecond),
                tv_nsec = (long)(call.Remaining % NanosecondsPerSecond),
            });
        registers = InterruptedCall.BeginAnew(registers, (Sysno)call.Number);
        switch ((Sysno)call.Number)
        {
            case Sysno.nanosleep:
                registers.rdi = time.Address.Value;
                break;
            case Sysno.clock_nanosleep:
                registers.rdx = time.Address.Value;
                break;
            case Sysno.futex:
                registers.r10 = time.Address.Value;
                break;
            default:
                registers.rdx = (call.Remaining + NanosecondsPerMillisecond - 1) / NanosecondsPerMillisecond;
                break;
        }

        Tracee tracee = remote.Tracee;
        tracee.SetRegisters(registers);
        tracee.Resume(PtraceRequest.PTRACE_SYSCALL);
        while (!tracee.WaitForStop().IsSystemCallStop)
        {
            tracee.SetRegisters(registers);
            tracee.Resume(PtraceRequest.PTRACE_SYSCALL);
        }

        // At the entry; the interruption waits for it within.
        tracee.Interrupt();
        tracee.Resume();
        while (!tracee.WaitForStop().IsEventStop)
        {
            tracee.Resume();
        }

        remote.Batch.Clear();
        return (long)tracee.GetRegisters().rax;
    }
}
