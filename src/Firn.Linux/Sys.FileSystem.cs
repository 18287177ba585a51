using Firn.Linux.Abi;

namespace Firn.Linux;

public static partial class Sys
{
    /// <summary>flock(2).</summary>
    public static SysResult Flock(int fd, FlockOperation operation) => Kernel.Call(Sysno.flock, fd, (nint)operation);

    /// <summary>fchmod(2).</summary>
    public static SysResult Fchmod(int fd, uint mode) => Kernel.Call(Sysno.fchmod, fd, (nint)mode);

    /// <summary>fchown(2); <see cref="uint.MaxValue"/> leaves an id as it is.</summary>
    public static SysResult Fchown(int fd, uint uid, uint gid) => Kernel.Call(Sysno.fchown, fd, (nint)uid, (nint)gid);

    /// <summary>fallocate(2).</summary>
    public static SysResult Fallocate(int fd, AllocateMode mode, long offset, long length)
        => Kernel.Call(Sysno.fallocate, fd, (nint)mode, (nint)offset, (nint)length);

    /// <summary>fdatasync(2).</summary>
    public static SysResult Fdatasync(int fd) => Kernel.Call(Sysno.fdatasync, fd);

    /// <summary>rmdir(2), relative to a directory.</summary>
    public static SysResult RmdirAt(int directory, string path) => UnlinkAt(directory, path, At.AT_REMOVEDIR);

    /// <summary>ioctl(2) with a number as argument, or none.</summary>
    public static SysResult Ioctl(int fd, uint request, nint argument = 0) => Kernel.Call(Sysno.ioctl, fd, (nint)request, argument);

    /// <summary>ioctl(2) that gives a structure.</summary>
    public static SysResult IoctlGet<T>(int fd, uint request, out T value)
        where T : unmanaged
    {
        value = default;
        return Ioctl(fd, request, ref value);
    }

    /// <summary>dup3(2).</summary>
    public static SysResult Dup3(int fd, int target, OpenFlags flags = OpenFlags.O_CLOEXEC)
        => Kernel.Call(Sysno.dup3, fd, target, (nint)flags);
}
