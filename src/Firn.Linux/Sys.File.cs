using System.Text;
using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>System calls with C#'s types, one method a call. What can fail in the ordinary course gives a <see cref="SysResult"/>.</summary>
public static partial class Sys
{
    /// <summary>Opens a file and throws if that fails.</summary>
    /// <param name="path">The path.</param>
    /// <param name="flags">Flags; O_CLOEXEC is added.</param>
    /// <param name="mode">Permission bits of a file that is created.</param>
    /// <exception cref="LinuxException">openat(2) failed.</exception>
    public static Fd Open(string path, OpenFlags flags, int mode = 0)
        => new(OpenAt(At.AT_FDCWD, path, flags | OpenFlags.O_CLOEXEC, mode).OrThrow($"openat({path}, {flags})").Int32);

    /// <summary>close(2) of a bare number.</summary>
    public static SysResult Close(int fd) => Kernel.Call(Sysno.close, fd);

    /// <summary>close_range(2) with CLOSE_RANGE_CLOEXEC: what this process executes from now on inherits none of these descriptors.</summary>
    public static SysResult CloseOnExec(int first, int last) => Kernel.Call(Sysno.close_range, first, last, 4);

    /// <summary>fcntl(2) with a number as argument.</summary>
    public static SysResult Fcntl(int fd, FcntlCommand command, nint argument = 0) => Kernel.Call(Sysno.fcntl, fd, (nint)command, argument);

    /// <summary>lseek(2).</summary>
    public static SysResult Lseek(int fd, long offset, int whence) => Kernel.Call(Sysno.lseek, fd, (nint)offset, whence);

    /// <summary>ftruncate(2).</summary>
    public static SysResult Ftruncate(int fd, long length) => Kernel.Call(Sysno.ftruncate, fd, (nint)length);

    /// <summary>Reads a whole small file, such as one of /proc, into a buffer that grows as needed.</summary>
    /// <param name="path">The path.</param>
    /// <param name="buffer">A buffer that may be used and replaced: keep it for the next call.</param>
    /// <returns>The number of bytes read, or -errno of the open or read that failed.</returns>
    public static SysResult ReadFile(string path, ref byte[] buffer)
    {
        SysResult opened = OpenAt(At.AT_FDCWD, path, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC, 0);
        if (opened.IsError)
        {
            return opened;
        }

        using var fd = new Fd(opened.Int32);
        int length = 0;
        while (true)
        {
            if (length == buffer.Length)
            {
                Array.Resize(ref buffer, Math.Max(4096, buffer.Length * 2));
            }

            SysResult read = Read(fd.Number, buffer.AsSpan(length));
            if (read.Errno == Errno.EINTR)
            {
                continue;
            }

            if (read.IsError)
            {
                return read;
            }

            if (read.Int32 == 0)
            {
                return new SysResult(length);
            }

            length += read.Int32;
        }
    }

    /// <summary>Reads a whole small file as text and throws if that fails.</summary>
    /// <exception cref="LinuxException">It can't be opened or read.</exception>
    public static string ReadText(string path)
    {
        byte[] buffer = new byte[4096];
        int length = ReadFile(path, ref buffer).OrThrow($"read({path})").Int32;
        return Encoding.UTF8.GetString(buffer, 0, length);
    }

    /// <summary>Reads where a symbolic link points, or gives null with the error.</summary>
    public static string? ReadLink(string path, out Errno errno)
    {
        Span<byte> target = stackalloc byte[4096];
        SysResult result = ReadLinkAt(At.AT_FDCWD, path, target);
        errno = result.Errno;
        return result.IsError ? null : Encoding.UTF8.GetString(target[..result.Int32]);
    }
}
