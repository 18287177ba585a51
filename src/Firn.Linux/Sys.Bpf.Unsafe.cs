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

    /// <summary>bpf(2), BPF_PROG_LOAD of a program that is run for each object that the kernel walks through (an iterator).</summary>
    /// <param name="instructions">The program, 8 bytes an instruction (struct bpf_insn).</param>
    /// <param name="target">The number of the iterator's function among the kernel's types.</param>
    /// <returns>A descriptor, close-on-exec; or -errno.</returns>
    public static SysResult BpfIteratorLoad(ReadOnlySpan<ulong> instructions, int target)
    {
        // A program that writes to the iterator's reader must say that it is under the GPL too: "Dual MIT/GPL".
        fixed (ulong* first = instructions)
        fixed (byte* license = "Dual MIT/GPL\0"u8)
        {
            BpfProgramAttributes attributes = new()
            {
                prog_type = BpfConstants.BPF_PROG_TYPE_TRACING,
                insn_cnt = (uint)instructions.Length,
                insns = (ulong)first,
                license = (ulong)license,
                expected_attach_type = BpfConstants.BPF_TRACE_ITER,
                attach_btf_id = (uint)target,
            };
            return Kernel.Call(Sysno.bpf, BpfConstants.BPF_PROG_LOAD, (nint)(&attributes), sizeof(BpfProgramAttributes));
        }
    }

    /// <summary>bpf(2), BPF_LINK_CREATE: binds an iterator's program to one process.</summary>
    /// <param name="program">The program.</param>
    /// <param name="pid">The process, by its number in the pid namespace of the caller.</param>
    /// <returns>A descriptor, close-on-exec; or -errno.</returns>
    public static SysResult BpfIteratorLink(int program, int pid)
    {
        // union bpf_iter_link_info: the thread, the process, its pidfd, of which one alone may be given.
        ulong* which = stackalloc ulong[2] { (uint)pid, 0 };
        ulong* attributes = stackalloc ulong[4]
        {
            (uint)program, BpfConstants.BPF_TRACE_ITER, (ulong)which, 2 * sizeof(ulong),
        };
        return Kernel.Call(Sysno.bpf, BpfConstants.BPF_LINK_CREATE, (nint)attributes, 4 * sizeof(ulong));
    }

    /// <summary>bpf(2), BPF_ITER_CREATE: begins a walk, which goes on as it is read.</summary>
    /// <returns>A descriptor, close-on-exec; or -errno.</returns>
    public static SysResult BpfIteratorOpen(int link)
    {
        ulong attributes = (uint)link;
        return Kernel.Call(Sysno.bpf, BpfConstants.BPF_ITER_CREATE, (nint)(&attributes), sizeof(ulong));
    }
}
