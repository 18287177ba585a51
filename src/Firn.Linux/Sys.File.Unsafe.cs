using System.Text;
using Firn.Linux.Abi;

namespace Firn.Linux;

public static unsafe partial class Sys
{
    private const int PathMax = 4096;

    /// <summary>openat(2).</summary>
    public static SysResult OpenAt(int directory, string path, OpenFlags flags, int mode)
    {
        // SAFETY: the kernel reads the terminated path during the call alone.
        byte* text = stackalloc byte[PathMax];
        return Terminate(path, text) ? Kernel.Call(Sysno.openat, directory, (nint)text, (nint)flags, mode) : TooLong;
    }

    /// <summary>readlinkat(2); the number of bytes, without a terminator.</summary>
    public static SysResult ReadLinkAt(int directory, string path, Span<byte> target)
    {
        // SAFETY: as above; the kernel writes no more than the span's length.
        byte* text = stackalloc byte[PathMax];
        fixed (byte* pointer = target)
        {
            return Terminate(path, text) ? Kernel.Call(Sysno.readlinkat, directory, (nint)text, (nint)pointer, target.Length) : TooLong;
        }
    }

    /// <summary>getcwd(2): the calling thread's working directory; null if it is unlinked, or not below the thread's root.</summary>
    public static string? CurrentDirectory()
    {
        byte* text = stackalloc byte[PathMax];
        SysResult length = Kernel.Call(Sysno.getcwd, (nint)text, PathMax);
        return length.IsError || *text != '/' ? null : System.Text.Encoding.UTF8.GetString(text, length.Int32 - 1);
    }

    /// <summary>unlinkat(2).</summary>
    public static SysResult UnlinkAt(int directory, string path, int flags = 0)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(path, text) ? Kernel.Call(Sysno.unlinkat, directory, (nint)text, flags) : TooLong;
    }

    /// <summary>renameat2(2) without flags.</summary>
    public static SysResult RenameAt(int fromDirectory, string from, int toDirectory, string to)
    {
        byte* first = stackalloc byte[PathMax];
        byte* second = stackalloc byte[PathMax];
        return Terminate(from, first) && Terminate(to, second)
            ? Kernel.Call(Sysno.renameat2, fromDirectory, (nint)first, toDirectory, (nint)second)
            : TooLong;
    }

    /// <summary>symlinkat(2).</summary>
    public static SysResult SymlinkAt(string target, int directory, string path)
    {
        byte* first = stackalloc byte[PathMax];
        byte* second = stackalloc byte[PathMax];
        return Terminate(target, first) && Terminate(path, second)
            ? Kernel.Call(Sysno.symlinkat, (nint)first, directory, (nint)second)
            : TooLong;
    }

    /// <summary>mkdirat(2).</summary>
    public static SysResult MkdirAt(int directory, string path, int mode)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(path, text) ? Kernel.Call(Sysno.mkdirat, directory, (nint)text, mode) : TooLong;
    }

    /// <summary>faccessat(2): whether the caller may.</summary>
    /// <param name="directory">A descriptor of the directory that a relative path starts from.</param>
    /// <param name="path">The path.</param>
    /// <param name="mode">4 read, 2 write, 1 search.</param>
    public static SysResult AccessAt(int directory, string path, int mode)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(path, text) ? Kernel.Call(Sysno.faccessat, directory, (nint)text, mode) : TooLong;
    }

    /// <summary>newfstatat(2).</summary>
    public static SysResult StatAt(int directory, string path, out FileStat stat, int flags = 0)
    {
        byte* text = stackalloc byte[PathMax];
        fixed (FileStat* pointer = &stat)
        {
            *pointer = default;
            return Terminate(path, text) ? Kernel.Call(Sysno.newfstatat, directory, (nint)text, (nint)pointer, flags) : TooLong;
        }
    }

    /// <summary>fstat(2).</summary>
    public static SysResult Fstat(int fd, out FileStat stat)
    {
        fixed (FileStat* pointer = &stat)
        {
            *pointer = default;
            return Kernel.Call(Sysno.fstat, fd, (nint)pointer);
        }
    }

    /// <summary>read(2).</summary>
    public static SysResult Read(int fd, Span<byte> buffer)
    {
        fixed (byte* pointer = buffer)
        {
            return Kernel.Call(Sysno.read, fd, (nint)pointer, buffer.Length);
        }
    }

    /// <summary>write(2).</summary>
    public static SysResult Write(int fd, ReadOnlySpan<byte> buffer)
    {
        fixed (byte* pointer = buffer)
        {
            return Kernel.Call(Sysno.write, fd, (nint)pointer, buffer.Length);
        }
    }

    /// <summary>pread64(2).</summary>
    public static SysResult Pread(int fd, Span<byte> buffer, long offset)
    {
        fixed (byte* pointer = buffer)
        {
            return Kernel.Call(Sysno.pread64, fd, (nint)pointer, buffer.Length, (nint)offset);
        }
    }

    /// <summary>pwrite64(2).</summary>
    public static SysResult Pwrite(int fd, ReadOnlySpan<byte> buffer, long offset)
    {
        fixed (byte* pointer = buffer)
        {
            return Kernel.Call(Sysno.pwrite64, fd, (nint)pointer, buffer.Length, (nint)offset);
        }
    }

    /// <summary>fcntl(2) with a structure as argument.</summary>
    public static SysResult Fcntl<T>(int fd, FcntlCommand command, ref T argument)
        where T : unmanaged
    {
        fixed (T* pointer = &argument)
        {
            return Kernel.Call(Sysno.fcntl, fd, (nint)command, (nint)pointer);
        }
    }

    /// <summary>ioctl(2) with a structure as argument.</summary>
    public static SysResult Ioctl<T>(int fd, uint request, ref T argument)
        where T : unmanaged
    {
        fixed (T* pointer = &argument)
        {
            return Kernel.Call(Sysno.ioctl, fd, (nint)request, (nint)pointer);
        }
    }

    /// <summary>memfd_create(2).</summary>
    public static SysResult MemfdCreate(string name, uint flags)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(name, text) ? Kernel.Call(Sysno.memfd_create, (nint)text, (nint)flags) : TooLong;
    }

    private static SysResult TooLong => new(-(nint)Errno.ENAMETOOLONG);

    private static bool Terminate(string path, byte* text)
    {
        var span = new Span<byte>(text, PathMax);
        if (!Encoding.UTF8.TryGetBytes(path, span[..^1], out int written))
        {
            return false;
        }

        span[written] = 0;
        return true;
    }
}
