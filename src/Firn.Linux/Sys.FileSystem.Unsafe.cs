using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux;

// SAFETY, of all that follows: the kernel reads and writes what it is given during the call alone, and no more than the lengths that go
// with each pointer.
public static unsafe partial class Sys
{
    private const int HandleHeaderSize = 8;
    private const int MaxHandleSize = 128;

    /// <summary>linkat(2).</summary>
    public static SysResult LinkAt(int fromDirectory, string from, int toDirectory, string to, int flags = 0)
    {
        byte* first = stackalloc byte[PathMax];
        byte* second = stackalloc byte[PathMax];
        return Terminate(from, first) && Terminate(to, second)
            ? Kernel.Call(Sysno.linkat, fromDirectory, (nint)first, toDirectory, (nint)second, flags)
            : TooLong;
    }

    /// <summary>mknodat(2): a node, FIFO or socket by the type in its mode.</summary>
    public static SysResult MknodAt(int directory, string path, uint mode, ulong device)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(path, text) ? Kernel.Call(Sysno.mknodat, directory, (nint)text, (nint)mode, (nint)device) : TooLong;
    }

    /// <summary>fchownat(2).</summary>
    public static SysResult FchownAt(int directory, string path, uint uid, uint gid, int flags = At.AT_SYMLINK_NOFOLLOW)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(path, text) ? Kernel.Call(Sysno.fchownat, directory, (nint)text, (nint)uid, (nint)gid, flags) : TooLong;
    }

    /// <summary>fchmodat(2).</summary>
    public static SysResult FchmodAt(int directory, string path, uint mode)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(path, text) ? Kernel.Call(Sysno.fchmodat, directory, (nint)text, (nint)mode) : TooLong;
    }

    /// <summary>utimensat(2); without a path, of the file that is open as <paramref name="directory"/>.</summary>
    public static SysResult UtimensAt(int directory, string? path, Timespec accessed, Timespec modified, int flags = 0)
    {
        byte* text = stackalloc byte[PathMax];
        Timespec* times = stackalloc Timespec[2] { accessed, modified };
        return path is null ? Kernel.Call(Sysno.utimensat, directory, 0, (nint)times, flags)
            : Terminate(path, text) ? Kernel.Call(Sysno.utimensat, directory, (nint)text, (nint)times, flags)
            : TooLong;
    }

    /// <summary>statfs(2).</summary>
    public static SysResult StatFs(string path, out StatFs stat)
    {
        byte* text = stackalloc byte[PathMax];
        fixed (StatFs* pointer = &stat)
        {
            *pointer = default;
            return Terminate(path, text) ? Kernel.Call(Sysno.statfs, (nint)text, (nint)pointer) : TooLong;
        }
    }

    /// <summary>fstatfs(2).</summary>
    public static SysResult FstatFs(int fd, out StatFs stat)
    {
        fixed (StatFs* pointer = &stat)
        {
            *pointer = default;
            return Kernel.Call(Sysno.fstatfs, fd, (nint)pointer);
        }
    }

    /// <summary>copy_file_range(2): from an offset to an offset; gives how many bytes were copied.</summary>
    public static SysResult CopyFileRange(int from, long fromOffset, int to, long toOffset, long length)
        => Kernel.Call(Sysno.copy_file_range, from, (nint)(&fromOffset), to, (nint)(&toOffset), (nint)length, 0);

    /// <summary>getrandom(2).</summary>
    public static SysResult GetRandom(Span<byte> bytes, RandomFlags flags = RandomFlags.None)
    {
        fixed (byte* pointer = bytes)
        {
            return Kernel.Call(Sysno.getrandom, (nint)pointer, bytes.Length, (nint)flags);
        }
    }

    /// <summary>name_to_handle_at(2): a handle that outlives the path, and the id of the mount.</summary>
    /// <param name="directory">A directory, or AT_FDCWD.</param>
    /// <param name="path">The path; empty with AT_EMPTY_PATH.</param>
    /// <param name="handle">The handle, or null when the call fails: EOPNOTSUPP where the file system has none.</param>
    /// <param name="mountId">The mount, as in mountinfo.</param>
    /// <param name="flags">AT_*.</param>
    public static SysResult NameToHandleAt(int directory, string path, out FileHandle? handle, out int mountId, int flags = 0)
    {
        byte* text = stackalloc byte[PathMax];
        byte* buffer = stackalloc byte[HandleHeaderSize + MaxHandleSize];
        *(uint*)buffer = MaxHandleSize;
        int mount = 0;
        SysResult result = Terminate(path, text)
            ? Kernel.Call(Sysno.name_to_handle_at, directory, (nint)text, (nint)buffer, (nint)(&mount), flags)
            : TooLong;
        mountId = mount;
        handle = result.IsError
            ? null
            : new FileHandle(((int*)buffer)[1], new ReadOnlySpan<byte>(buffer + HandleHeaderSize, *(int*)buffer).ToArray());
        return result;
    }

    /// <summary>open_by_handle_at(2), on the file system of any descriptor of it. Needs CAP_DAC_READ_SEARCH.</summary>
    public static SysResult OpenByHandleAt(int mountFd, FileHandle handle, OpenFlags flags)
    {
        Span<byte> buffer = stackalloc byte[HandleHeaderSize + MaxHandleSize];
        if (handle.Bytes.Length > MaxHandleSize)
        {
            return new SysResult(-(nint)Errno.EINVAL);
        }

        int length = handle.Bytes.Length;
        int type = handle.Type;
        MemoryMarshal.Write(buffer, in length);
        MemoryMarshal.Write(buffer[4..], in type);
        handle.Bytes.CopyTo(buffer[HandleHeaderSize..]);
        fixed (byte* pointer = buffer)
        {
            return Kernel.Call(Sysno.open_by_handle_at, mountFd, (nint)pointer, (nint)flags);
        }
    }
}
