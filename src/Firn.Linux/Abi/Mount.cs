using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Flags of mount(2) (include/uapi/linux/mount.h).</summary>
[Flags]
public enum MountFlags : uint
{
    None = 0,
    MS_RDONLY = 1,
    MS_NOSUID = 2,
    MS_NODEV = 4,
    MS_NOEXEC = 8,
    MS_SYNCHRONOUS = 0x10,
    MS_REMOUNT = 0x20,
    MS_MANDLOCK = 0x40,
    MS_DIRSYNC = 0x80,
    MS_NOSYMFOLLOW = 0x100,
    MS_NOATIME = 0x400,
    MS_NODIRATIME = 0x800,
    MS_BIND = 0x1000,
    MS_REC = 0x4000,
    MS_UNBINDABLE = 1 << 17,
    MS_PRIVATE = 1 << 18,
    MS_SLAVE = 1 << 19,
    MS_SHARED = 1 << 20,
    MS_RELATIME = 1 << 21,
    MS_STRICTATIME = 1 << 24,
    MS_LAZYTIME = 1 << 25,
}

/// <summary>Attributes of one mount: mount_setattr(2), fsmount(2) (include/uapi/linux/mount.h).</summary>
[Flags]
public enum MountAttributes : ulong
{
    None = 0,
    MOUNT_ATTR_RDONLY = 1,
    MOUNT_ATTR_NOSUID = 2,
    MOUNT_ATTR_NODEV = 4,
    MOUNT_ATTR_NOEXEC = 8,
    MOUNT_ATTR_NOATIME = 0x10,
    MOUNT_ATTR_STRICTATIME = 0x20,
    MOUNT_ATTR__ATIME = 0x70,
    MOUNT_ATTR_NODIRATIME = 0x80,
    MOUNT_ATTR_NOSYMFOLLOW = 0x200000,
}

/// <summary>struct mount_attr of mount_setattr(2) (include/uapi/linux/mount.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct MountAttr
{
    public ulong attr_set;
    public ulong attr_clr;
    public ulong propagation;
    public ulong userns_fd;
}

/// <summary>Commands of fsconfig(2) (include/uapi/linux/mount.h).</summary>
public enum FsConfigCommand
{
    FSCONFIG_SET_FLAG = 0,
    FSCONFIG_SET_STRING = 1,
    FSCONFIG_SET_BINARY = 2,
    FSCONFIG_SET_PATH = 3,
    FSCONFIG_SET_PATH_EMPTY = 4,
    FSCONFIG_SET_FD = 5,
    FSCONFIG_CMD_CREATE = 6,
    FSCONFIG_CMD_RECONFIGURE = 7,
    FSCONFIG_CMD_CREATE_EXCL = 8,
}

/// <summary>Flags of the calls that make mounts by descriptors (include/uapi/linux/mount.h).</summary>
public static class MountCall
{
    public const int OPEN_TREE_CLONE = 1;
    public const int OPEN_TREE_CLOEXEC = 0x80000;
    public const int AT_RECURSIVE = 0x8000;
    public const int MOVE_MOUNT_F_EMPTY_PATH = 4;
    public const int MOVE_MOUNT_T_EMPTY_PATH = 0x40;
    public const int MOVE_MOUNT_SET_GROUP = 0x100;
    public const int MOVE_MOUNT_BENEATH = 0x200;
    public const int FSOPEN_CLOEXEC = 1;
    public const int FSMOUNT_CLOEXEC = 1;
    public const int FSPICK_CLOEXEC = 1;
    public const int FSPICK_EMPTY_PATH = 8;
    public const int MNT_DETACH = 2;
    public const int UMOUNT_NOFOLLOW = 8;
}

/// <summary>struct statx of statx(2) (include/uapi/linux/stat.h).</summary>
[StructLayout(LayoutKind.Sequential, Size = 256)]
public struct Statx
{
    public uint stx_mask;
    public uint stx_blksize;
    public ulong stx_attributes;
    public uint stx_nlink;
    public uint stx_uid;
    public uint stx_gid;
    public ushort stx_mode;
    public ushort pad0;
    public ulong stx_ino;
    public ulong stx_size;
    public ulong stx_blocks;
    public ulong stx_attributes_mask;
    public StatxTimestamp stx_atime;
    public StatxTimestamp stx_btime;
    public StatxTimestamp stx_ctime;
    public StatxTimestamp stx_mtime;
    public uint stx_rdev_major;
    public uint stx_rdev_minor;
    public uint stx_dev_major;
    public uint stx_dev_minor;
    public ulong stx_mnt_id;
}

/// <summary>struct statx_timestamp of statx(2) (include/uapi/linux/stat.h).</summary>
[StructLayout(LayoutKind.Sequential, Size = 16)]
public struct StatxTimestamp
{
    public long tv_sec;
    public uint tv_nsec;
}

/// <summary>What statx(2) is asked for (include/uapi/linux/stat.h).</summary>
[Flags]
public enum StatxMask : uint
{
    STATX_BASIC_STATS = 0x7ff,
    STATX_MNT_ID = 0x1000,
    STATX_MNT_ID_UNIQUE = 0x4000,
}
