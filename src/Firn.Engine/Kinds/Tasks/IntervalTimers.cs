using System.Buffers.Binary;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>The three interval timers of a process: real time, its own time, its own and the kernel's time for it.</summary>
/// <remarks>setitimer(2). Saved is the time left at the dump, and that begins to run when the tree is let go.</remarks>
internal sealed class IntervalTimers : TaskKind
{
    // struct itimerval: interval and time left, each in seconds and microseconds.
    private const int Size = 32;
    private static readonly Signal[] Expiry = [Signal.SIGALRM, Signal.SIGVTALRM, Signal.SIGPROF];

    // ---- dump

    /// <inheritdoc/>
    public override void DumpTask(DumpContext context, DumpedTask task, RemoteBatch batch)
    {
        ulong before = Waiting(task);
        RemoteBuffer values = batch.Allocate(Expiry.Length * Size);
        for (int i = 0; i < Expiry.Length; i++)
        {
            batch.Call(Sysno.getitimer, i, values.Address + (ulong)(i * Size));
        }

        batch.Then(() =>
        {
            // A timer without an interval whose signal came after the question has nothing left. PendingSignals, later, has the signal.
            ulong came = Waiting(task) & ~before;
            TaskTimersEntry timers = task.TaskCore().Timers ??= new TaskTimersEntry();
            timers.Real = Entry(values, 0, came);
            timers.Virt = Entry(values, 1, came);
            timers.Prof = Entry(values, 2, came);
        });
    }

    // ---- restore

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        if (!thread.IsLeader() || thread.Core.Tc.Timers is not { } timers)
        {
            return;
        }

        ReadOnlySpan<ItimerEntry> entries = [timers.Real, timers.Virt, timers.Prof];
        for (int i = 0; i < entries.Length; i++)
        {
            ItimerEntry entry = entries[i];

            // The real one has nothing left and yet an interval while its signal waits: the kernel would start it again with the delivery.
            bool isWaiting = i == 0 && (entry.Vsec | entry.Vusec) == 0 && (entry.Isec | entry.Iusec) != 0;
            if (isWaiting || (entry.Vsec | entry.Vusec) != 0)
            {
                RemoteBuffer value = batch.Allocate(Size);
                ReadOnlySpan<ulong> words =
                    [entry.Isec, entry.Iusec, isWaiting ? entry.Isec : entry.Vsec, isWaiting ? entry.Iusec : entry.Vusec];
                words.CopyTo(value.As<ulong>());
                batch.Call(Sysno.setitimer, i, value, 0);
            }
        }
    }

    private static ItimerEntry Entry(RemoteBuffer values, int number, ulong came)
    {
        Span<ulong> words = values.As<ulong>().Slice(number * (Size / sizeof(ulong)), Size / sizeof(ulong));
        bool isOver = (words[0] | words[1]) == 0 && (came & (1UL << ((int)Expiry[number] - 1))) != 0;
        return new ItimerEntry { Isec = words[0], Iusec = words[1], Vsec = isOver ? 0 : words[2], Vusec = isOver ? 0 : words[3] };
    }

    private static ulong Waiting(DumpedTask task)
    {
        ulong set = 0;
        foreach (byte[] siginfo in task.Leader.Tracee!.PeekQueuedSignals(shared: true))
        {
            set |= 1UL << (BinaryPrimitives.ReadInt32LittleEndian(siginfo) - 1);
        }

        return set;
    }
}
