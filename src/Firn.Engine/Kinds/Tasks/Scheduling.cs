using System.Globalization;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>How a thread is scheduled: policy, nice value, priority, CPUs, I/O priority, timer slack.</summary>
/// <remarks>
/// sched(7), ioprio_set(2), PR_SET_TIMERSLACK. Set at the very end, since a thread may be made to wait by it; but before the credentials,
/// for it may take CAP_SYS_NICE. What the kernel refuses is a warning: the program runs, only slower.
/// </remarks>
internal sealed class Scheduling : TaskKind
{
    private const int NiceOffset = 20;
    private const uint ResetOnForkFlag = 0x40000000;
    private const ulong ResetOnForkAttribute = 1;
    private const ulong UtilizationFlags = 0x60;
    private const uint UtilizationScale = 1024;
    private const ulong UsualSlack = 50_000;
    private const int ProcessWho = 1;
    private const int IoClassShift = 13;
    private const int MaskBytes = 1024;

    private enum Policy : uint
    {
        OTHER = 0,
        FIFO = 1,
        RR = 2,
        BATCH = 3,
        DEADLINE = 6,
    }

    private static ulong[] OnlineCpus { get; } = ReadOnline();

    // Nanoseconds; a thread that has another has asked for it (sched_setattr(2), kernel/sched/syscalls.c, __setparam_fair()).
    private static ulong UsualSlice { get; } = Sys.SchedGetAttr(0, out SchedAttr own).IsError ? 0 : own.sched_runtime;

    // ---- dump

    /// <inheritdoc/>
    public override void DumpThread(DumpContext context, DumpedThread thread, RemoteBatch batch)
    {
        RemoteBuffer attributes = batch.Data(default(SchedAttributes));
        batch.Call(Sysno.sched_getattr, 0, attributes, SchedAttributes.SCHED_ATTR_SIZE_VER1, 0);
        Slot nice = batch.Call(Sysno.getpriority, 0, 0);
        Slot io = batch.Try(Sysno.ioprio_get, ProcessWho, 0);
        Slot slack = batch.Call(Sysno.prctl, (int)PrctlOption.PR_GET_TIMERSLACK);
        DumpAffinity(thread);
        batch.Then(() =>
        {
            ThreadCoreEntry core = thread.ThreadCore();
            SchedAttributes found = attributes.As<SchedAttributes>()[0];

            // The call gives 20 - nice, as an error can't be told from a negative number.
            core.SchedNice = NiceOffset - nice.Int32;
            core.SchedPolicy = found.sched_policy | ((found.sched_flags & ResetOnForkAttribute) != 0 ? ResetOnForkFlag : 0);
            if (found.sched_policy is (uint)Policy.FIFO or (uint)Policy.RR)
            {
                core.SchedPrio = found.sched_priority;
            }

            bool isClamped = found.sched_util_max != 0 && (found.sched_util_min, found.sched_util_max) != (0, UtilizationScale);
            bool isSliced = found.sched_policy is (uint)Policy.OTHER or (uint)Policy.BATCH
                && UsualSlice != 0 && found.sched_runtime is not 0 && found.sched_runtime != UsualSlice;
            if (found.sched_policy == (uint)Policy.DEADLINE || isClamped || isSliced)
            {
                core.SchedAttributes = new SchedAttributesEntry
                {
                    Flags = (found.sched_flags & ~UtilizationFlags) | (isClamped ? UtilizationFlags : 0),
                    Runtime = found.sched_policy == (uint)Policy.DEADLINE || isSliced ? found.sched_runtime : 0,
                    Deadline = found.sched_deadline,
                    Period = found.sched_period,
                    UtilMin = found.sched_util_min,
                    UtilMax = found.sched_util_max,
                };
            }

            if (!io.Result.IsError && io.Int32 >> IoClassShift != 0)
            {
                core.IoPriority = (uint)io.Int32;
            }

            if (slack.UInt64 != UsualSlack)
            {
                core.TimerSlack = slack.UInt64;
            }
        });
    }

    // ---- restore

    /// <inheritdoc/>
    public override void Seal(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        if (thread.Core.ThreadCore is not { HasSchedPolicy: true } core)
        {
            return;
        }

        RestorePolicy(context, thread, core, batch);
        RestoreAffinity(context, thread, core, batch);
        if (core.HasIoPriority)
        {
            Slot io = batch.Try(Sysno.ioprio_set, ProcessWho, 0, core.IoPriority);
            Warn(context, thread, batch, io, "I/O priority");
        }

        if (core.HasTimerSlack && core.TimerSlack != 0)
        {
            batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_TIMERSLACK, core.TimerSlack);
        }
    }

    private static void RestorePolicy(RestoreContext context, RestoredThread thread, ThreadCoreEntry core, RemoteBatch batch)
    {
        uint policy = core.SchedPolicy & ~ResetOnForkFlag;
        var attributes = new SchedAttributes
        {
            size = SchedAttributes.SCHED_ATTR_SIZE_VER1,
            sched_policy = policy,
            sched_flags = (core.SchedPolicy & ResetOnForkFlag) != 0 ? ResetOnForkAttribute : 0,
            sched_nice = core.SchedNice,
            sched_priority = policy is (uint)Policy.FIFO or (uint)Policy.RR ? core.SchedPrio : 0,
        };
        if (core.SchedAttributes is { } more)
        {
            attributes.sched_flags |= more.Flags;
            attributes.sched_runtime = more.Runtime;
            attributes.sched_deadline = more.Deadline;
            attributes.sched_period = more.Period;
            attributes.sched_util_min = more.UtilMin;
            attributes.sched_util_max = more.UtilMax;
        }

        // A real-time thread has a nice value too, for when it goes back; only setpriority sets that. Before the policy, which then hides
        // it.
        Warn(context, thread, batch, batch.Try(Sysno.setpriority, 0, 0, core.SchedNice), "nice value");
        Warn(context, thread, batch, batch.Try(Sysno.sched_setattr, 0, batch.Data(attributes), 0), "scheduling policy");
    }

    private static void RestoreAffinity(RestoreContext context, RestoredThread thread, ThreadCoreEntry core, RemoteBatch batch)
    {
        if (core.AnyCpu)
        {
            RemoteBuffer all = batch.Allocate(MaskBytes);
            all.Bytes.Fill(0xff);
            Warn(context, thread, batch, batch.Try(Sysno.sched_setaffinity, 0, MaskBytes, all), "CPU affinity");
        }
        else if (core.CpuAffinity.Count > 0)
        {
            RemoteBuffer mask = batch.Allocate(core.CpuAffinity.Count * sizeof(ulong));
            for (int i = 0; i < core.CpuAffinity.Count; i++)
            {
                mask.As<ulong>()[i] = core.CpuAffinity[i];
            }

            Warn(
                context,
                thread,
                batch,
                batch.Try(Sysno.sched_setaffinity, 0, core.CpuAffinity.Count * sizeof(ulong), mask),
                "CPU affinity");
        }
    }

    private static void DumpAffinity(DumpedThread thread)
    {
        Span<byte> mask = stackalloc byte[MaskBytes];
        SysResult read = Sys.SchedGetAffinity(thread.Tid, mask);
        if (read.IsError)
        {
            return;
        }

        ReadOnlySpan<ulong> words = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(mask[..read.Int32]).TrimEnd(0UL);
        if (Covers(words, OnlineCpus))
        {
            thread.ThreadCore().AnyCpu = true;
        }
        else
        {
            thread.ThreadCore().CpuAffinity.AddRange(words.ToArray());
        }
    }

    private static bool Covers(ReadOnlySpan<ulong> mask, ReadOnlySpan<ulong> wanted)
    {
        for (int i = 0; i < wanted.Length; i++)
        {
            if (wanted[i] != 0 && (i >= mask.Length || (wanted[i] & ~mask[i]) != 0))
            {
                return false;
            }
        }

        return true;
    }

    // Ranges, as 0-3,8.
    private static ulong[] ReadOnline()
    {
        ulong[] words = new ulong[MaskBytes / sizeof(ulong)];
        foreach (string range in (ProcValue.ReadText("/sys/devices/system/cpu/online") ?? string.Empty)
            .Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] ends = range.Split('-');
            int last = int.Parse(ends[^1], CultureInfo.InvariantCulture);
            for (int cpu = int.Parse(ends[0], CultureInfo.InvariantCulture); cpu <= last; cpu++)
            {
                words[cpu / 64] |= 1UL << (cpu % 64);
            }
        }

        return words;
    }

    private static void Warn(RestoreContext context, RestoredThread thread, RemoteBatch batch, Slot slot, string what)
        => batch.Then(() =>
        {
            if (slot.Result.IsError)
            {
                context.Log.LogWarning(
                    "thread {Tid}: its {What} was refused: {Errno}; it may take CAP_SYS_NICE, or a CPU that is not there",
                    thread.Tid,
                    what,
                    slot.Result.Errno);
            }
        });
}
