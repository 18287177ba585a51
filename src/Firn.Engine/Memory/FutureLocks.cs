using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Memory;

/// <summary>mlockall(2) with MCL_FUTURE: mappings that are still to come will be locked.</summary>
/// <remarks>
/// Nothing shows it but a mapping that has come since: Firn's own scratch. Of locked memory the kernel lets no page go (madvise(2),
/// MADV_DONTNEED); what is let go of the scratch if it isn't locked comes back when it is touched, for it is a file's.
/// </remarks>
internal static class FutureLocks
{
    private const uint MCL_FUTURE = 2;
    private const uint MCL_ONFAULT = 4;

    // ---- dump

    /// <summary>Queues the question.</summary>
    public static void Dump(DumpedTask task, RemoteBatch batch)
    {
        ulong page = batch.Allocate(1).Address.Value & ~(ulong)(Linux.Kernel.PageSize - 1);
        Slot dropped = batch.Try(Sysno.madvise, page, Linux.Kernel.PageSize, (int)MemoryAdvice.MADV_DONTNEED);
        batch.Then(() =>
        {
            if (dropped.Result.Errno == Errno.EINVAL)
            {
                MappingFlags scratch = Smaps.Read(task.Pid).Find(mapping => mapping.Start <= page && page < mapping.End);
                task.Mm.LockFuture = MCL_FUTURE | ((scratch.Flags & VmFlags.LockOnFault) != 0 ? MCL_ONFAULT : 0);
            }
        });
    }

    // ---- restore

    /// <summary>Queues the call: all mappings are there.</summary>
    public static void Restore(TaskMemory memory, RemoteBatch batch, string purpose)
    {
        if (memory.Task.Mm is { HasLockFuture: true } mm)
        {
            batch.MakeRoom(1, 0, purpose);
            batch.Call(Sysno.mlockall, MCL_FUTURE | (mm.LockFuture & MCL_ONFAULT));
        }
    }
}
