using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>Whether an address space may be dumped and traced, and whether it may have huge pages.</summary>
/// <remarks>
/// prctl(2), PR_SET_DUMPABLE and PR_SET_THP_DISABLE. A change of credentials takes dumpability away from the address space that all
/// threads share, so each thread sets it again after its own, and this kind comes after <see cref="Credentials"/>.
/// </remarks>
internal sealed class MemoryAttributes : TaskKind
{
    private const int FlagsShift = 1;

    // ---- dump

    /// <inheritdoc/>
    public override void DumpTask(DumpContext context, DumpedTask task, RemoteBatch batch)
    {
        Slot dumpable = batch.Call(Sysno.prctl, (int)PrctlOption.PR_GET_DUMPABLE);
        Slot hugePages = batch.Call(Sysno.prctl, (int)PrctlOption.PR_GET_THP_DISABLE, 0, 0, 0, 0);
        batch.Then(() =>
        {
            task.Mm.Dumpable = dumpable.Int32;
            task.Mm.ThpDisabled = hugePages.Int32 != 0;
            if (hugePages.Int32 >> FlagsShift != 0)
            {
                task.Mm.ThpDisableFlags = (uint)hugePages.Int32 & ~1U;
            }
        });
    }

    // ---- restore

    /// <inheritdoc/>
    public override void RestoreTask(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        if (task.Mm is { ThpDisabled: true } mm)
        {
            batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_THP_DISABLE, 1, mm.ThpDisableFlags, 0, 0);
        }
    }

    /// <inheritdoc/>
    public override void Seal(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        if (thread.Task.Mm is not { HasDumpable: true } mm)
        {
            return;
        }

        // 2, dumpable by root alone, can't be set: it is what a change of credentials leaves under that fs.suid_dumpable. Rather too
        // little than too much: 0 then.
        batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_DUMPABLE, mm.Dumpable == 1 ? 1 : 0, 0, 0, 0);
        if (mm.Dumpable is not (0 or 1) && thread.IsLeader())
        {
            context.Log.LogWarning("pid {Pid}: it was dumpable by root alone, and is not dumpable now", thread.Task.Pid);
        }
    }
}
