using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Memory;

/// <summary>The last of a process's memory: what its children must not inherit.</summary>
internal sealed class MemoryFinisher(RestoreContext context, TaskMemory memory, RemoteBatch batch)
{
    private const int PR_SET_MM = 35;
    private const int PR_SET_MM_MAP = 14;
    private const int MLOCK_ONFAULT = 1;
    private const int MaxAuxv = 1024;

    // prctl_mm_map: eleven addresses, the vector's address, its size and the descriptor (include/uapi/linux/prctl.h).
    private const int MapSize = 104;

    private static readonly MemoryAdvice[] LateAdvices =
    [
        MemoryAdvice.MADV_RANDOM,
        MemoryAdvice.MADV_SEQUENTIAL,
        MemoryAdvice.MADV_DONTDUMP,
        MemoryAdvice.MADV_MERGEABLE,
        MemoryAdvice.MADV_WIPEONFORK,
        MemoryAdvice.MADV_DONTFORK,
    ];

    private readonly string purpose = $"memory of {memory.Task.Pid}";

    /// <summary>Queues all of it and starts the batch.</summary>
    public void Start()
    {
        bool isMerged = memory.Task.Mm!.MemoryMerge;
        if (isMerged)
        {
            // All mappings are mergeable by it: those that were not are taken out again.
            batch.MakeRoom(1, 0, purpose);
            Slot merge = batch.Try(Sysno.prctl, (int)PrctlOption.PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
            batch.Then(() =>
            {
                if (merge.Result.IsError)
                {
                    context.Log.LogWarning("pid {Pid}: PR_SET_MEMORY_MERGE was refused: {Errno}", memory.Task.Pid, merge.Result.Errno);
                }
            });
        }

        foreach (PlannedVma vma in memory.Vmas)
        {
            ulong length = vma.End - vma.Entry.Start;
            if (vma.MapStart < vma.Entry.Start)
            {
                Call(Sysno.munmap, vma.MapStart, vma.Entry.Start - vma.MapStart);
            }

            foreach (MemoryAdvice advice in LateAdvices)
            {
                if (vma.Entry.Has(advice))
                {
                    Call(Sysno.madvise, vma.Entry.Start, length, (int)advice);
                }
            }

            if (isMerged && !vma.Entry.Has(MemoryAdvice.MADV_MERGEABLE))
            {
                batch.MakeRoom(1, 0, purpose);
                batch.Try(Sysno.madvise, vma.Entry.Start, length, (int)MemoryAdvice.MADV_UNMERGEABLE);
            }

            if (vma.Entry.HasName)
            {
                batch.MakeRoom(1, 256, purpose);
                batch.Try(Sysno.prctl, (int)PrctlOption.PR_SET_VMA, 0, vma.Entry.Start, length, batch.Text(Shortened(vma.Entry.Name)));
            }

            if (vma.Entry.Has(MapFlags.MAP_LOCKED))
            {
                // Memory that may not be touched is locked all the same, and ENOMEM.
                batch.MakeRoom(1, 0, purpose);
                batch.Try(Sysno.mlock2, vma.Entry.Start, length, IsLockedOnFault(vma) ? MLOCK_ONFAULT : 0);
            }
        }

        foreach (AddressRange guard in memory.Guards)
        {
            Call(Sysno.madvise, guard.Start, guard.Length, (int)MemoryAdvice.MADV_GUARD_INSTALL);
        }

        ProtectionKeys.Restore(memory, batch, purpose);
        SetLandmarks();
        foreach (VmaEntry sealedVma in memory.Vmas.Select(vma => vma.Entry).Where(vma => vma.Sealed))
        {
            Call(Sysno.mseal, sealedVma.Start, sealedVma.End - sealedVma.Start, 0);
        }

        FutureLocks.Restore(memory, batch, purpose);
        batch.Start(purpose);
    }

    // The kernel takes 80 bytes with the zero at the end (ANON_VMA_NAME_MAX_LEN).
    private static string Shortened(string name) => name.Length < 80 ? name : name[..79];

    // CRIU's images do not tell MLOCK_ONFAULT; but what was locked as a whole has all its pages.
    private static bool IsLockedOnFault(PlannedVma vma)
        => vma.Entry.LockOnFault
            || (vma.Entry.Has(MapFlags.MAP_ANONYMOUS)
                && vma.Pages.Aggregate(0UL, static (sum, run) => sum + (run.End - run.Start)) < vma.End - vma.Entry.Start);

    private void Call(
        Sysno nr,
        RemoteArgument a0,
        RemoteArgument a1,
        RemoteArgument a2 = default,
        RemoteArgument a3 = default,
        RemoteArgument a4 = default)
    {
        batch.MakeRoom(1, 0, purpose);
        batch.Call(nr, a0, a1, a2, a3, a4);
    }

    private void SetLandmarks()
    {
        MmEntry mm = memory.Task.Mm!;
        if (mm.MmSavedAuxv.Count > MaxAuxv)
        {
            throw new ImageFormatException(
                ImageKind.Mm.FileName((ulong)memory.Task.Pid),
                -1,
                ImageDiagnostic.TooLarge,
                $"the auxiliary vector has {mm.MmSavedAuxv.Count} words; the set is damaged");
        }

        batch.MakeRoom(1, MapSize + (mm.MmSavedAuxv.Count * 8), purpose);
        RemoteBuffer auxv = batch.Allocate(Math.Max(8, mm.MmSavedAuxv.Count * 8));
        Span<ulong> vector = auxv.As<ulong>();
        for (int i = 0; i < mm.MmSavedAuxv.Count; i++)
        {
            vector[i] = mm.MmSavedAuxv[i];
        }

        RemoteBuffer map = batch.Allocate(MapSize);
        ReadOnlySpan<ulong> landmarks =
        [
            mm.MmStartCode, mm.MmEndCode, mm.MmStartData, mm.MmEndData, mm.MmStartBrk, mm.MmBrk, mm.MmStartStack,
            mm.MmArgStart, mm.MmArgEnd, mm.MmEnvStart, mm.MmEnvEnd, auxv.Address.Value,
        ];
        landmarks.CopyTo(map.As<ulong>());
        map.As<uint>()[24] = (uint)mm.MmSavedAuxv.Count * 8;
        map.As<int>()[25] = context.Files[mm.ExeFileId].Number;
        Call(Sysno.prctl, PR_SET_MM, PR_SET_MM_MAP, map, MapSize, 0);
    }
}
