namespace Firn.Images;

/// <summary>Names of numbers, as CRIU's decoder shows them.</summary>
internal static class DisplayTables
{
    private static readonly (string Name, ulong Value)[] Protections = [("PROT_READ", 0x1), ("PROT_WRITE", 0x2), ("PROT_EXEC", 0x4)];

    private static readonly (string Name, ulong Value)[] MappingFlags =
        [("MAP_SHARED", 0x1), ("MAP_PRIVATE", 0x2), ("MAP_ANON", 0x20), ("MAP_GROWSDOWN", 0x100)];

    private static readonly (string Name, ulong Value)[] MappingStatus =
    [
        ("VMA_AREA_REGULAR", 1 << 0),
        ("VMA_AREA_STACK", 1 << 1),
        ("VMA_AREA_VSYSCALL", 1 << 2),
        ("VMA_AREA_VDSO", 1 << 3),
        ("VMA_AREA_HEAP", 1 << 5),
        ("VMA_FILE_PRIVATE", 1 << 6),
        ("VMA_FILE_SHARED", 1 << 7),
        ("VMA_ANON_SHARED", 1 << 8),
        ("VMA_ANON_PRIVATE", 1 << 9),
        ("VMA_AREA_SYSVIPC", 1 << 10),
        ("VMA_AREA_SOCKET", 1 << 11),
        ("VMA_AREA_VVAR", 1 << 12),
        ("VMA_AREA_AIORING", 1 << 13),
        ("VMA_AREA_MEMFD", 1 << 14),
        ("VMA_AREA_SHSTK", 1 << 15),
        ("VMA_AREA_GUARD", 1 << 16),
        ("VMA_AREA_UPROBES", 1 << 17),
        ("VMA_UNSUPP", 1UL << 31),
    ];

    private static readonly (string Name, ulong Value)[] PageMapFlags = [("PE_PARENT", 0x1), ("PE_LAZY", 0x2), ("PE_PRESENT", 0x4)];

    // The values of x86-64; no other architecture's files can be restored there, and a bit without a name is shown as a number.
    private static readonly (string Name, ulong Value)[] OpenFlags =
    [
        ("O_WRONLY", 0x1),
        ("O_RDWR", 0x2),
        ("O_CREAT", 0x40),
        ("O_EXCL", 0x80),
        ("O_NOCTTY", 0x100),
        ("O_TRUNC", 0x200),
        ("O_APPEND", 0x400),
        ("O_NONBLOCK", 0x800),
        ("O_DSYNC", 0x1000),
        ("FASYNC", 0x2000),
        ("O_DIRECT", 0x4000),
        ("O_LARGEFILE", 0x8000),
        ("O_DIRECTORY", 0x10000),
        ("O_NOFOLLOW", 0x20000),
        ("O_NOATIME", 0x40000),
        ("O_CLOEXEC", 0x80000),
    ];

    private static readonly (string Name, ulong Value)[] Seals =
    [
        ("F_SEAL_SEAL", 0x1),
        ("F_SEAL_SHRINK", 0x2),
        ("F_SEAL_GROW", 0x4),
        ("F_SEAL_WRITE", 0x8),
        ("F_SEAL_FUTURE_WRITE", 0x10),
        ("F_SEAL_EXEC", 0x20),
    ];

    private static readonly (string Name, ulong Value)[] TaskStates = [("Alive", 1), ("Dead", 2), ("Stopped", 3)];

    private static readonly (string Name, ulong Value)[] SocketFamilies = [("UNIX", 1), ("INET", 2), ("INET6", 10), ("PACKET", 17)];

    private static readonly (string Name, ulong Value)[] SocketTypes =
        [("STREAM", 1), ("DGRAM", 2), ("RAW", 3), ("SEQPACKET", 5), ("PACKET", 10)];

    private static readonly (string Name, ulong Value)[] SocketProtocols =
        [("IP", 0), ("ICMP", 1), ("TCP", 6), ("UDP", 17), ("ICMPV6", 58), ("UDPLITE", 136), ("RAW", 255)];

    private static readonly (string Name, ulong Value)[] SocketStates =
    [
        ("ESTABLISHED", 1),
        ("SYN_SENT", 2),
        ("SYN_RECV", 3),
        ("FIN_WAIT1", 4),
        ("FIN_WAIT2", 5),
        ("TIME_WAIT", 6),
        ("CLOSE", 7),
        ("CLOSE_WAIT", 8),
        ("LAST_ACK", 9),
        ("LISTEN", 10),
        ("CLOSING", 11),
        ("NEW_SYN_RECV", 12),
    ];

    /// <summary>The bits that a field's hint names.</summary>
    internal static (string Name, ulong Value)[] Flags(string table) => table switch
    {
        "mmap.prot" => Protections,
        "mmap.flags" => MappingFlags,
        "mmap.status" => MappingStatus,
        "pmap.flags" => PageMapFlags,
        "rfile.flags" => OpenFlags,
        "seals.flags" => Seals,
        _ => [],
    };

    /// <summary>The numbers that a field's hint and its own name name.</summary>
    internal static (string Name, ulong Value)[] Names(string table, string field) => (table, field) switch
    {
        ("gen", "task_state") => TaskStates,
        ("sk", "family") => SocketFamilies,
        ("sk", "type") => SocketTypes,
        ("sk", "proto") => SocketProtocols,
        ("sk", "state") => SocketStates,
        _ => [],
    };
}
