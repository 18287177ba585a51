using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>struct statfs of x86_64 (include/uapi/asm-generic/statfs.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct StatFs
{
    public long f_type;
    public long f_bsize;
    public ulong f_blocks;
    public ulong f_bfree;
    public ulong f_bavail;
    public ulong f_files;
    public ulong f_ffree;
    public ulong f_fsid;
    public long f_namelen;
    public long f_frsize;
    public long f_flags;
    public long unused0;
    public long unused1;
    public long unused2;
    public long unused3;
}

/// <summary>What f_type of statfs(2) says (include/uapi/linux/magic.h).</summary>
public static class FileSystemMagic
{
    public const long ANON_INODE_FS_MAGIC = 0x09041934;
    public const long BTRFS_SUPER_MAGIC = 0x9123683E;
    public const long CGROUP_SUPER_MAGIC = 0x27e0eb;
    public const long CGROUP2_SUPER_MAGIC = 0x63677270;
    public const long DEVPTS_SUPER_MAGIC = 0x1cd1;
    public const long EXT4_SUPER_MAGIC = 0xEF53;
    public const long FUSE_SUPER_MAGIC = 0x65735546;
    public const long HUGETLBFS_MAGIC = 0x958458f6;
    public const long NFS_SUPER_MAGIC = 0x6969;
    public const long NSFS_MAGIC = 0x6e736673;
    public const long OVERLAYFS_SUPER_MAGIC = 0x794c7630;
    public const long PID_FS_MAGIC = 0x50494446;
    public const long PIPEFS_MAGIC = 0x50495045;
    public const long PROC_SUPER_MAGIC = 0x9fa0;
    public const long SOCKFS_MAGIC = 0x534F434B;
    public const long SYSFS_MAGIC = 0x62656572;
    public const long TMPFS_MAGIC = 0x01021994;
    public const long XFS_SUPER_MAGIC = 0x58465342;
}

/// <summary>Modes of fallocate(2) (include/uapi/linux/falloc.h).</summary>
[Flags]
public enum AllocateMode
{
    None = 0,
    FALLOC_FL_KEEP_SIZE = 1,
    FALLOC_FL_PUNCH_HOLE = 2,
    FALLOC_FL_COLLAPSE_RANGE = 8,
    FALLOC_FL_ZERO_RANGE = 0x10,
    FALLOC_FL_INSERT_RANGE = 0x20,
}

/// <summary>Operations of flock(2) (include/uapi/asm-generic/fcntl.h).</summary>
[Flags]
public enum FlockOperation
{
    LOCK_SH = 1,
    LOCK_EX = 2,
    LOCK_NB = 4,
    LOCK_UN = 8,
}

/// <summary>struct flock of F_SETLK and F_OFD_SETLK (include/uapi/asm-generic/fcntl.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Flock
{
    public const short F_RDLCK = 0;
    public const short F_WRLCK = 1;
    public const short F_UNLCK = 2;

    public short l_type;
    public short l_whence;
    public long l_start;
    public long l_len;
    public int l_pid;
}

/// <summary>struct f_owner_ex of F_GETOWN_EX (include/uapi/asm-generic/fcntl.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct FOwnerEx
{
    public const int F_OWNER_TID = 0;
    public const int F_OWNER_PID = 1;
    public const int F_OWNER_PGRP = 2;

    public int type;
    public int pid;
}

/// <summary>Positions of lseek(2) (include/uapi/linux/fs.h).</summary>
public static class Seek
{
    public const int SEEK_SET = 0;
    public const int SEEK_CUR = 1;
    public const int SEEK_END = 2;
    public const int SEEK_DATA = 3;
    public const int SEEK_HOLE = 4;
}

/// <summary>Flags of memfd_create(2) and its seals (include/uapi/linux/memfd.h, fcntl.h).</summary>
public static class Memfd
{
    public const uint MFD_CLOEXEC = 1;
    public const uint MFD_ALLOW_SEALING = 2;
    public const uint MFD_HUGETLB = 4;
    public const uint MFD_NOEXEC_SEAL = 8;
    public const uint MFD_EXEC = 16;
    public const int F_SEAL_SEAL = 1;
    public const int F_SEAL_SHRINK = 2;
    public const int F_SEAL_GROW = 4;
    public const int F_SEAL_WRITE = 8;
    public const int F_SEAL_FUTURE_WRITE = 16;
    public const int F_SEAL_EXEC = 32;
}

/// <summary>Flags of splice(2), tee(2) and vmsplice(2) (include/linux/splice.h).</summary>
[Flags]
public enum SpliceFlags
{
    None = 0,
    SPLICE_F_MOVE = 1,
    SPLICE_F_NONBLOCK = 2,
    SPLICE_F_MORE = 4,
    SPLICE_F_GIFT = 8,
}

/// <summary>Flags of getrandom(2) (include/uapi/linux/random.h).</summary>
[Flags]
public enum RandomFlags
{
    None = 0,
    GRND_NONBLOCK = 1,
    GRND_RANDOM = 2,
    GRND_INSECURE = 4,
}
