using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Commands of bpf(2), types and flags of maps and programs (include/uapi/linux/bpf.h).</summary>
public static class BpfConstants
{
    public const int BPF_MAP_CREATE = 0;
    public const int BPF_PROG_LOAD = 5;
    public const int BPF_MAP_GET_FD_BY_ID = 14;
    public const int BPF_OBJ_GET_INFO_BY_FD = 15;
    public const int BPF_MAP_FREEZE = 22;
    public const int BPF_MAP_LOOKUP_BATCH = 24;
    public const int BPF_MAP_UPDATE_BATCH = 26;
    public const int BPF_LINK_CREATE = 28;
    public const int BPF_ITER_CREATE = 33;
    public const uint BPF_PROG_TYPE_TRACING = 26;
    public const uint BPF_TRACE_ITER = 28;
    public const int BPF_FUNC_seq_write = 127;
    public const uint BPF_MAP_TYPE_HASH = 1;
    public const uint BPF_MAP_TYPE_ARRAY = 2;
    public const uint BPF_MAP_TYPE_PROG_ARRAY = 3;
    public const uint BPF_MAP_TYPE_PERCPU_HASH = 5;
    public const uint BPF_MAP_TYPE_PERCPU_ARRAY = 6;
    public const uint BPF_MAP_TYPE_LRU_HASH = 9;
    public const uint BPF_MAP_TYPE_LRU_PERCPU_HASH = 10;
    public const uint BPF_MAP_TYPE_LPM_TRIE = 11;
    public const uint BPF_MAP_TYPE_ARRAY_OF_MAPS = 12;
    public const uint BPF_MAP_TYPE_HASH_OF_MAPS = 13;
    public const uint BPF_MAP_TYPE_QUEUE = 22;
    public const uint BPF_MAP_TYPE_STACK = 23;
    public const uint BPF_MAP_TYPE_RINGBUF = 27;
    public const uint BPF_F_RDONLY = 8;
    public const uint BPF_F_WRONLY = 16;
}

/// <summary>What BPF_OBJ_GET_INFO_BY_FD says of a map: struct bpf_map_info (include/uapi/linux/bpf.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct BpfMapInfo
{
    public uint type;
    public uint id;
    public uint key_size;
    public uint value_size;
    public uint max_entries;
    public uint map_flags;
    public BpfName name;
    public uint ifindex;
    public uint btf_vmlinux_value_type_id;
    public ulong netns_dev;
    public ulong netns_ino;
    public uint btf_id;
    public uint btf_key_type_id;
    public uint btf_value_type_id;
    public uint pad;
    public ulong map_extra;
}

/// <summary>What BPF_MAP_CREATE takes: the first member of union bpf_attr (include/uapi/linux/bpf.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct BpfMapAttributes
{
    public uint map_type;
    public uint key_size;
    public uint value_size;
    public uint max_entries;
    public uint map_flags;
    public uint inner_map_fd;
    public uint numa_node;
    public BpfName map_name;
    public uint map_ifindex;
    public uint btf_fd;
    public uint btf_key_type_id;
    public uint btf_value_type_id;
    public uint btf_vmlinux_value_type_id;
    public ulong map_extra;
}

/// <summary>The 16 bytes of a name.</summary>
[System.Runtime.CompilerServices.InlineArray(16)]
public struct BpfName
{
    private byte first;
}

/// <summary>
/// What BPF_PROG_LOAD takes, up to the last member that Firn needs: a member of union bpf_attr (include/uapi/linux/bpf.h).
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public struct BpfProgramAttributes
{
    public uint prog_type;
    public uint insn_cnt;
    public ulong insns;
    public ulong license;
    public uint log_level;
    public uint log_size;
    public ulong log_buf;
    public uint kern_version;
    public uint prog_flags;
    public BpfName prog_name;
    public uint prog_ifindex;
    public uint expected_attach_type;
    public uint prog_btf_fd;
    public uint func_info_rec_size;
    public ulong func_info;
    public uint func_info_cnt;
    public uint line_info_rec_size;
    public ulong line_info;
    public uint line_info_cnt;
    public uint attach_btf_id;
}
