using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>What an error number means, in words (errno(3)).</summary>
public static class ErrnoText
{
    /// <summary>Gives the meaning of an error number in a few words.</summary>
    public static string Describe(Errno errno) => errno switch
    {
        Errno.EPERM => "operation not permitted",
        Errno.ENOENT => "no such file or directory",
        Errno.ESRCH => "no such process",
        Errno.EINTR => "interrupted",
        Errno.EIO => "input/output error",
        Errno.E2BIG => "list too long",
        Errno.ENOEXEC => "not an executable",
        Errno.EBADF => "bad descriptor",
        Errno.ECHILD => "no such child",
        Errno.EAGAIN => "try again",
        Errno.ENOMEM => "out of memory",
        Errno.EACCES => "permission denied",
        Errno.EFAULT => "bad address",
        Errno.EBUSY => "busy",
        Errno.EEXIST => "exists already",
        Errno.EXDEV => "on another file system",
        Errno.ENODEV => "no such device",
        Errno.ENOTDIR => "not a directory",
        Errno.EISDIR => "is a directory",
        Errno.EINVAL => "invalid argument",
        Errno.ENFILE => "too many open files in the system",
        Errno.EMFILE => "too many open files",
        Errno.ENOTTY => "not a terminal, or not for this device",
        Errno.ETXTBSY => "a program that runs is being written",
        Errno.EFBIG => "file too large",
        Errno.ENOSPC => "no space left on the device",
        Errno.ESPIPE => "can't seek",
        Errno.EROFS => "read-only file system",
        Errno.EPIPE => "no reader",
        Errno.ERANGE => "out of range",
        Errno.ENAMETOOLONG => "name too long",
        Errno.ENOSYS => "not in this kernel",
        Errno.ENOTEMPTY => "directory not empty",
        Errno.ELOOP => "too many symbolic links",
        Errno.EOPNOTSUPP => "not supported",
        Errno.EADDRINUSE => "address in use",
        Errno.EADDRNOTAVAIL => "address not available",
        Errno.ENOTCONN => "not connected",
        Errno.ECONNREFUSED => "connection refused",
        Errno.ECONNRESET => "connection reset",
        Errno.ETIMEDOUT => "timed out",
        Errno.ESTALE => "stale file handle",
        Errno.EDQUOT => "disk quota exceeded",
        Errno.EUSERS => "too many users",
        Errno.EOVERFLOW => "value too large",
        _ => $"errno {(int)errno}",
    };
}
