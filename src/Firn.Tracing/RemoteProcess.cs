using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Tracing;

/// <summary>A frozen process that Firn is in: a scratch that both see, and a way for each thread to make system calls.</summary>
/// <remarks>
/// <para>
/// The way in and out does no harm at any instant: from the first changed register on, a thread's registers lead back to where it was
/// found (<see cref="HomeFrame"/>), so that Firn may be killed at any moment. The first thread's frame lies in the lowest pages of the
/// main stack, which no one uses, until the scratch is mapped; there it lies again while the scratch is unmapped.
/// </para>
/// <para>On the tracer thread, all threads of the process stopped and captured.</para>
/// </remarks>
public sealed class RemoteProcess : IDisposable
{
    private const int ThreadBatchSize = 8 << 10;
    private const int MainBatchSize = 1 << 20;
    private const int BelowFrame = 1024;

    private readonly EntryPoints entry;
    private readonly Tracee first;
    private readonly int frameSize;
    private readonly byte[] stackBytes;
    private readonly List<Remote> threads = [];
    private readonly List<Tracee> changed = [];
    private readonly Signal endSignal;

    private RemoteProcess(int pid, Tracee first, EntryPoints entry, Signal endSignal)
    {
        Pid = pid;
        this.first = first;
        this.entry = entry;
        this.endSignal = endSignal;
        frameSize = HomeFrame.Size(first.Found!.ExtendedState.Length) + 64;
        stackBytes = new byte[frameSize + BelowFrame];
    }

    /// <summary>The process.</summary>
    public int Pid { get; }

    /// <summary>The memory shared with it.</summary>
    public Scratch Scratch { get; private set; } = null!;

    /// <summary>Its threads, in the order given: each can make calls.</summary>
    public IReadOnlyList<Remote> Threads => threads;

    /// <summary>Whether the process has a trampoline home. Where it has none, the two single calls in and the one out are not covered.</summary>
    public bool HasWayHome => entry.Trampoline.Value != 0 && entry.StackBottom.Value != 0;

    // The frame's place on the stack, above some room for a handler that might run on it.
    private RemotePtr StackFrame => HomeFrame.Place(entry.StackBottom + BelowFrame);

    private ulong WorkMask => ~(1UL << ((int)endSignal - 1));

    /// <summary>Goes into a process.</summary>
    /// <param name="pid">The process, as Firn sees it.</param>
    /// <param name="pidFd">A pidfd of it.</param>
    /// <param name="mappings">Its mappings.</param>
    /// <param name="status">Its /proc/PID/status.</param>
    /// <param name="tracees">Its threads, stopped and captured, the one to go in by first (the leader, where it lives).</param>
    /// <param name="ownIds">The process id and the thread ids as the process's own pid namespace sees them.</param>
    /// <exception cref="TraceeBusyException">The process is still on its way home from an earlier visit: let it go and come again.</exception>
    /// <exception cref="RemoteCallException">A call failed: the process is as found.</exception>
    public static RemoteProcess Enter(
        int pid, Fd pidFd, IReadOnlyList<Mapping> mappings, ProcStatus status, IReadOnlyList<Tracee> tracees, (int Process, int[] Threads) ownIds)
    {
        EntryPoints entry = EntryPoints.Find(pid, mappings);
        Signal signal = ChooseEndSignal(status, tracees);
        var process = new RemoteProcess(pid, tracees[0], entry, signal);
        List<Mapping> leftOver = [.. mappings.Where(IsScratch)];
        foreach (Tracee tracee in tracees)
        {
            process.RefuseIfOnWayHome(tracee, leftOver);
        }

        try
        {
            process.MapScratch(pidFd, tracees, ownIds, leftOver);
            return process;
        }
        catch
        {
            process.Leave();
            throw;
        }
    }

    /// <summary>Whether a mapping is a scratch of Firn's, of this visit or one that a killed Firn left behind.</summary>
    public static bool IsScratch(Mapping mapping) => mapping.Name.StartsWith("/memfd:" + Scratch.Name, StringComparison.Ordinal);

    /// <summary>Goes out of the process: threads have their registers and masks as found, and the scratch is unmapped. They stay stopped.</summary>
    /// <exception cref="TraceeLostException">The process is gone.</exception>
    public void Leave()
    {
        try
        {
            // All but the first wait in the stop where their last batch ended, and go home from there.
            foreach (Tracee tracee in changed)
            {
                if (tracee != first)
                {
                    PutBack(tracee);
                }
            }

            if (changed.Contains(first))
            {
                LeaveFirst();
            }
        }
        finally
        {
            changed.Clear();
            Dispose();
        }
    }

    /// <summary>Lets go of Firn's side of the scratch. The process is not touched: for one that is to be killed, or is gone.</summary>
    public void Dispose() => Scratch?.Dispose();

    internal static Signal ChooseEndSignal(ProcStatus status, IReadOnlyList<Tracee> tracees)
    {
        ulong avoid = status.SigCgt | status.ShdPnd | status.SigPnd;
        ulong blocked = 0;
        foreach (Tracee tracee in tracees)
        {
            blocked |= tracee.Found!.SignalMask;
        }

        // A signal that is blocked may be waited for by signalfd or sigwait, so it is the second choice.
        foreach (ulong never in (ReadOnlySpan<ulong>)[avoid | blocked, avoid, status.ShdPnd | status.SigPnd])
        {
            foreach (Signal signal in (ReadOnlySpan<Signal>)[Signal.SIGURG, Signal.SIGWINCH, Signal.SIGCHLD, Signal.SIGCONT])
            {
                if ((never & (1UL << ((int)signal - 1))) == 0)
                {
                    return signal;
                }
            }
        }

        return Signal.SIGURG;
    }

    private void RefuseIfOnWayHome(Tracee tracee, List<Mapping> leftOver)
    {
        UserRegs registers = tracee.Found!.Registers;
        ulong bottom = entry.StackBottom.Value;
        bool inFrame = registers.rsp >= bottom && registers.rsp < bottom + (ulong)(frameSize + BelowFrame);
        bool inScratch = leftOver.Exists(mapping => Within(mapping, registers.rsp) || Within(mapping, registers.rip));
        if (inFrame || inScratch)
        {
            throw new TraceeBusyException(tracee.Tid, "it is still on its way home from an earlier visit; it was let go, and will be there in a moment");
        }

        static bool Within(Mapping mapping, ulong address) => address >= mapping.Start && address < mapping.End;
    }

    private void MapScratch(Fd pidFd, IReadOnlyList<Tracee> tracees, (int Process, int[] Threads) ownIds, List<Mapping> leftOver)
    {
        ThreadState found = first.Found!;
        RemotePtr stackPointer = default;
        bool wasPopulated = true;
        ulong name = entry.SystemCall.Value;
        if (HasWayHome)
        {
            wasPopulated = IsPopulated();
            Sys.ProcessVmRead(Pid, entry.StackBottom.Value, stackBytes).OrThrow($"process_vm_readv({Pid}, stack)");
            WriteStackFrame();
            stackPointer = StackFrame;

            // The name of the scratch lies below the frame meanwhile; without a stack any bytes of the vdso will do.
            name = entry.StackBottom.Value;
            Sys.ProcessVmWrite(Pid, name, "firn-scratch\0"u8).OrThrow($"process_vm_writev({Pid}, stack)");
        }

        changed.Add(first);
        int scratchFd = (int)Require(
            SingleCall.Make(first, found.Registers, entry.SystemCall, stackPointer, WorkMask, Sysno.memfd_create, name, 1), "memfd_create(firn-scratch)");
        int areas = (frameSize + BelowFrame + ThreadBatchSize + 128) * tracees.Count;
        int size = (Kernel.PageSize + areas + MainBatchSize + Kernel.PageSize - 1) & ~(Kernel.PageSize - 1);
        Scratch = Scratch.Adopt(new Fd(Sys.PidfdGetFd(pidFd.Number, scratchFd).OrThrow($"pidfd_getfd({Pid}, {scratchFd})").Int32), size);
        ulong address = (ulong)Require(
            SingleCall.Make(first, found.Registers, entry.SystemCall, stackPointer, null, Sysno.mmap, 0, (ulong)size, 7, 1, (ulong)scratchFd, 0), "mmap(firn-scratch)");
        Scratch.Address = new RemotePtr(address);
        for (int i = 0; i < tracees.Count; i++)
        {
            threads.Add(MakeRemote(tracees[i], ownIds.Process, ownIds.Threads[i], i == 0 ? MainBatchSize : ThreadBatchSize));
        }

        RemoteBatch batch = threads[0].Batch;
        threads[0].SetAway(true);
        batch.Call(Sysno.close, scratchFd);
        batch.Try(Sysno.mprotect, address, Kernel.PageSize, (int)(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_EXEC));
        batch.Try(
            Sysno.mprotect, address + Kernel.PageSize, size - Kernel.PageSize, (int)(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE));
        foreach (Mapping mapping in leftOver)
        {
            batch.Try(Sysno.munmap, mapping.Start, mapping.Length);
        }

        if (HasWayHome && !wasPopulated)
        {
            batch.Try(Sysno.madvise, entry.StackBottom, (stackBytes.Length + Kernel.PageSize - 1) & -Kernel.PageSize, (int)MemoryAdvice.MADV_DONTNEED);
        }

        batch.Run("enter");
        if (HasWayHome && wasPopulated)
        {
            RestoreStack();
        }
    }

    private Remote MakeRemote(Tracee tracee, int processId, int threadId, int batchSize)
    {
        ScratchArea frameArea = Scratch.Allocate(BelowFrame + frameSize);
        ScratchArea batchArea = Scratch.Allocate(batchSize);
        RemotePtr frame = HomeFrame.Place(frameArea.Address + BelowFrame);
        int frameOffset = frameArea.Offset + (int)(frame.Value - frameArea.Address.Value);
        ThreadState found = tracee.Found!;
        HomeFrame.Write(
            Scratch.Local(frameOffset, HomeFrame.Size(found.ExtendedState.Length)),
            frame,
            entry.Trampoline,
            found.Registers,
            found.ExtendedState,
            found.SignalMask);
        if (tracee != first)
        {
            changed.Add(tracee);
        }

        return new Remote(tracee, Scratch, found.Registers, frame, frameOffset, batchArea, endSignal, processId, threadId);
    }

    private void LeaveFirst()
    {
        ThreadState found = first.Found!;
        RemotePtr stackPointer = default;
        if (Scratch is not null && Scratch.Address.Value != 0)
        {
            if (HasWayHome)
            {
                WriteStackFrame();
                stackPointer = StackFrame;
            }

            SingleCall.Make(
                first, found.Registers, entry.SystemCall, stackPointer, WorkMask, Sysno.munmap, Scratch.Address.Value, (ulong)Scratch.Size);
        }

        // A thread in the exit of a system call would not have an interrupted call of its own restarted: that takes a stop on the way to
        // user mode (kernel/signal.c, arch/x86/kernel/signal.c). No instruction of the task runs in between.
        first.Interrupt();
        first.Resume();
        while (!first.WaitForStop().IsEventStop)
        {
            first.Resume();
        }

        PutBack(first);
        if (HasWayHome)
        {
            RestoreStack();
        }
    }

    // The mask first: until the registers are back, a dead tracer leaves a frame that holds it.
    private static void PutBack(Tracee tracee)
    {
        tracee.SetSignalMask(tracee.Found!.SignalMask);
        tracee.SetRegisters(tracee.Found.Registers);
    }

    private void WriteStackFrame()
    {
        ThreadState found = first.Found!;
        byte[] frame = new byte[HomeFrame.Size(found.ExtendedState.Length)];
        HomeFrame.Write(frame, StackFrame, entry.Trampoline, found.Registers, found.ExtendedState, found.SignalMask);
        Sys.ProcessVmWrite(Pid, StackFrame.Value, frame).OrThrow($"process_vm_writev({Pid}, {StackFrame})");
    }

    private void RestoreStack()
        => Sys.ProcessVmWrite(Pid, entry.StackBottom.Value, stackBytes).OrThrow($"process_vm_writev({Pid}, stack)");

    // Pages of the stack that were never touched are dropped again, so that they don't come into an image.
    private bool IsPopulated()
    {
        int pages = (stackBytes.Length + Kernel.PageSize - 1) / Kernel.PageSize;
        Span<byte> entries = stackalloc byte[8 * pages];
        using Fd pagemap = Sys.Open($"/proc/{Pid}/pagemap", OpenFlags.O_RDONLY);
        SysResult read = Sys.Pread(pagemap.Number, entries, (long)(entry.StackBottom.Value / Kernel.PageSize * 8));
        if (read.IsError)
        {
            return true;
        }

        for (int i = 7; i < entries.Length; i += 8)
        {
            // Bits 63 and 62 of an entry: present, swapped (Documentation/admin-guide/mm/pagemap.rst).
            if ((entries[i] & 0xc0) != 0)
            {
                return true;
            }
        }

        return false;
    }

    private long Require(long result, string call)
        => result is < 0 and > -4096 ? throw new RemoteCallException(Pid, call, (Errno)(-result), "enter") : result;
}
