using Firn.Linux.Abi;

namespace Firn.Linux;

// SAFETY, of all that follows: the kernel reads and writes what it is given during the call alone, and no more than the sizes say.
public static unsafe partial class Sys
{
    // The members of union bpf_attr for a batch take 56 bytes, the last 4 of which are padding; by the kernel's rule all else is zero.
    private const int BatchWords = 7;

    /// <summary>bpf(2), BPF_MAP_CREATE.</summary>
    /// <returns>A descriptor, close-on-exec; or -errno.</returns>
    public static SysResult BpfMapCreate(BpfMapAttributes attributes)
        => Kernel.Call(Sysno.bpf, BpfConstants.BPF_MAP_CREATE, (nint)(&attributes), sizeof(BpfMapAttributes));

    /// <summary>bpf(2), BPF_OBJ_GET_INFO_BY_FD of a map.</summary>
    public static SysResult BpfMapGetInfo(int fd, out BpfMapInfo info)
    {
        fixed (BpfMapInfo* to = &info)
        {
            *to = default;
            ulong* attributes = stackalloc ulong[2] { (uint)fd | ((ulong)sizeof(BpfMapInfo) << 32), (ulong)to };
            return Kernel.Call(Sysno.bpf, BpfConstants.BPF_OBJ_GET_INFO_BY_FD, (nint)attributes, 2 * sizeof(ulong));
        }
    }

    /// <summary>bpf(2), BPF_MAP_GET_FD_BY_ID.</summary>
    /// <param name="id">The map's id.</param>
    /// <param name="flags">BPF_F_RDONLY or BPF_F_WRONLY; 0 for both ways.</param>
    /// <returns>A descriptor, close-on-exec; or -errno.</returns>
    public static SysResult BpfMapOpen(uint id, uint flags)
    {
        uint* attributes = stackalloc uint[3] { id, 0, flags };
        return Kernel.Call(Sysno.bpf, BpfConstants.BPF_MAP_GET_FD_BY_ID, (nint)attributes, 3 * sizeof(uint));
    }

    /// <summary>bpf(2), BPF_MAP_FREEZE: from now on no program can change it by a call.</summary>
    public static SysResult BpfMapFreeze(int fd)
    {
        uint attributes = (uint)fd;
        return Kernel.Call(Sysno.bpf, BpfConstants.BPF_MAP_FREEZE, (nint)(&attributes), sizeof(uint));
    }

    /// <summary>bpf(2), BPF_MAP_LOOKUP_BATCH: the next entries of a map.</summary>
    /// <param name="fd">The map.</param>
    /// <param name="before">Where the last call ended; empty for the first one.</param>
    /// <param name="after">Gets where this one ends: a key's size, and no less than 4 bytes.</param>
    /// <param name="keys">Room for keys.</param>
    /// <param name="values">Room for values.</param>
    /// <param name="count">How many fit; then, how many there are.</param>
    /// <returns>0; -ENOENT with the last ones; -ENOSPC if what belongs together doesn't fit; or another -errno.</returns>
    public static SysResult BpfMapLookup(
        int fd, ReadOnlySpan<byte> before, Span<byte> after, Span<byte> keys, Span<byte> values, ref uint count)
    {
        fixed (byte* from = before, to = after, keysAt = keys, valuesAt = values)
        {
            ulong* attributes = stackalloc ulong[BatchWords]
            {
                (ulong)from, (ulong)to, (ulong)keysAt, (ulong)valuesAt, count | ((ulong)(uint)fd << 32), 0, 0,
            };
            SysResult result = Kernel.Call(
                Sysno.bpf, BpfConstants.BPF_MAP_LOOKUP_BATCH, (nint)attributes, BatchWords * sizeof(ulong));
            count = (uint)attributes[4];
            return result;
        }
    }

    /// <summary>bpf(2), BPF_MAP_UPDATE_BATCH: puts entries into a map.</summary>
    public static SysResult BpfMapUpdate(int fd, ReadOnlySpan<byte> keys, ReadOnlySpan<byte> values, uint count)
    {
        fixed (byte* keysAt = keys, valuesAt = values)
        {
            ulong* attributes = stackalloc ulong[BatchWords]
            {
                0, 0, (ulong)keysAt, (ulong)valuesAt, count | ((ulong)(uint)fd << 32), 0, 0,
            };
            return Kernel.Call(Sysno.bpf, BpfConstants.BPF_MAP_UPDATE_BATCH, (nint)attributes, BatchWords * sizeof(ulong));
        }
    }
}
