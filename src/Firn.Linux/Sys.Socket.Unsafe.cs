using Firn.Linux.Abi;

namespace Firn.Linux;

// SAFETY, of all that follows: the kernel reads and writes what it is given during the call alone, and no more than the lengths that go
// with each pointer.
public static unsafe partial class Sys
{
    /// <summary>socketpair(2).</summary>
    public static SysResult SocketPair(SocketFamily family, SocketType type, int protocol, out int first, out int second)
    {
        int* pair = stackalloc int[2];
        pair[0] = pair[1] = -1;
        SysResult result = Kernel.Call(Sysno.socketpair, (nint)family, (nint)type, protocol, (nint)pair);
        first = pair[0];
        second = pair[1];
        return result;
    }

    /// <summary>bind(2); the address is a sockaddr of any family.</summary>
    public static SysResult Bind(int socket, ReadOnlySpan<byte> address)
    {
        fixed (byte* pointer = address)
        {
            return Kernel.Call(Sysno.bind, socket, (nint)pointer, address.Length);
        }
    }

    /// <summary>connect(2); the address is a sockaddr of any family.</summary>
    public static SysResult Connect(int socket, ReadOnlySpan<byte> address)
    {
        fixed (byte* pointer = address)
        {
            return Kernel.Call(Sysno.connect, socket, (nint)pointer, address.Length);
        }
    }

    /// <summary>connect(2) as another process: who accepts sees it (SO_PEERCRED).</summary>
    /// <inheritdoc cref="Kernel.CallAs"/>
    public static SysResult ConnectAs(Identity identity, int socket, ReadOnlySpan<byte> address)
    {
        fixed (byte* pointer = address)
        {
            return Kernel.CallAs(identity, Sysno.connect, socket, (nint)pointer, address.Length, 0);
        }
    }

    /// <summary>socketpair(2) as another process: both ends see it (SO_PEERCRED).</summary>
    /// <inheritdoc cref="Kernel.CallAs"/>
    public static SysResult SocketPairAs(Identity identity, SocketFamily family, SocketType type, out int first, out int second)
    {
        int* pair = stackalloc int[2];
        pair[0] = pair[1] = -1;
        SysResult result = Kernel.CallAs(identity, Sysno.socketpair, (nint)family, (nint)type, 0, (nint)pair);
        first = pair[0];
        second = pair[1];
        return result;
    }

    /// <summary>getsockname(2); the length may be more than there was room for.</summary>
    public static SysResult GetSockName(int socket, Span<byte> address, out int length)
    {
        int size = address.Length;
        fixed (byte* pointer = address)
        {
            SysResult result = Kernel.Call(Sysno.getsockname, socket, (nint)pointer, (nint)(&size));
            length = size;
            return result;
        }
    }

    /// <summary>getpeername(2); the length may be more than there was room for.</summary>
    public static SysResult GetPeerName(int socket, Span<byte> address, out int length)
    {
        int size = address.Length;
        fixed (byte* pointer = address)
        {
            SysResult result = Kernel.Call(Sysno.getpeername, socket, (nint)pointer, (nint)(&size));
            length = size;
            return result;
        }
    }

    /// <summary>getsockopt(2) of any value; gives its length.</summary>
    public static SysResult GetSocketOption(int socket, int level, int option, Span<byte> value, out int length)
    {
        int size = value.Length;
        fixed (byte* pointer = value)
        {
            SysResult result = Kernel.Call(Sysno.getsockopt, socket, level, option, (nint)pointer, (nint)(&size));
            length = size;
            return result;
        }
    }

    /// <summary>getsockopt(2) of a structure.</summary>
    public static SysResult GetSocketOption<T>(int socket, int level, int option, out T value)
        where T : unmanaged
    {
        int size = sizeof(T);
        fixed (T* pointer = &value)
        {
            *pointer = default;
            return Kernel.Call(Sysno.getsockopt, socket, level, option, (nint)pointer, (nint)(&size));
        }
    }

    /// <summary>setsockopt(2) of any value.</summary>
    public static SysResult SetSocketOption(int socket, int level, int option, ReadOnlySpan<byte> value)
    {
        fixed (byte* pointer = value)
        {
            return Kernel.Call(Sysno.setsockopt, socket, level, option, (nint)pointer, value.Length);
        }
    }

    /// <summary>recvfrom(2); the length of the sender's address may be more than there was room for.</summary>
    public static SysResult ReceiveFrom(int socket, Span<byte> data, MessageFlags flags, Span<byte> address, out int addressLength)
    {
        int size = address.Length;
        fixed (byte* pointer = data)
        fixed (byte* from = address)
        {
            SysResult result = Kernel.Call(
                Sysno.recvfrom, socket, (nint)pointer, data.Length, (nint)flags, (nint)from, from == null ? 0 : (nint)(&size));
            addressLength = size;
            return result;
        }
    }

    /// <summary>sendto(2); an empty address is none.</summary>
    public static SysResult SendTo(int socket, ReadOnlySpan<byte> data, MessageFlags flags, ReadOnlySpan<byte> address)
    {
        fixed (byte* pointer = data)
        fixed (byte* to = address)
        {
            return Kernel.Call(Sysno.sendto, socket, (nint)pointer, data.Length, (nint)flags, (nint)to, address.Length);
        }
    }

    /// <summary>sendmsg(2); empty control and address are none.</summary>
    public static SysResult SendMessage(
        int socket, ReadOnlySpan<byte> data, ReadOnlySpan<byte> control, ReadOnlySpan<byte> address, MessageFlags flags)
    {
        fixed (byte* pointer = data)
        fixed (byte* controlPointer = control)
        fixed (byte* to = address)
        {
            Iovec vector = new() { iov_base = (nint)pointer, iov_len = data.Length };
            Msghdr message = new()
            {
                msg_name = (nint)to,
                msg_namelen = address.Length,
                msg_iov = (nint)(&vector),
                msg_iovlen = 1,
                msg_control = (nint)controlPointer,
                msg_controllen = control.Length,
            };
            return Kernel.Call(Sysno.sendmsg, socket, (nint)(&message), (nint)flags);
        }
    }

    /// <summary>recvmsg(2). Descriptors that come are open then: who receives them closes them.</summary>
    public static SysResult ReceiveMessage(
        int socket, Span<byte> data, Span<byte> control, Span<byte> address, MessageFlags flags, out ReceivedMessage received)
    {
        fixed (byte* pointer = data)
        fixed (byte* controlPointer = control)
        fixed (byte* from = address)
        {
            Iovec vector = new() { iov_base = (nint)pointer, iov_len = data.Length };
            Msghdr message = new()
            {
                msg_name = (nint)from,
                msg_namelen = address.Length,
                msg_iov = (nint)(&vector),
                msg_iovlen = 1,
                msg_control = (nint)controlPointer,
                msg_controllen = control.Length,
            };
            SysResult result = Kernel.Call(Sysno.recvmsg, socket, (nint)(&message), (nint)flags);
            received = result.IsError ? default : new ReceivedMessage((int)message.msg_controllen, message.msg_namelen, message.msg_flags);
            return result;
        }
    }

    /// <summary>poll(2); a negative time-out waits for ever.</summary>
    public static SysResult Poll(Span<Pollfd> fds, int timeoutMilliseconds)
    {
        fixed (Pollfd* pointer = fds)
        {
            return Kernel.Call(Sysno.poll, (nint)pointer, fds.Length, timeoutMilliseconds);
        }
    }
}
