using System.Globalization;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>
/// Whether an address space may be dumped and traced, and what of it a core has; whether it may have huge pages, merge alike ones, and have
/// memory that is written and executed.
/// </summary>
/// <remarks>
/// prctl(2), PR_SET_DUMPABLE, PR_SET_THP_DISABLE, PR_SET_MDWE, and PR_SET_MEMORY_MERGE, which <see cref="Memory.MemoryFinisher"/> sets;
/// core(5). A change of credentials takes dumpability away from the address space that all threads share, so each thread sets it again
/// after its own, and this kind comes after <see cref="Credentials"/>.
/// </remarks>
internal sealed class MemoryAttributes : TaskKind
{
    private const int FlagsShift = 1;

    // MMF_DUMP_FILTER_DEFAULT (include/linux/mm_types.h).
    private const uint UsualFilter = 0x33;

    // ---- dump

    /// <inheritdoc/>
    public override void DumpTask(DumpContext context, DumpedTask task, RemoteBatch batch)
    {
        Slot dumpable = batch.Call(Sysno.prctl, (int)PrctlOption.PR_GET_DUMPABLE);
        Slot hugePages = batch.Call(Sysno.prctl, (int)PrctlOption.PR_GET_THP_DISABLE, 0, 0, 0, 0);
        Slot merge = batch.Try(Sysno.prctl, (int)PrctlOption.PR_GET_MEMORY_MERGE, 0, 0, 0, 0);
        Slot denied = batch.Try(Sysno.prctl, (int)PrctlOption.PR_GET_MDWE, 0, 0, 0, 0);
        if (ReadFilter(task.Pid) is { } filter && filter != UsualFilter)
        {
            task.Mm.CoredumpFilter = filter;
        }

        batch.Then(() =>
        {
            if (merge.Result is { IsError: false } && merge.Int32 == 1)
            {
                task.Mm.MemoryMerge = true;
            }

            if (denied.Result is { IsError: false } && denied.Int32 != 0)
            {
                task.Mm.WriteExecuteDenied = (uint)denied.Int32;
            }

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

        RestoreFilter(context, task);
    }

    /// <inheritdoc/>
    public override void Seal(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        if (thread.Task.Mm is not { HasDumpable: true } mm)
        {
            return;
        }

        if (mm.HasWriteExecuteDenied && thread == thread.Task.FirstAlive && thread.Task.MemoryOwner == thread.Task)
        {
            batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_MDWE, mm.WriteExecuteDenied, 0, 0, 0);
        }

        // 2, dumpable by root alone, can't be set: it is what a change of credentials leaves under that fs.suid_dumpable. Rather too
        // little than too much: 0 then.
        batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_DUMPABLE, mm.Dumpable == 1 ? 1 : 0, 0, 0, 0);
        if (mm.Dumpable is not (0 or 1) && thread.IsLeader())
        {
            context.Log.LogWarning("pid {Pid}: it was dumpable by root alone, and is not dumpable now", thread.Task.Pid);
        }
    }

    // It is the parent's from birth on, and a child may be born before or after its parent is done with this: all set it, or none has to.
    private static void RestoreFilter(RestoreContext context, RestoredTask task)
    {
        uint own = ReadFilter(Linux.Sys.GetPid()) ?? UsualFilter;
        if (context.Tasks.TrueForAll(other => other.Mm is null || Filter(other.Mm) == own))
        {
            return;
        }

        Linux.SysResult written = ProcValue.Write($"/proc/{task.OuterPid}/coredump_filter", Filter(task.Mm!));
        if (written.IsError)
        {
            context.Log.LogWarning("pid {Pid}: coredump_filter was refused: {Errno}", task.Pid, written.Errno);
        }
    }

    private static uint Filter(MmEntry mm) => mm.HasCoredumpFilter ? mm.CoredumpFilter : UsualFilter;

    private static uint? ReadFilter(int pid)
        => uint.TryParse(
            ProcValue.ReadText($"/proc/{pid}/coredump_filter"),
            NumberStyles.AllowHexSpecifier,
            CultureInfo.InvariantCulture,
            out uint filter)
            ? filter
            : null;
}
