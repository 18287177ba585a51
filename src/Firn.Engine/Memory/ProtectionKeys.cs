using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Memory;

/// <summary>Protection keys of memory: which are allocated, and which mapping has which. pkeys(7).</summary>
/// <remarks>
/// The rights that a thread has by them are in PKRU, a part of its XSAVE area. Which are allocated shows by allocating all others, which
/// are freed at once; asked for only where a mapping has a key. The kernel gives the lowest that is free.
/// </remarks>
internal static class ProtectionKeys
{
    private const int Count = 16;

    // ---- dump

    /// <summary>Queues the question.</summary>
    public static void Dump(DumpedTask task, RemoteBatch batch)
    {
        if (!task.Mm.Vmas.Any(static vma => vma.HasProtectionKey))
        {
            return;
        }

        var slots = new Slot[Count];
        for (int i = 0; i < Count; i++)
        {
            slots[i] = batch.Try(Sysno.pkey_alloc, 0, 0);
        }

        for (int i = 0; i < Count; i++)
        {
            // -ENOSPC of one that failed is no key, and refused.
            batch.Try(Sysno.pkey_free, slots[i]);
        }

        batch.Then(() => task.Mm.ProtectionKeys = slots
            .Where(static slot => !slot.Result.IsError)
            .Aggregate((1u << Count) - 1, static (keys, slot) => keys & ~(1u << slot.Int32)));
    }

    // ---- restore

    /// <summary>Queues the keys.</summary>
    /// <exception cref="ImageFormatException">A mapping has a key that can't be.</exception>
    public static void Restore(TaskMemory memory, RemoteBatch batch, string purpose)
    {
        List<VmaEntry> keyed = [.. memory.Vmas.Select(vma => vma.Entry).Where(vma => vma.HasProtectionKey)];
        uint keys = keyed.Aggregate(
            memory.Task.Mm!.ProtectionKeys | 1u, static (mask, vma) => mask | (1u << (int)(vma.ProtectionKey & 31)));
        if (keyed.Count == 0)
        {
            return;
        }

        if (keyed.Exists(vma => vma.ProtectionKey >= Count))
        {
            throw new ImageFormatException(
                ImageKind.Mm.FileName((ulong)memory.Task.Pid),
                -1,
                ImageDiagnostic.BadMessage,
                $"has a mapping with a protection key above {Count - 1}; the set is damaged");
        }

        batch.MakeRoom(2 * Count, 0, purpose);
        for (int key = 1; key < Count && keys >> key != 0; key++)
        {
            batch.Call(Sysno.pkey_alloc, 0, 0);
        }

        for (int key = 1; key < Count && keys >> key != 0; key++)
        {
            if ((keys & (1u << key)) == 0)
            {
                batch.Call(Sysno.pkey_free, key);
            }
        }

        foreach (VmaEntry vma in keyed)
        {
            batch.MakeRoom(1, 0, purpose);
            batch.Call(Sysno.pkey_mprotect, vma.Start, vma.End - vma.Start, (int)vma.Protection(), vma.ProtectionKey);
        }
    }
}
