using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>A system call that a stop has interrupted, and that the kernel would begin anew by itself if nothing came between.</summary>
/// <remarks>Kernel: arch/x86/kernel/signal.c, arch_do_signal_or_restart().</remarks>
public static class InterruptedCall
{
    private const ulong InstructionSize = 2;

    /// <summary>The registers with the call put back to before its begin; where that can't be done, as interrupted.</summary>
    /// <remarks>A call that ends with ERESTART_RESTARTBLOCK keeps what is left of its time in the kernel alone: it gets EINTR.</remarks>
    public static UserRegs NotYetBegun(in UserRegs registers)
    {
        UserRegs result = registers;
        if ((long)registers.orig_rax < 0)
        {
            return result;
        }

        switch ((Errno)(-(long)registers.rax))
        {
            case Errno.ERESTARTSYS or Errno.ERESTARTNOINTR or Errno.ERESTARTNOHAND:
                result.rax = registers.orig_rax;
                result.rip -= InstructionSize;
                break;
            case Errno.ERESTART_RESTARTBLOCK:
                result.rax = unchecked((ulong)-(long)Errno.EINTR);
                break;
        }

        return result;
    }
}
