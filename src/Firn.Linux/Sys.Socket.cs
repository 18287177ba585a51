using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux;

public static partial class Sys
{
    /// <summary>The most descriptors in one message (include/net/scm.h, SCM_MAX_FD).</summary>
    public const int MaxFdsInMessage = 253;

    /// <summary>socket(2).</summary>
    public static SysResult Socket(SocketFamily family, SocketType type, int protocol = 0)
        => Kernel.Call(Sysno.socket, (nint)family, (nint)type, protocol);

    /// <summary>listen(2).</summary>
    public static SysResult Listen(int socket, int backlog) => Kernel.Call(Sysno.listen, socket, backlog);

    /// <summary>accept4(2), without the address.</summary>
    public static SysResult Accept(int socket, SocketType flags = SocketType.SOCK_CLOEXEC)
        => Kernel.Call(Sysno.accept4, socket, 0, 0, (nint)flags);

    /// <summary>listen(2) as another process: who connects sees it (SO_PEERCRED).</summary>
    /// <inheritdoc cref="Kernel.CallAs"/>
    public static SysResult ListenAs(Identity identity, int socket, int backlog)
        => Kernel.CallAs(identity, Sysno.listen, socket, backlog, 0, 0);

    /// <summary>shutdown(2).</summary>
    public static SysResult Shutdown(int socket, ShutdownHow how) => Kernel.Call(Sysno.shutdown, socket, (nint)how);

    /// <summary>getsockopt(2) of an int.</summary>
    public static SysResult GetSocketOption(int socket, int level, int option, out int value)
    {
        value = 0;
        return GetSocketOption(socket, level, option, MemoryMarshal.AsBytes(new Span<int>(ref value)), out _);
    }

    /// <summary>setsockopt(2) of an int.</summary>
    public static SysResult SetSocketOption(int socket, int level, int option, int value)
        => SetSocketOption(socket, level, option, MemoryMarshal.AsBytes(new ReadOnlySpan<int>(in value)));

    /// <summary>recvfrom(2) without an address: with MSG_PEEK, what lies in the queue, without taking it.</summary>
    public static SysResult Receive(int socket, Span<byte> data, MessageFlags flags)
        => ReceiveFrom(socket, data, flags, default, out _);

    /// <summary>sendto(2) without an address.</summary>
    public static SysResult Send(int socket, ReadOnlySpan<byte> data, MessageFlags flags) => SendTo(socket, data, flags, default);

    /// <summary>Sends descriptors over a Unix socket, with one byte of data (unix(7), SCM_RIGHTS).</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="fds">One to <see cref="MaxFdsInMessage"/> descriptors, which stay open here.</param>
    /// <returns>1, or -errno.</returns>
    public static SysResult SendFds(int socket, ReadOnlySpan<int> fds)
    {
        ArgumentOutOfRangeException.ThrowIfZero(fds.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(fds.Length, MaxFdsInMessage);
        Span<byte> control = stackalloc byte[ControlMessages.Space(MaxFdsInMessage * sizeof(int))];
        control = control[..ControlMessages.Write(
            control, SocketLevel.SOL_SOCKET, ControlMessageType.SCM_RIGHTS, MemoryMarshal.AsBytes(fds))];
        ReadOnlySpan<byte> one = [0];
        return SendMessage(socket, one, control, default, MessageFlags.MSG_NOSIGNAL);
    }

    /// <summary>Receives the descriptors of one message over a Unix socket, close-on-exec, and throws away its data.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="fds">Room for what comes. What doesn't fit is closed.</param>
    /// <returns>How many there were: more than fit is -EMSGSIZE; the end of the stream is 0; or -errno of recvmsg(2).</returns>
    public static SysResult ReceiveFds(int socket, Span<int> fds)
    {
        Span<byte> control = stackalloc byte[ControlMessages.Space(MaxFdsInMessage * sizeof(int))];
        Span<byte> data = stackalloc byte[1];
        SysResult result = ReceiveMessage(socket, data, control, default, MessageFlags.MSG_CMSG_CLOEXEC, out ReceivedMessage message);
        if (result.IsError)
        {
            return result;
        }

        int count = 0;
        bool fits = true;
        foreach (ControlMessage part in new ControlMessages(control[..message.ControlLength]))
        {
            if (part.Level != SocketLevel.SOL_SOCKET || part.Type != ControlMessageType.SCM_RIGHTS)
            {
                continue;
            }

            foreach (int fd in MemoryMarshal.Cast<byte, int>(part.Data))
            {
                if (count < fds.Length)
                {
                    fds[count++] = fd;
                }
                else
                {
                    Close(fd);
                    fits = false;
                }
            }
        }

        if (fits && !message.Flags.HasFlag(MessageFlags.MSG_CTRUNC))
        {
            return new SysResult(count);
        }

        foreach (int fd in fds[..count])
        {
            Close(fd);
        }

        return new SysResult(-(nint)Errno.EMSGSIZE);
    }
}
