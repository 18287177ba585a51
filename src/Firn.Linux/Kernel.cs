using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>The one door to the kernel: every system call of Firn's own goes through <see cref="Call"/>.</summary>
/// <remarks>
/// No libc stands between: errno is never shared, EINTR is never hidden, and the calls that libc wraps (set_tid in clone3, ptrace
/// register sets, credentials of one thread) mean what the kernel means by them. syscall(2).
/// </remarks>
public static partial class Kernel
{
    /// <summary>The size of a page of x86_64, in bytes.</summary>
    public const int PageSize = 4096;

    /// <summary>Makes a system call with up to six arguments and gives what the kernel answered, a value or -errno.</summary>
    /// <remarks>The call may block: the runtime is told, so that a garbage collection need not wait for it.</remarks>
    public static partial SysResult Call(Sysno nr, nint a0 = 0, nint a1 = 0, nint a2 = 0, nint a3 = 0, nint a4 = 0, nint a5 = 0);
}
