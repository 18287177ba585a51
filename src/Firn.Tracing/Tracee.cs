using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>One thread under ptrace.</summary>
/// <remarks>All members: on the tracer thread that seized it. Those that read or set state: only while it is stopped. ptrace(2).</remarks>
public sealed partial class Tracee
{
    // What wait4(2) has told of other tracees and children of this thread, until they are asked for. A later word replaces an earlier one:
    // only the end can follow on a stop that was not answered.
    [ThreadStatic]
    private static Dictionary<int, int>? notes;

    private Tracee(int tid) => Tid = tid;

    /// <summary>The thread's id as this process's pid namespace sees it.</summary>
    public int Tid { get; }

    /// <summary>What the last stop was.</summary>
    public WaitStatus Status { get; private set; }

    /// <summary>Whether it is detached, or gone.</summary>
    public bool IsDetached { get; private set; }

    /// <summary>What the thread carried when it stopped, once <see cref="Capture"/> has looked; null before.</summary>
    public RegisterState? Found { get; private set; }

    /// <summary>The signal that had stopped the process before the tracer came, once <see cref="Capture"/> has looked; or none.</summary>
    public Signal StoppedBy { get; private set; }

    /// <summary>Attaches without stopping the thread.</summary>
    /// <returns>The tracee, or null with the error: ESRCH when the thread is gone, EPERM when it may not be traced or has a
    /// tracer.</returns>
    public static Tracee? TrySeize(int tid, PtraceOptions options, out Errno errno)
    {
        SysResult result = Sys.Ptrace(PtraceRequest.PTRACE_SEIZE, tid, 0, (nint)options);
        errno = result.Errno;
        return result.IsError ? null : new Tracee(tid);
    }

    /// <summary>Takes over a task that was attached by its creation in a tracee (CLONE_PTRACE) and waits for its first stop.</summary>
    /// <exception cref="TraceeLostException">It is gone.</exception>
    public static Tracee AdoptClone(int tid)
    {
        var tracee = new Tracee(tid);
        tracee.WaitForStop();
        return tracee;
    }

    /// <summary>Asks for a stop; <see cref="WaitForStop"/> waits for it.</summary>
    public void Interrupt() => Sys.Ptrace(PtraceRequest.PTRACE_INTERRUPT, Tid);

    /// <summary>Waits until the tracee has stopped.</summary>
    /// <remarks>
    /// Whatever else this thread traces is taken note of meanwhile. It must be: the end of a thread group's leader is told only once the
    /// ends of all other threads have been waited for (kernel/exit.c, delay_group_leader), so waiting for a killed leader alone would never
    /// end.
    /// </remarks>
    /// <exception cref="TraceeLostException">It is gone instead.</exception>
    public WaitStatus WaitForStop()
    {
        if (TakeNote(out int status))
        {
            return Accept(new SysResult(Tid), status);
        }

        SysResult result = Wait(Tid, out status, WaitOptions.WNOHANG);
        while (result is { IsError: false, Int32: 0 })
        {
            result = Wait(-1, out status, WaitOptions.None);
            if (result is { IsError: false } && result.Int32 != Tid)
            {
                (notes ??= [])[result.Int32] = status;
                result = new SysResult(0);
            }
        }

        return Accept(result, status);
    }

    /// <summary>Looks whether the tracee has stopped, without waiting; takes note of others as <see cref="WaitForStop"/> does.</summary>
    /// <returns>False while it runs.</returns>
    /// <exception cref="TraceeLostException">It is gone.</exception>
    public bool PollStop()
    {
        if (TakeNote(out int status))
        {
            Accept(new SysResult(Tid), status);
            return true;
        }

        SysResult result = Wait(Tid, out status, WaitOptions.WNOHANG);
        if (result is { IsError: false, Int32: 0 })
        {
            result = Wait(-1, out status, WaitOptions.WNOHANG);
            if (result is { IsError: false, Int32: > 0 } && result.Int32 != Tid)
            {
                (notes ??= [])[result.Int32] = status;
            }

            if (result.IsError || result.Int32 != Tid)
            {
                return false;
            }
        }

        Accept(result, status);
        return true;
    }

    /// <summary>Lets the thread run on until its next stop.</summary>
    /// <param name="request">PTRACE_CONT, PTRACE_SYSCALL, PTRACE_LISTEN or PTRACE_SINGLESTEP.</param>
    /// <param name="signal">A signal to deliver, or none.</param>
    /// <exception cref="TraceeLostException">It is gone.</exception>
    public void Resume(PtraceRequest request = PtraceRequest.PTRACE_CONT, Signal signal = Signal.None)
    {
        // A stop that no one has asked about is over.
        notes?.Remove(Tid);
        Check(Sys.Ptrace(request, Tid, 0, (nint)signal), "resume");
    }

    /// <summary>Sets the options of a tracee that is stopped.</summary>
    public void SetOptions(PtraceOptions options)
        => Check(Sys.Ptrace(PtraceRequest.PTRACE_SETOPTIONS, Tid, 0, (nint)options), "set options");

    /// <summary>Detaches a tracee that is stopped; it runs on from the registers that it has. A tracee that is gone is no error.</summary>
    /// <param name="signal">A signal to deliver, or none.</param>
    public void Detach(Signal signal = Signal.None)
    {
        if (!IsDetached)
        {
            IsDetached = true;
            _ = Sys.Ptrace(PtraceRequest.PTRACE_DETACH, Tid, 0, (nint)signal);
        }
    }

    /// <summary>Reads the general registers.</summary>
    public UserRegs GetRegisters()
    {
        UserRegs registers = default;
        Check(RegisterSetCall(PtraceRequest.PTRACE_GETREGSET, ref registers), "read registers");
        return registers;
    }

    /// <summary>Sets the general registers.</summary>
    public void SetRegisters(in UserRegs registers)
    {
        UserRegs copy = registers;
        Check(RegisterSetCall(PtraceRequest.PTRACE_SETREGSET, ref copy), "set registers");
    }

    /// <summary>Reads the extended state (x87, SSE, AVX, AVX-512, protection keys), in the processor's standard XSAVE layout.</summary>
    /// <remarks>Bytes 464 to 471 hold the features that the kernel has enabled (NT_X86_XSTATE; arch/x86/kernel/fpu/xstate.c).</remarks>
    public byte[] GetExtendedState()
    {
        Span<byte> buffer = stackalloc byte[16384];
        Check(
            Sys.PtraceRegisterSet(PtraceRequest.PTRACE_GETREGSET, Tid, RegisterSet.NT_X86_XSTATE, buffer, out int length),
            "read extended state");
        return buffer[..length].ToArray();
    }

    /// <summary>Sets the extended state.</summary>
    /// <param name="state">The state in XSAVE layout; its length must be that of this machine's.</param>
    public void SetExtendedState(Span<byte> state)
        => Check(Sys.PtraceRegisterSet(PtraceRequest.PTRACE_SETREGSET, Tid, RegisterSet.NT_X86_XSTATE, state, out _), "set extended state");

    /// <summary>Reads the mask of blocked signals; bit 0 is signal 1.</summary>
    public ulong GetSignalMask()
    {
        ulong mask = 0;
        Check(Sys.Ptrace(PtraceRequest.PTRACE_GETSIGMASK, Tid, sizeof(ulong), ref mask), "read signal mask");
        return mask;
    }

    /// <summary>Sets the mask of blocked signals.</summary>
    public void SetSignalMask(ulong mask)
        => Check(Sys.Ptrace(PtraceRequest.PTRACE_SETSIGMASK, Tid, sizeof(ulong), ref mask), "set signal mask");

    /// <summary>Reads the rseq registration of the thread; a null pointer when it has none.</summary>
    public RseqConfiguration GetRseqConfiguration()
    {
        RseqConfiguration configuration = default;
        SysResult result = RseqCall(ref configuration);
        return result.IsError ? default : configuration;
    }

    /// <summary>Reads the queued signals of the thread, or of its thread group: 128 bytes of siginfo each, oldest first.</summary>
    public List<byte[]> PeekQueuedSignals(bool shared)
    {
        const int Chunk = 16;
        const int Size = 128;
        var queued = new List<byte[]>();
        Span<byte> buffer = stackalloc byte[Chunk * Size];
        while (true)
        {
            PeekSiginfoArgs arguments = new()
            {
                off = (ulong)queued.Count,
                flags = shared ? PeekSiginfoArgs.PTRACE_PEEKSIGINFO_SHARED : 0,
                nr = Chunk,
            };
            SysResult result = Sys.PtracePeekSiginfo(Tid, arguments, buffer);
            Check(result, "read queued signals");
            for (int i = 0; i < result.Int32; i++)
            {
                queued.Add(buffer.Slice(i * Size, Size).ToArray());
            }

            if (result.Int32 < Chunk)
            {
                return queued;
            }
        }
    }

    /// <summary>Keeps what the thread carries now, before anything is changed: what it must have again when it is let go.</summary>
    public RegisterState Capture()
    {
        StoppedBy = Status.IsGroupStop ? Status.StopSignal : Signal.None;
        UserRegs registers = InterruptedCall.WithoutTrace(Tid, RestartableSequence.Leave(this, GetRegisters()));
        return Found = new RegisterState(registers, GetSignalMask(), GetExtendedState());
    }

    /// <summary>Marks the tracee as gone or handed over, so that a later detach does nothing.</summary>
    public void Forget() => IsDetached = true;

    private static SysResult Wait(int tid, out int status, WaitOptions options)
    {
        SysResult result;
        do
        {
            result = Sys.Wait4(tid, out status, WaitOptions.__WALL | WaitOptions.__WNOTHREAD | options);
        }
        while (result.Errno == Errno.EINTR);
        return result;
    }

    private bool TakeNote(out int status)
    {
        status = 0;
        return notes is { Count: > 0 } && notes.Remove(Tid, out status);
    }

    private WaitStatus Accept(SysResult result, int status)
    {
        if (result.IsError)
        {
            IsDetached = true;
            throw new TraceeLostException(Tid, result.Errno.ToString());
        }

        Status = new WaitStatus(status);
        if (Status.IsGone)
        {
            IsDetached = true;
            throw new TraceeLostException(Tid, Status.ToString());
        }

        return Status;
    }

    private void Check(SysResult result, string what)
    {
        if (result.Errno == Errno.ESRCH)
        {
            throw new TraceeLostException(Tid, $"{what}: ESRCH");
        }

        result.OrThrow($"ptrace({what}, {Tid})");
    }
}
