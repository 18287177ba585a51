using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>
/// What a thread has switched off, or on, for itself: the time-stamp counter, CPUID, speculation, what becomes of it when memory fails,
/// whether it writes pages out for others.
/// </summary>
/// <remarks>
/// prctl(2), PR_SET_TSC, PR_SET_SPECULATION_CTRL, PR_MCE_KILL, PR_SET_IO_FLUSHER; arch_prctl(2), ARCH_SET_CPUID. Only what is not the usual
/// is saved. Core scheduling cookies are not: they name groups of tasks that have no names, and reach beyond the tree.
/// </remarks>
internal sealed class ThreadControls : TaskKind
{
    private const int GetCpuid = 0x1011;
    private const int SetCpuid = 0x1012;
    private const int TscRaises = 2;
    private const int KillSet = 1;
    private const int KillDefault = 2;
    private const int Speculations = 3;
    private const uint CanBeSet = 1;
    private const uint Enabled = 2;

    // ---- dump

    /// <inheritdoc/>
    public override void DumpThread(DumpContext context, DumpedThread thread, RemoteBatch batch)
    {
        batch.MakeRoom(Speculations + 4, sizeof(ulong), "controls");
        RemoteBuffer counter = batch.Allocate(sizeof(ulong));
        batch.Try(Sysno.prctl, (int)PrctlOption.PR_GET_TSC, counter);
        Slot identification = batch.Try(Sysno.arch_prctl, GetCpuid, 0);
        Slot memoryFailure = batch.Try(Sysno.prctl, (int)PrctlOption.PR_MCE_KILL_GET, 0, 0, 0, 0);
        Slot flusher = batch.Try(Sysno.prctl, (int)PrctlOption.PR_GET_IO_FLUSHER, 0, 0, 0, 0);
        Slot[] speculation = new Slot[Speculations];
        for (int i = 0; i < Speculations; i++)
        {
            speculation[i] = batch.Try(Sysno.prctl, (int)PrctlOption.PR_GET_SPECULATION_CTRL, i, 0, 0, 0);
        }

        batch.Then(() =>
        {
            ThreadCoreEntry core = thread.ThreadCore();
            if (counter.As<int>()[0] == TscRaises)
            {
                core.TscRaises = true;
            }

            if (identification.Result is { IsError: false } && identification.Int32 == 0)
            {
                core.CpuidRaises = true;
            }

            if (memoryFailure.Result is { IsError: false } && memoryFailure.Int32 != KillDefault)
            {
                core.MemoryFailurePolicy = (uint)memoryFailure.Int32;
            }

            if (flusher.Result is { IsError: false } && flusher.Int32 == 1)
            {
                core.IoFlusher = true;
            }

            DumpSpeculation(core, speculation);
        });
    }

    // ---- restore

    /// <inheritdoc/>
    public override void Seal(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        if (thread.Core.ThreadCore is not { } core)
        {
            return;
        }

        if (core.MemoryFailurePolicy is var policy && core.HasMemoryFailurePolicy)
        {
            Set(context, thread, batch, "policy of failing memory", PrctlOption.PR_MCE_KILL, KillSet, policy);
        }

        if (core.IoFlusher)
        {
            Set(context, thread, batch, "PR_SET_IO_FLUSHER, which takes CAP_SYS_RESOURCE,", PrctlOption.PR_SET_IO_FLUSHER, 1, 0);
        }

        for (int i = 0; i < core.Speculation.Count; i++)
        {
            if (core.Speculation[i] != 0)
            {
                Set(context, thread, batch, "speculation control", PrctlOption.PR_SET_SPECULATION_CTRL, i, core.Speculation[i]);
            }
        }

        if (core.CpuidRaises)
        {
            Warn(context, thread, batch, batch.Try(Sysno.arch_prctl, SetCpuid, 0), "fault of CPUID");
        }

        if (core.TscRaises)
        {
            Set(context, thread, batch, "fault of RDTSC", PrctlOption.PR_SET_TSC, TscRaises, 0);
        }
    }

    private static void DumpSpeculation(ThreadCoreEntry core, Slot[] speculation)
    {
        uint[] values = new uint[Speculations];
        for (int i = 0; i < Speculations; i++)
        {
            if (speculation[i].Result is { IsError: false } && speculation[i].Int32 is var found && (found & CanBeSet) != 0)
            {
                values[i] = ((uint)found & ~CanBeSet) is Enabled ? 0 : (uint)found & ~CanBeSet;
            }
        }

        if (Array.Exists(values, value => value != 0))
        {
            core.Speculation.AddRange(values);
        }
    }

    private static void Set(
        RestoreContext context, RestoredThread thread, RemoteBatch batch, string what, PrctlOption option, int first, uint second)
        => Warn(context, thread, batch, batch.Try(Sysno.prctl, (int)option, first, second, 0, 0), what);

    private static void Warn(RestoreContext context, RestoredThread thread, RemoteBatch batch, Slot slot, string what)
        => batch.Then(() =>
        {
            if (slot.Result.IsError)
            {
                context.Log.LogWarning("thread {Tid}: its {What} was refused: {Errno}", thread.Tid, what, slot.Result.Errno);
            }
        });
}
