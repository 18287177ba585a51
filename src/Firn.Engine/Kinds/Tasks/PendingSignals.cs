using System.Buffers.Binary;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Tracing;
using Google.Protobuf;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>
/// Signals that wait to be delivered: to a thread, or to any thread of the process. In order, with all that siginfo says.
/// </summary>
/// <remarks>
/// <para>
/// Read after the timers (in the batch's completion, and the timers are asked in the batch): so a timer that expires between the two shows
/// in both, and none is lost; <see cref="IntervalTimers"/> then takes the expired one away.
/// </para>
/// <para>
/// From outside, a siginfo with si_code >= 0 is refused; a task may queue it to itself, and si_code and si_pid stay as they are
/// (kernel/signal.c, do_rt_sigqueueinfo). Everything is blocked meanwhile but the signal by which a batch ends: that one must not be among
/// those that wait, so whoever makes the <see cref="Remote"/> of a restored thread has to choose it by <see cref="WorkSignal"/>.
/// </para>
/// </remarks>
internal sealed class PendingSignals : TaskKind
{
    private const int SiginfoSize = 128;

    // ---- dump

    /// <inheritdoc/>
    public override void DumpTask(DumpContext context, DumpedTask task, RemoteBatch batch)
        => batch.Then(() => task.TaskCore().SignalsS = Read(task.Leader.Tracee!, shared: true));

    /// <inheritdoc/>
    public override void DumpThread(DumpContext context, DumpedThread thread, RemoteBatch batch)
        => batch.Then(() => thread.ThreadCore().SignalsP = Read(thread.Tracee!, shared: false));

    // ---- restore

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        int process = thread.Task.OwnPid;
        if (thread.IsLeader())
        {
            foreach (SiginfoEntry entry in thread.Core.Tc.SignalsS?.Signals ?? [])
            {
                RemoteBuffer siginfo = Siginfo(context, thread, batch, entry);
                batch.Call(Sysno.rt_sigqueueinfo, process, Number(entry), siginfo);
            }
        }

        foreach (SiginfoEntry entry in thread.Core.ThreadCore?.SignalsP?.Signals ?? [])
        {
            RemoteBuffer siginfo = Siginfo(context, thread, batch, entry);
            batch.Call(Sysno.rt_tgsigqueueinfo, process, thread.OwnTid, Number(entry), siginfo);
        }
    }

    /// <summary>The signals that wait for a process and all its threads, as a mask: bit 0 is signal 1.</summary>
    public static ulong Set(RestoredTask task)
    {
        ulong set = Set(task.Leader.Tid, task.Core.Tc?.SignalsS);
        foreach (RestoredThread thread in task.Threads)
        {
            set |= Set(thread.Tid, thread.Core.ThreadCore?.SignalsP);
        }

        return set;
    }

    /// <summary>The number in a siginfo.</summary>
    internal static int Number(SiginfoEntry entry) => BinaryPrimitives.ReadInt32LittleEndian(entry.Siginfo.Span);

    private static ulong Set(int tid, SignalQueueEntry? queue)
    {
        ulong set = 0;
        foreach (SiginfoEntry entry in queue?.Signals ?? [])
        {
            Verify(tid, entry);
            set |= 1UL << (Number(entry) - 1);
        }

        return set;
    }

    private static SignalQueueEntry Read(Tracee tracee, bool shared)
    {
        var queue = new SignalQueueEntry();
        foreach (byte[] siginfo in tracee.PeekQueuedSignals(shared))
        {
            queue.Signals.Add(new SiginfoEntry { Siginfo = ByteString.CopyFrom(siginfo) });
        }

        return queue;
    }

    private static RemoteBuffer Siginfo(RestoreContext context, RestoredThread thread, RemoteBatch batch, SiginfoEntry entry)
    {
        Verify(thread.Tid, entry);
        if (Number(entry) == (int)thread.Remote.EndSignal)
        {
            context.Log.LogWarning(
                "thread {Tid}: {Signal} was pending, and is lost: the restore uses it itself", thread.Tid, thread.Remote.EndSignal);
        }

        batch.MakeRoom(1, SiginfoSize, "pending signals");
        return batch.Data(entry.Siginfo.Span);
    }

    // A signal of an image is looked at before anything of it is used.
    private static void Verify(int tid, SiginfoEntry entry)
    {
        if (entry.Siginfo.Length != SiginfoSize || Number(entry) is < 1 or > 64)
        {
            throw new ImageFormatException(
                $"core-{tid}.img",
                0,
                "siginfo",
                $"holds a queued signal of {entry.Siginfo.Length} bytes; it must be {SiginfoSize}, and begin with a signal's number");
        }
    }
}
