using Firn.Linux.Abi;

namespace Firn.Linux;

// SAFETY, of all that follows: the kernel reads what it is given during the call alone.
public static unsafe partial class Sys
{
    /// <summary>kcmp(2), KCMP_EPOLL_TFD: whether a descriptor is the file that an epoll watches under a number; 0 if so.</summary>
    /// <param name="pid">The process with the descriptor.</param>
    /// <param name="fd">The descriptor.</param>
    /// <param name="epollPid">The process with the epoll.</param>
    /// <param name="slot">The epoll, the number, and how many entries of that number come before.</param>
    public static SysResult KcmpEpollTarget(int pid, int fd, int epollPid, KcmpEpollSlot slot)
        => Kernel.Call(Sysno.kcmp, pid, epollPid, (nint)KcmpType.KCMP_EPOLL_TFD, fd, (nint)(&slot));

    /// <summary>SO_ATTACH_FILTER: a classic BPF program, 8 bytes an instruction (struct sock_filter).</summary>
    public static SysResult AttachSocketFilter(int socket, ReadOnlySpan<ulong> program)
    {
        fixed (ulong* instructions = program)
        {
            // struct sock_fprog: the number of instructions, padding, the address.
            ulong* header = stackalloc ulong[2] { (ulong)program.Length, (ulong)instructions };
            return Kernel.Call(Sysno.setsockopt, socket, SocketLevel.SOL_SOCKET, SocketOption.SO_ATTACH_FILTER, (nint)header, 16);
        }
    }
}
