namespace Firn.Linux.Procfs;

/// <summary>The kind of a file lock.</summary>
public enum FileLockKind
{
    /// <summary>One that Firn doesn't know.</summary>
    Unknown = 0,

    /// <summary>POSIX: a record lock of a process (fcntl(2), F_SETLK).</summary>
    Posix,

    /// <summary>OFDLCK: a record lock of an open file description (F_OFD_SETLK).</summary>
    OpenFileDescription,

    /// <summary>FLOCK: a lock of the whole file (flock(2)).</summary>
    Flock,

    /// <summary>LEASE: a lease (F_SETLEASE).</summary>
    Lease,

    /// <summary>DELEG: a delegation, of a file server.</summary>
    Delegation,
}

/// <summary>A lock on a file: a line of /proc/locks, or a <c>lock:</c> line of fdinfo.</summary>
/// <remarks>
/// Kernel: fs/locks.c, lock_get_status(); proc_locks(5). In fdinfo stand the locks of that open file description, and the POSIX locks
/// of the process whose fdinfo is read. Who waits for a lock stands in /proc/locks alone.
/// </remarks>
public sealed record FileLock
{
    /// <summary>The number of the line; who waits has the number of the lock waited for.</summary>
    public long Id { get; init; }

    /// <summary>The kind.</summary>
    public FileLockKind Kind { get; init; }

    /// <summary>Whether this one still waits (<c>-&gt;</c>).</summary>
    public bool Waiting { get; init; }

    /// <summary>A lease that is being broken, or whose break is done.</summary>
    public bool Breaking { get; init; }

    /// <summary>Whether it is for writing; a lock for reading is shared.</summary>
    public bool Write { get; init; }

    /// <summary>Whether a lease is being given up altogether (UNLCK).</summary>
    public bool Unlocking { get; init; }

    /// <summary>The process, as the reader's pid namespace has it; -1 for OFD locks, 0 if it can't be seen.</summary>
    public int Pid { get; init; }

    /// <summary>The major number of the file's device.</summary>
    public uint DevMajor { get; init; }

    /// <summary>The minor number of the file's device.</summary>
    public uint DevMinor { get; init; }

    /// <summary>The file's inode number.</summary>
    public ulong Inode { get; init; }

    /// <summary>The first byte.</summary>
    public long Start { get; init; }

    /// <summary>The last byte; <see cref="long.MaxValue"/> for EOF.</summary>
    public long End { get; init; }

    /// <summary>Parses a line, without the word <c>lock:</c> before it.</summary>
    /// <exception cref="FormatException">It is not such a line.</exception>
    public static FileLock Parse(ReadOnlySpan<byte> line)
    {
        var reader = new ByteReader(line);
        long id = reader.Signed();
        reader.Take(":"u8);
        ReadOnlySpan<byte> kind = reader.Word();
        bool waiting = kind.SequenceEqual("->"u8);
        if (waiting)
        {
            kind = reader.Word();
        }

        // ADVISORY, MANDATORY, *NOINODE*, or of a lease ACTIVE, BREAKING, BREAKER.
        ReadOnlySpan<byte> mode = reader.Word();
        ReadOnlySpan<byte> type = reader.Word();
        int pid = reader.Int32();
        uint major = 0;
        uint minor = 0;
        ulong inode = 0;
        reader.SkipBlanks();
        if (!reader.TryTake("<none>:0"u8))
        {
            major = (uint)reader.Hex();
            reader.Take(":"u8);
            minor = (uint)reader.Hex();
            reader.Take(":"u8);
            inode = reader.Decimal();
        }

        long start = reader.Signed();
        reader.SkipBlanks();
        return new FileLock
        {
            Id = id,
            Kind = ParseKind(kind),
            Waiting = waiting,
            Breaking = mode.StartsWith("BREAK"u8),
            Write = type.SequenceEqual("WRITE"u8),
            Unlocking = type.SequenceEqual("UNLCK"u8),
            Pid = pid,
            DevMajor = major,
            DevMinor = minor,
            Inode = inode,
            Start = start,
            End = reader.TryTake("EOF"u8) ? long.MaxValue : reader.Signed(),
        };
    }

    private static FileLockKind ParseKind(ReadOnlySpan<byte> kind)
        => kind.SequenceEqual("POSIX"u8) ? FileLockKind.Posix
        : kind.SequenceEqual("OFDLCK"u8) ? FileLockKind.OpenFileDescription
        : kind.SequenceEqual("FLOCK"u8) ? FileLockKind.Flock
        : kind.SequenceEqual("LEASE"u8) ? FileLockKind.Lease
        : kind.SequenceEqual("DELEG"u8) ? FileLockKind.Delegation
        : FileLockKind.Unknown;
}

/// <summary>/proc/locks: the locks of all files that the reader's pid namespace can see, and who waits for them.</summary>
/// <remarks>Kernel: fs/locks.c, locks_show().</remarks>
public static class Locks
{
    /// <summary>Reads all locks.</summary>
    /// <exception cref="LinuxException">It can't be read.</exception>
    public static List<FileLock> Read() => Parse(ProcFile.Read("/proc/locks"));

    /// <summary>Parses the text of /proc/locks.</summary>
    /// <exception cref="FormatException">It is not such a text.</exception>
    public static List<FileLock> Parse(ReadOnlySpan<byte> text)
    {
        var locks = new List<FileLock>();
        var reader = new ByteReader(text);
        while (reader.TryLine(out ReadOnlySpan<byte> line))
        {
            locks.Add(FileLock.Parse(line));
        }

        return locks;
    }
}
