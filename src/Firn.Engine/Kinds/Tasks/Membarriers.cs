using Firn.Engine.Tree;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>The memory barriers that a process has registered for. A .NET program aborts without them.</summary>
/// <remarks>membarrier(2). Kernels before 6.3 can't be asked; there the mask is empty. Kernel: kernel/sched/membarrier.c.</remarks>
internal sealed class Membarriers : TaskKind
{
    private const int GetRegistrations = 1 << 9;

    /// <inheritdoc/>
    public override void DumpTask(DumpContext context, DumpedTask task, RemoteBatch batch)
    {
        Slot mask = batch.Try(Sysno.membarrier, GetRegistrations, 0, 0);
        batch.Then(() =>
        {
            if (mask.Result is { IsError: false, Int32: not 0 })
            {
                task.TaskCore().MembarrierRegistrationMask = (uint)mask.Int32;
            }
        });
    }

    /// <inheritdoc/>
    public override void RestoreTask(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        for (uint mask = task.Core.Tc.MembarrierRegistrationMask; mask != 0; mask &= mask - 1)
        {
            // Each bit is the command that registers.
            batch.Call(Sysno.membarrier, mask & (0 - mask), 0, 0);
        }
    }
}
