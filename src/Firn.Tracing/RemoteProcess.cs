using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Tracing;

/// <summary>A thread of a process that Firn is to go into.</summary>
/// <param name="Tracee">The thread, stopped and captured.</param>
/// <param name="ProcessId">The id of its process as its own pid namespace sees it.</param>
/// <param name="ThreadId">Its own id, so seen.</param>
/// <param name="IsFirst">Whether it makes the calls that concern its process as a whole.</param>
public sealed record EntryThread(Tracee Tracee, int ProcessId, int ThreadId, bool IsFirst);

/// <summary>A frozen process that Firn is to go into; or several that share one memory.</summary>
/// <param name="Pid">The process, as Firn sees it.</param>
/// <param name="PidFd">A pidfd of it.</param>
/// <param name="Mappings">Its mappings.</param>
/// <param name="Statuses">Its /proc/PID/status; those of all that share its memory.</param>
/// <param name="Threads">All threads, the one to go in by first (the leader, where it lives).</param>
/// <param name="LeftDescriptors">Descriptors that a Firn which was killed has left in it: they are closed on the way in.</param>
public sealed record EntryRequest(
    int Pid,
    Fd PidFd,
    IReadOnlyList<Mapping> Mappings,
    IReadOnlyList<ProcStatus> Statuses,
    IReadOnlyList<EntryThread> Threads,
    IReadOnlyList<int> LeftDescriptors);

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
    private const int ProcessBatchSize = 64 << 10;
    private const int BelowFrame = 1024;
    private const int RedZone = 128;

    private readonly EntryRequest request;
    private readonly EntryPoints entry;
    private readonly Tracee first;
    private readonly int frameSize;
    private readonly byte[] stackBytes;
    private readonly List<Remote> threads = [];
    private readonly List<Tracee> changed = [];
    private readonly List<Mapping> leftOver;
    private readonly Signal endSignal;
    private SingleCall? call;
    private int scratchFd;
    private bool wasPopulated = true;

    private RemoteProcess(EntryRequest request)
    {
        this.request = request;
        first = request.Threads[0].Tracee;
        entry = EntryPoints.Find(request.Pid, request.Mappings);
        endSignal = ChooseEndSignal(request.Statuses, Tracees(request));
        leftOver = [.. request.Mappings.Where(IsScratch)];
        frameSize = FrameSize(first);
        stackBytes = new byte[StackArea(first)];

        // A thread so deep in its stack that it uses the lowest pages leaves no room for a frame there.
        HasWayHome = entry.Trampoline.Value != 0
            && entry.StackBottom.Value != 0
            && !Tracees(request).Any(
                tracee => tracee.Found!.Registers.rsp - entry.StackBottom.Value < (ulong)stackBytes.Length + RedZone);
    }

    /// <summary>The process.</summary>
    public int Pid => request.Pid;

    /// <summary>The memory shared with it.</summary>
    public Scratch Scratch { get; private set; } = null!;

    /// <summary>Its threads, in the order given: each can make calls.</summary>
    public IReadOnlyList<Remote> Threads => threads;

    /// <summary>
    /// Whether the process has a trampoline home. Where it has none, the two single calls in and the one out are not covered.
    /// </summary>
    public bool HasWayHome { get; }

    // The frame's place on the stack, above some room for a handler that might run on it.
    private RemotePtr StackFrame => FrameOnStack(entry.StackBottom.Value);

    private ulong WorkMask => ~(1UL << ((int)endSignal - 1));

    /// <summary>Goes into processes, side by side.</summary>
    /// <exception cref="TraceeBusyException">One is still on its way home from an earlier visit: let it go and come again.</exception>
    /// <exception cref="RemoteCallException">A call failed. All processes are as found.</exception>
    public static IReadOnlyList<RemoteProcess> Enter(IReadOnlyList<EntryRequest> requests)
    {
        List<RemoteProcess> processes = [];
        foreach (EntryRequest request in requests)
        {
            var process = new RemoteProcess(request);
            if (IsOnWayHome(request.Mappings, Tracees(request)))
            {
                throw new TraceeBusyException(
                    request.Pid,
                    "it is still on its way home from an earlier visit; it was let go, and will be there in a moment: try again");
            }

            processes.Add(process);
        }

        try
        {
            processes.ForEach(process => process.StartMemfd());
            processes.ForEach(process => process.call!.PassEntry());
            processes.ForEach(process => process.TakeMemfd());
            processes.ForEach(process => process.call!.PassEntry());
            processes.ForEach(process => process.TakeMapping());
            processes.ForEach(process => process.FinishEntry());
            return processes;
        }
        catch
        {
            Leave(processes);
            throw;
        }
    }

    /// <summary>Goes out of processes, side by side: see <see cref="Leave()"/>. What is gone meanwhile is passed over.</summary>
    /// <returns>The tasks that were found gone.</returns>
    public static IReadOnlyList<TraceeLostException> Leave(IReadOnlyList<RemoteProcess> processes)
    {
        List<TraceeLostException> lost = [];
        List<RemoteProcess> leaving = [.. processes];
        foreach (Action<RemoteProcess> step in (ReadOnlySpan<Action<RemoteProcess>>)
            [p => p.StartLeaving(), p => p.PassUnmap(), p => p.FinishUnmap(), p => p.FinishLeaving()])
        {
            leaving.RemoveAll(process =>
            {
                try
                {
                    step(process);
                    return false;
                }
                catch (TraceeLostException gone)
                {
                    lost.Add(gone);
                    process.changed.Clear();
                    process.Dispose();
                    return true;
                }
            });
        }

        return lost;
    }

    /// <summary>Whether a mapping is a scratch of Firn's, of this visit or one that a killed Firn left behind.</summary>
    public static bool IsScratch(Mapping mapping) => mapping.Name.StartsWith("/memfd:" + Scratch.Name, StringComparison.Ordinal);

    /// <summary>
    /// Whether a thread of a stopped process is still on its way home from a visit of a Firn that was killed. Its registers are not its own
    /// then: it is to be let go, and will be there in a moment.
    /// </summary>
    /// <param name="mappings">The mappings of the process.</param>
    /// <param name="threads">Its threads, stopped and captured.</param>
    public static bool IsOnWayHome(IReadOnlyList<Mapping> mappings, IReadOnlyList<Tracee> threads)
    {
        List<Mapping> scratches = [.. mappings.Where(IsScratch)];
        Mapping? stack = mappings.FirstOrDefault(mapping => mapping.IsNamed("[stack]"));
        ulong frame = stack is null ? 0 : FrameOnStack(stack.Start).Value;
        return threads.Any(thread =>
        {
            UserRegs registers = thread.Found!.Registers;
            return (frame != 0 && (registers.rsp == frame || registers.rsp == frame + 8))
                || scratches.Exists(scratch => IsIn(scratch, registers.rsp) || IsIn(scratch, registers.rip));
        });

        static bool IsIn(Mapping mapping, ulong address) => address >= mapping.Start && address < mapping.End;
    }

    /// <summary>
    /// Goes out of the process: threads have their registers and masks as found, and the scratch is unmapped. They stay stopped.
    /// </summary>
    /// <exception cref="TraceeLostException">The process is gone.</exception>
    public void Leave()
    {
        IReadOnlyList<TraceeLostException> lost = Leave([this]);
        if (lost.Count > 0)
        {
            throw lost[0];
        }
    }

    /// <summary>Lets go of Firn's side of the scratch. The process is not touched: for one that is to be killed, or is gone.</summary>
    public void Dispose() => Scratch?.Dispose();

    internal static Signal ChooseEndSignal(IReadOnlyList<ProcStatus> statuses, IReadOnlyList<Tracee> tracees)
    {
        ulong pending = 0;
        ulong caught = 0;
        foreach (ProcStatus status in statuses)
        {
            pending |= status.ShdPnd | status.SigPnd;
            caught |= status.SigCgt;
        }

        ulong avoid = caught | pending;
        ulong blocked = 0;
        foreach (Tracee tracee in tracees)
        {
            blocked |= tracee.Found!.SignalMask;
        }

        // A signal that is blocked may be waited for by signalfd or sigwait, so it is the second choice.
        foreach (ulong never in (ReadOnlySpan<ulong>)[avoid | blocked, avoid, pending])
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

    private static RemotePtr FrameOnStack(ulong bottom) => HomeFrame.Place(new RemotePtr(bottom + BelowFrame));

    private static int FrameSize(Tracee tracee) => HomeFrame.Size(tracee.Found!.ExtendedState.Length) + 64;

    private static int StackArea(Tracee tracee) => FrameSize(tracee) + BelowFrame;

    private void StartMemfd()
    {
        ulong name = entry.SystemCall.Value;
        if (HasWayHome)
        {
            wasPopulated = IsPopulated();
            CheckCopy(Sys.ProcessVmRead(Pid, entry.StackBottom.Value, stackBytes), "process_vm_readv");
            WriteStackFrame();

            // The name of the scratch lies below the frame meanwhile; without a stack any bytes of the vdso will do.
            name = entry.StackBottom.Value;
            CheckCopy(Sys.ProcessVmWrite(Pid, name, "firn-scratch\0"u8), "process_vm_writev");
        }

        changed.Add(first);
        call = Single(WorkMask, Sysno.memfd_create, name, 1).Start();
    }

    private void TakeMemfd()
    {
        scratchFd = (int)Require(call!.Finish(), "memfd_create(firn-scratch)");
        int areas = ((frameSize + BelowFrame + ThreadBatchSize + 128) * request.Threads.Count)
            + (ProcessBatchSize * request.Threads.Count(thread => thread.IsFirst));
        int size = (Kernel.PageSize + areas + MainBatchSize + Kernel.PageSize - 1) & ~(Kernel.PageSize - 1);
        Scratch = Scratch.Adopt(
            new Fd(Sys.PidfdGetFd(request.PidFd.Number, scratchFd).OrThrow($"pidfd_getfd({Pid}, {scratchFd})").Int32), size);
        call = Single(null, Sysno.mmap, 0, (ulong)size, 7, 1, (ulong)scratchFd, 0).Start();
    }

    private void TakeMapping()
    {
        long mapped = call!.Finish();
        ulong address = mapped == -(long)Errno.EACCES ? MapWithoutBoth() : (ulong)Require(mapped, "mmap(firn-scratch)");
        Scratch.Address = new RemotePtr(address);
        for (int i = 0; i < request.Threads.Count; i++)
        {
            threads.Add(MakeRemote(
                request.Threads[i], i == 0 ? MainBatchSize : request.Threads[i].IsFirst ? ProcessBatchSize : ThreadBatchSize));
        }

        RemoteBatch batch = threads[0].Batch;
        threads[0].SetAway(true);
        batch.Call(Sysno.close, scratchFd);
        batch.Try(Sysno.mprotect, address, Kernel.PageSize, (int)(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_EXEC));
        batch.Try(
            Sysno.mprotect,
            address + Kernel.PageSize,
            Scratch.Size - Kernel.PageSize,
            (int)(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE));
        foreach (Mapping mapping in leftOver)
        {
            batch.Try(Sysno.munmap, mapping.Start, mapping.Length);
        }

        foreach (int left in request.LeftDescriptors)
        {
            batch.Try(Sysno.close, left);
        }

        if (HasWayHome && !wasPopulated)
        {
            batch.Try(
                Sysno.madvise,
                entry.StackBottom,
                (stackBytes.Length + Kernel.PageSize - 1) & -Kernel.PageSize,
                (int)MemoryAdvice.MADV_DONTNEED);
        }

        batch.Start("enter");
    }

    // Memory that is written and executed is denied to the process (PR_SET_MDWE): executed first, and then written where it need not be.
    private ulong MapWithoutBoth()
    {
        ulong address = (ulong)Require(
            Single(
                null,
                Sysno.mmap,
                0,
                (ulong)Scratch.Size,
                (ulong)(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_EXEC),
                (ulong)MapFlags.MAP_SHARED,
                (ulong)scratchFd,
                0).Make(),
            "mmap(firn-scratch)");
        Require(
            Single(
                null,
                Sysno.mprotect,
                address + (ulong)Kernel.PageSize,
                (ulong)(Scratch.Size - Kernel.PageSize),
                (ulong)(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE)).Make(),
            "mprotect(firn-scratch)");
        return address;
    }

    private void FinishEntry()
    {
        threads[0].Batch.Finish();
        if (HasWayHome && wasPopulated)
        {
            RestoreStack();
        }
    }

    private SingleCall Single(ulong? mask, Sysno nr, params ReadOnlySpan<ulong> arguments)
        => new(first, first.Found!.Registers, entry.SystemCall, HasWayHome ? StackFrame : RemotePtr.Null, mask, nr, arguments);

    private static IReadOnlyList<Tracee> Tracees(EntryRequest request) => [.. request.Threads.Select(thread => thread.Tracee)];

    private Remote MakeRemote(EntryThread thread, int batchSize)
    {
        Tracee tracee = thread.Tracee;
        ScratchArea frameArea = Scratch.Allocate(BelowFrame + frameSize);
        ScratchArea batchArea = Scratch.Allocate(batchSize);
        RemotePtr frame = HomeFrame.Place(frameArea.Address + BelowFrame);
        int frameOffset = frameArea.Offset + (int)(frame.Value - frameArea.Address.Value);
        RegisterState found = tracee.Found!;
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

        return new Remote(tracee, Scratch, found.Registers, frame, frameOffset, batchArea, endSignal, thread.ProcessId, thread.ThreadId);
    }

    private void StartLeaving()
    {
        // All but the first wait in the stop where their last batch ended, and go home from there.
        foreach (Tracee tracee in changed)
        {
            if (tracee != first)
            {
                PutBack(tracee);
            }
        }

        call = null;
        if (Scratch is not null && Scratch.Address.Value != 0)
        {
            if (HasWayHome)
            {
                WriteStackFrame();
            }

            call = Single(WorkMask, Sysno.munmap, Scratch.Address.Value, (ulong)Scratch.Size).Start();
        }
    }

    private void PassUnmap() => call?.PassEntry();

    private void FinishUnmap()
    {
        call?.Finish();
        if (!changed.Contains(first))
        {
            return;
        }

        // A thread in the exit of a system call would not have an interrupted call of its own restarted: that takes a stop on the way to
        // user mode (kernel/signal.c, arch/x86/kernel/signal.c). No instruction of the task runs in between.
        first.Interrupt();
        first.Resume();
    }

    private void FinishLeaving()
    {
        if (changed.Contains(first))
        {
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

        changed.Clear();
        Dispose();
    }

    // The mask first: until the registers are back, a dead tracer leaves a frame that holds it.
    private static void PutBack(Tracee tracee)
    {
        tracee.SetSignalMask(tracee.Found!.SignalMask);
        tracee.SetRegisters(tracee.Found.Registers);
    }

    private void WriteStackFrame()
    {
        RegisterState found = first.Found!;
        byte[] frame = new byte[HomeFrame.Size(found.ExtendedState.Length)];
        HomeFrame.Write(frame, StackFrame, entry.Trampoline, found.Registers, found.ExtendedState, found.SignalMask);
        CheckCopy(Sys.ProcessVmWrite(Pid, StackFrame.Value, frame), "process_vm_writev");
    }

    private void RestoreStack()
        => CheckCopy(Sys.ProcessVmWrite(Pid, entry.StackBottom.Value, stackBytes), "process_vm_writev");

    // A process that was killed has no memory any more.
    private void CheckCopy(SysResult result, string call)
    {
        if (result.Errno is Errno.ESRCH or Errno.EFAULT && TaskState.Zombie == StateNow())
        {
            throw new TraceeLostException(Pid, $"{call}: {result.Errno}");
        }

        result.OrThrow($"{call}({Pid}, stack)");
    }

    private TaskState StateNow()
    {
        try
        {
            return ProcStat.Read(Pid).State is var state and not TaskState.Dead ? state : TaskState.Zombie;
        }
        catch (LinuxException)
        {
            return TaskState.Zombie;
        }
    }

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
