using System.Buffers.Binary;
using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>A stopped thread that makes system calls for Firn: its tracee, the way home, and a part of the scratch.</summary>
public sealed class Remote
{
    private readonly UserRegs home;
    private readonly int endMarkOffset;
    private readonly int processId;
    private readonly int threadId;
    private bool away;

    internal Remote(
        Tracee tracee,
        Scratch scratch,
        in UserRegs home,
        RemotePtr frame,
        int frameOffset,
        ScratchArea batchArea,
        Signal endSignal,
        int processId,
        int threadId)
    {
        Tracee = tracee;
        Scratch = scratch;
        Frame = frame;
        this.home = home;
        EndSignal = endSignal;
        this.processId = processId;
        this.threadId = threadId;
        endMarkOffset = frameOffset + 8 + Executor.EndMarkOffset;
        Batch = new RemoteBatch(this, batchArea);
    }

    /// <summary>A task that Firn has made, which has nothing yet to go home to: its batch alone.</summary>
    /// <param name="tracee">The task, stopped; the scratch is mapped in it.</param>
    /// <param name="scratch">The scratch.</param>
    /// <param name="batchSize">Bytes for the calls of a batch and what they point to.</param>
    /// <param name="processId">Its process id as its own pid namespace sees it.</param>
    /// <param name="threadId">Its thread id, so seen.</param>
    /// <param name="endSignal">The signal by which its batches end: one that is ignored unless caught, and is not to be pending in
    /// it.</param>
    public static Remote ForNewTask(
        Tracee tracee, Scratch scratch, int batchSize, int processId, int threadId, Signal endSignal = Signal.SIGURG)
    {
        const int MarkSize = 128;
        ScratchArea mark = scratch.Allocate(MarkSize);
        return new Remote(
            tracee,
            scratch,
            tracee.GetRegisters(),
            mark.Address + (MarkSize / 2),
            mark.Offset + (MarkSize / 2),
            scratch.Allocate(batchSize),
            endSignal,
            processId,
            threadId);
    }

    /// <summary>The thread.</summary>
    public Tracee Tracee { get; }

    /// <summary>The memory shared with it.</summary>
    public Scratch Scratch { get; }

    /// <summary>The thread's batch, empty between runs.</summary>
    public RemoteBatch Batch { get; }

    /// <summary>The signal by which a batch ends.</summary>
    public Signal EndSignal { get; }

    /// <summary>All signals blocked but the one that ends a batch.</summary>
    internal ulong WorkMask => ~(1UL << ((int)EndSignal - 1));

    internal RemotePtr Frame { get; }

    /// <summary>The registers that it had when it was taken.</summary>
    internal UserRegs Home => home;

    /// <summary>Says that registers and mask are set to something else than the batch's, so that the next batch sets them again.</summary>
    internal void SetAway(bool value) => away = value;

    internal void StartBatch(RemotePtr records, int count)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(Scratch.Local(endMarkOffset, 8), 0);
        UserRegs registers = home;
        registers.rip = Scratch.Address.Value;
        registers.rsp = Frame.Value + 8;
        registers.rbx = records.Value;
        registers.r12 = (ulong)count;
        registers.r13 = (ulong)EndSignal;
        registers.r15 = (ulong)processId;
        registers.rbp = (ulong)threadId;

        // No restart of an interrupted call, and neither trap flag nor direction flag (eflags bits 8 and 10) inside the executor.
        registers.orig_rax = ulong.MaxValue;
        registers.eflags &= ~0x500UL;
        Tracee.SetRegisters(registers);
        if (!away)
        {
            // Registers first: they lead home, and the frame holds the mask.
            Tracee.SetSignalMask(WorkMask);
            away = true;
        }

        Tracee.Resume();
    }

    internal void FinishBatch()
    {
        while (true)
        {
            WaitStatus status = Tracee.WaitForStop();
            if (BinaryPrimitives.ReadUInt64LittleEndian(Scratch.Local(endMarkOffset, 8)) != 0
                && status.IsSignalStop
                && status.StopSignal == EndSignal)
            {
                return;
            }

            if (status.IsSignalStop
                && status.StopSignal is Signal.SIGSEGV or Signal.SIGBUS or Signal.SIGILL or Signal.SIGFPE or Signal.SIGSYS)
            {
                throw new TraceeLostException(Tracee.Tid, $"{status.StopSignal} in a remote batch, at 0x{Tracee.GetRegisters().rip:x}");
            }

            // A stray end signal, ignored by default, is swallowed; a group-stop's extra trap or a late PTRACE_INTERRUPT means nothing
            // here.
            Tracee.Resume();
        }
    }
}
