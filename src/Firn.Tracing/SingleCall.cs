using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>
/// One system call by ptrace alone, through an instruction that the task has anyway: the way in, before there is a scratch.
/// </summary>
/// <remarks>
/// In three steps, so that those of many tasks run side by side: <see cref="Start"/>, <see cref="PassEntry"/>, <see cref="Finish"/>.
/// </remarks>
internal sealed class SingleCall
{
    private readonly Tracee tracee;
    private readonly UserRegs registers;
    private readonly ulong? mask;

    /// <summary>Prepares a call of a stopped thread.</summary>
    /// <param name="tracee">The thread; PTRACE_O_TRACESYSGOOD is set.</param>
    /// <param name="from">The registers to start from.</param>
    /// <param name="instruction">The address of a `syscall` instruction.</param>
    /// <param name="stackPointer">rsp during the call: the address that `ret` would lead home by, or 0 to leave it.</param>
    /// <param name="mask">The signal mask during the call, or null when it is set already.</param>
    /// <param name="nr">The call's number.</param>
    /// <param name="arguments">Up to six arguments.</param>
    public SingleCall(
        Tracee tracee,
        in UserRegs from,
        RemotePtr instruction,
        RemotePtr stackPointer,
        ulong? mask,
        Sysno nr,
        params ReadOnlySpan<ulong> arguments)
    {
        this.tracee = tracee;
        this.mask = mask;
        registers = from;
        registers.rip = instruction.Value;
        registers.rsp = stackPointer.Value == 0 ? registers.rsp : stackPointer.Value;
        registers.rax = (ulong)nr;
        registers.orig_rax = ulong.MaxValue;
        registers.eflags &= ~0x500UL;
        registers.rdi = arguments.Length > 0 ? arguments[0] : 0;
        registers.rsi = arguments.Length > 1 ? arguments[1] : 0;
        registers.rdx = arguments.Length > 2 ? arguments[2] : 0;
        registers.r10 = arguments.Length > 3 ? arguments[3] : 0;
        registers.r8 = arguments.Length > 4 ? arguments[4] : 0;
        registers.r9 = arguments.Length > 5 ? arguments[5] : 0;
    }

    /// <summary>Starts the call. The registers first: they lead home, and the frame holds the mask.</summary>
    public SingleCall Start()
    {
        tracee.SetRegisters(registers);
        if (mask is ulong blocked)
        {
            tracee.SetSignalMask(blocked);
        }

        tracee.Resume(PtraceRequest.PTRACE_SYSCALL);
        return this;
    }

    /// <summary>Waits for the entry of the call, and lets the task go on.</summary>
    /// <exception cref="TraceeLostException">The task is gone.</exception>
    public SingleCall PassEntry()
    {
        // A task that was stopped by a signal traps once more before the call; a PTRACE_INTERRUPT may still be on its way.
        while (!tracee.WaitForStop().IsSystemCallStop)
        {
            tracee.SetRegisters(registers);
            tracee.Resume(PtraceRequest.PTRACE_SYSCALL);
        }

        tracee.Resume(PtraceRequest.PTRACE_SYSCALL);
        return this;
    }

    /// <summary>Waits for the exit of the call.</summary>
    /// <returns>The value, or -errno.</returns>
    /// <exception cref="TraceeLostException">The task is gone.</exception>
    public long Finish()
    {
        while (!tracee.WaitForStop().IsSystemCallStop)
        {
            tracee.Resume(PtraceRequest.PTRACE_SYSCALL);
        }

        return (long)tracee.GetRegisters().rax;
    }

    /// <summary>Makes the call whole.</summary>
    /// <returns>The value, or -errno.</returns>
    public long Make() => Start().PassEntry().Finish();
}
