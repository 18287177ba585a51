using System.Buffers.Binary;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>A system call that a stop has interrupted, and that the kernel would begin anew by itself if nothing came between.</summary>
/// <remarks>Kernel: arch/x86/kernel/signal.c, arch_do_signal_or_restart(); signal(7), "Interruption of system calls".</remarks>
public static class InterruptedCall
{
    private const ulong InstructionSize = 2;

    // mov eax, NUMBER; syscall.
    private const int SequenceSize = 7;
    private const byte MoveToEax = 0xb8;

    /// <summary>The registers with the call put back to before its begin; where that can't be done, as interrupted.</summary>
    /// <remarks>A call that ends with ERESTART_RESTARTBLOCK keeps what is left of its time in the kernel alone: it gets EINTR.</remarks>
    public static UserRegs NotYetBegun(in UserRegs registers)
    {
        UserRegs result = registers;
        if ((long)registers.orig_rax < 0)
        {
            return result;
        }

        switch (ErrorOf(registers))
        {
            case Errno.ERESTARTSYS or Errno.ERESTARTNOINTR or Errno.ERESTARTNOHAND:
                return BeginAnew(registers, (Sysno)registers.orig_rax);
            case Errno.ERESTART_RESTARTBLOCK:
                result.rax = unchecked((ulong)-(long)Errno.EINTR);
                break;
        }

        return result;
    }

    /// <summary>The registers as before the call.</summary>
    /// <param name="registers">The registers behind it.</param>
    /// <param name="number">The call's number.</param>
    public static UserRegs BeginAnew(in UserRegs registers, Sysno number)
    {
        UserRegs result = registers;
        result.rax = (ulong)number;
        result.rip -= InstructionSize;
        result.orig_rax = ulong.MaxValue;
        return result;
    }

    /// <summary>
    /// Which call with a time-out a thread is within, that the kernel would continue by restart_syscall(2); and how much of its time is
    /// left, in nanoseconds: null where the call is to begin anew with all of its time, since that is absolute, or infinite, or no one
    /// knows.
    /// </summary>
    /// <param name="tid">The thread, stopped and not let run since.</param>
    /// <param name="registers">Its registers as found.</param>
    /// <remarks>
    /// What is left of a sleep the kernel has written where the program asked for it (kernel/time/hrtimer.c, nanosleep_copyout()). A call
    /// that was continued before has lost its number, which the instructions of the program still say.
    /// </remarks>
    public static (Sysno Number, ulong? Remaining)? FindContinued(int tid, in UserRegs registers)
    {
        if ((long)registers.orig_rax < 0 || ErrorOf(registers) != Errno.ERESTART_RESTARTBLOCK)
        {
            return null;
        }

        Sysno number = (Sysno)registers.orig_rax == Sysno.restart_syscall ? NumberInCode(tid, registers.rip) : (Sysno)registers.orig_rax;
        return number switch
        {
            Sysno.nanosleep => (number, ReadTime(tid, registers.rsi)),
            Sysno.clock_nanosleep => (number, ReadTime(tid, registers.r10)),
            Sysno.poll or Sysno.futex => (number, null),
            _ => null,
        };
    }

    /// <summary>
    /// Whether a thread is within a call whose time ends some time, and neither the program nor the registers know how much of it is left.
    /// </summary>
    /// <param name="tid">The thread, stopped and not let run since.</param>
    /// <param name="registers">Its registers as found.</param>
    public static bool HasUnknownEnd(int tid, in UserRegs registers)
    {
        if (FindContinued(tid, registers) is not { Remaining: null, Number: var number })
        {
            return false;
        }

        // The operation of futex(2) without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME; only FUTEX_WAIT has a time that is not absolute.
        const ulong OperationMask = 0x7f;
        return number switch
        {
            Sysno.poll => (int)registers.rdx > 0,
            Sysno.futex => (registers.rsi & OperationMask) == 0 && registers.r10 != 0,
            _ => true,
        };
    }

    /// <summary>
    /// The registers of a thread whose call ended with EINTR for the stop alone: begun anew, where it waits without end. Linux never begins
    /// these calls anew by itself.
    /// </summary>
    /// <param name="tid">The thread, stopped and not let run since.</param>
    /// <param name="registers">Its registers as found.</param>
    public static UserRegs WithoutTrace(int tid, in UserRegs registers)
    {
        if ((long)registers.orig_rax < 0 || ErrorOf(registers) != Errno.EINTR || !WaitsWithoutEnd(registers))
        {
            return registers;
        }

        // A signal that is about to be handled ends the call rightly.
        var status = Linux.Procfs.ProcStatus.Read(tid);
        return ((status.SigPnd | status.ShdPnd) & ~status.SigBlk) != 0 ? registers : BeginAnew(registers, (Sysno)registers.orig_rax);
    }

    private static Errno ErrorOf(in UserRegs registers) => (Errno)(-(long)registers.rax);

    private static bool WaitsWithoutEnd(in UserRegs registers) => (Sysno)registers.orig_rax switch
    {
        Sysno.epoll_wait or Sysno.epoll_pwait => (int)registers.r10 < 0,
        Sysno.epoll_pwait2 or Sysno.semtimedop => registers.r10 == 0,
        Sysno.semop => true,
        Sysno.rt_sigtimedwait => registers.rdx == 0,
        Sysno.io_getevents or Sysno.io_pgetevents => registers.r8 == 0,
        _ => false,
    };

    private static Sysno NumberInCode(int tid, ulong rip)
    {
        Span<byte> code = stackalloc byte[SequenceSize];
        return Sys.ProcessVmRead(tid, rip - SequenceSize, code).Raw == SequenceSize && code[0] == MoveToEax
            ? (Sysno)BinaryPrimitives.ReadInt32LittleEndian(code[1..])
            : Sysno.restart_syscall;
    }

    // struct timespec; null for a program that didn't ask.
    private static ulong? ReadTime(int tid, ulong address)
    {
        const ulong NanosecondsPerSecond = 1_000_000_000;
        Span<byte> time = stackalloc byte[2 * sizeof(ulong)];
        if (address == 0 || Sys.ProcessVmRead(tid, address, time).Raw != time.Length)
        {
            return null;
        }

        ulong seconds = BinaryPrimitives.ReadUInt64LittleEndian(time);
        ulong nanoseconds = BinaryPrimitives.ReadUInt64LittleEndian(time[sizeof(ulong)..]);
        return nanoseconds < NanosecondsPerSecond && seconds < ulong.MaxValue / NanosecondsPerSecond / 2
            ? (seconds * NanosecondsPerSecond) + nanoseconds
            : null;
    }
}
