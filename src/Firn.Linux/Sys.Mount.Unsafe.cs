using Firn.Linux.Abi;

namespace Firn.Linux;

// SAFETY, of all that follows: the kernel reads and writes what it is given during the call alone, and no more than the lengths that go
// with each pointer.
public static unsafe partial class Sys
{
    /// <summary>open_tree(2): a descriptor of the mount at a path, or with OPEN_TREE_CLONE of a copy that is mounted nowhere.</summary>
    public static SysResult OpenTree(int directory, string path, int flags)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(path, text) ? Kernel.Call(Sysno.open_tree, directory, (nint)text, flags) : TooLong;
    }

    /// <summary>move_mount(2).</summary>
    public static SysResult MoveMount(int fromDirectory, string from, int toDirectory, string to, int flags)
    {
        byte* first = stackalloc byte[PathMax];
        byte* second = stackalloc byte[PathMax];
        return Terminate(from, first) && Terminate(to, second)
            ? Kernel.Call(Sysno.move_mount, fromDirectory, (nint)first, toDirectory, (nint)second, flags)
            : TooLong;
    }

    /// <summary>mount_setattr(2) of the mount that a descriptor is of.</summary>
    /// <param name="fd">A descriptor of open_tree(2) or fsmount(2).</param>
    /// <param name="attributes">What to set, to clear, and the propagation.</param>
    /// <param name="flags">AT_RECURSIVE, or none.</param>
    public static SysResult MountSetAttr(int fd, in MountAttr attributes, int flags = 0)
    {
        byte empty = 0;
        fixed (MountAttr* pointer = &attributes)
        {
            return Kernel.Call(
                Sysno.mount_setattr, fd, (nint)(&empty), At.AT_EMPTY_PATH | flags, (nint)pointer, (nint)sizeof(MountAttr));
        }
    }

    /// <summary>umount2(2).</summary>
    public static SysResult Unmount(string path, int flags)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(path, text) ? Kernel.Call(Sysno.umount2, (nint)text, flags) : TooLong;
    }

    /// <summary>mount(2) that only changes the propagation of what is mounted at a path.</summary>
    public static SysResult SetPropagation(string path, MountFlags propagation)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(path, text) ? Kernel.Call(Sysno.mount, 0, (nint)text, 0, (nint)propagation, 0) : TooLong;
    }

    /// <summary>statx(2).</summary>
    public static SysResult StatxAt(int directory, string path, int flags, StatxMask mask, out Statx stat)
    {
        byte* text = stackalloc byte[PathMax];
        fixed (Statx* pointer = &stat)
        {
            *pointer = default;
            return Terminate(path, text) ? Kernel.Call(Sysno.statx, directory, (nint)text, flags, (nint)mask, (nint)pointer) : TooLong;
        }
    }

    /// <summary>flistxattr(2): names, each with its terminator; their length.</summary>
    public static SysResult ListAttributes(int fd, Span<byte> names)
    {
        fixed (byte* pointer = names)
        {
            return Kernel.Call(Sysno.flistxattr, fd, (nint)pointer, names.Length);
        }
    }

    /// <summary>fgetxattr(2); the length of the value.</summary>
    public static SysResult GetAttribute(int fd, string name, Span<byte> value)
    {
        byte* text = stackalloc byte[PathMax];
        fixed (byte* pointer = value)
        {
            return Terminate(name, text) ? Kernel.Call(Sysno.fgetxattr, fd, (nint)text, (nint)pointer, value.Length) : TooLong;
        }
    }

    /// <summary>fsetxattr(2).</summary>
    public static SysResult SetAttribute(int fd, string name, ReadOnlySpan<byte> value)
    {
        byte* text = stackalloc byte[PathMax];
        fixed (byte* pointer = value)
        {
            return Terminate(name, text) ? Kernel.Call(Sysno.fsetxattr, fd, (nint)text, (nint)pointer, value.Length, 0) : TooLong;
        }
    }
}
