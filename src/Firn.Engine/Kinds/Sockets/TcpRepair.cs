using System.Runtime.InteropServices;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>A TCP socket in repair mode, in which its state can be read and set, and nothing is sent (TCP_REPAIR).</summary>
/// <remarks>
/// Kernel: net/ipv4/tcp.c. It asks for CAP_NET_ADMIN over the socket's network namespace. Meanwhile the application would get EINVAL and
/// EPERM; and each change of the mode loses SO_REUSEADDR.
/// </remarks>
internal static class TcpRepair
{
    /// <summary>The code of an option of the peers' agreement (include/net/tcp.h): largest segment.</summary>
    public const uint TCPOPT_MSS = 2;

    /// <summary>Window scales, ours in the upper half.</summary>
    public const uint TCPOPT_WINDOW = 3;

    /// <summary>Selective acknowledgements.</summary>
    public const uint TCPOPT_SACK_PERM = 4;

    /// <summary>Timestamps.</summary>
    public const uint TCPOPT_TIMESTAMP = 8;

    /// <summary>Bits of tcpi_options (include/uapi/linux/tcp.h).</summary>
    public const int TCPI_OPT_TIMESTAMPS = 1;

    /// <inheritdoc cref="TCPI_OPT_TIMESTAMPS"/>
    public const int TCPI_OPT_SACK = 2;

    /// <inheritdoc cref="TCPI_OPT_TIMESTAMPS"/>
    public const int TCPI_OPT_WSCALE = 4;

    /// <summary>Goes into the mode.</summary>
    public static void On(Fd socket) => Set(socket, TcpOption.TCP_REPAIR, TcpOption.TCP_REPAIR_ON, "TCP_REPAIR, on");

    /// <summary>Leaves the mode.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="probes">Whether the peer is asked at once for what it has got.</param>
    public static void Off(Fd socket, bool probes)
        => Set(socket, TcpOption.TCP_REPAIR, probes ? TcpOption.TCP_REPAIR_OFF : TcpOption.TCP_REPAIR_OFF_NO_WP, "TCP_REPAIR, off");

    /// <summary>Chooses the queue that the next calls are about.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="queue">TCP_*_QUEUE.</param>
    public static void Choose(Fd socket, int queue) => Set(socket, TcpOption.TCP_REPAIR_QUEUE, queue, "TCP_REPAIR_QUEUE");

    /// <summary>The sequence number behind a queue's last byte: of the receive queue rcv_nxt, of the send queue write_seq.</summary>
    public static uint Sequence(Fd socket, int queue)
    {
        Choose(socket, queue);
        return (uint)Get(socket, TcpOption.TCP_QUEUE_SEQ, "TCP_QUEUE_SEQ");
    }

    /// <summary>Sets the sequence number of an empty queue, before the socket is connected.</summary>
    public static void SetSequence(Fd socket, int queue, uint value)
    {
        Choose(socket, queue);
        Set(socket, TcpOption.TCP_QUEUE_SEQ, (int)value, "TCP_QUEUE_SEQ");
    }

    /// <summary>Copies a queue.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="queue">TCP_*_QUEUE.</param>
    /// <param name="room">Room for as many bytes as are in it, and one more.</param>
    /// <returns>How many came.</returns>
    public static int Peek(Fd socket, int queue, Span<byte> room)
    {
        if (room.Length == 1)
        {
            // Nothing to read; a pending error would be taken away.
            return 0;
        }

        Choose(socket, queue);
        return Sys.Receive(socket.Number, room, MessageFlags.MSG_PEEK | MessageFlags.MSG_DONTWAIT)
            .OrThrow($"recv({socket}, MSG_PEEK) of TCP queue {queue}").Int32;
    }

    /// <summary>Fills a queue; in this mode what is written into the send queue counts as sent.</summary>
    public static void Fill(Fd socket, int queue, ReadOnlySpan<byte> data)
    {
        if (data.Length > 0)
        {
            Choose(socket, queue);
            Send(socket, data);
        }
    }

    /// <summary>Writes all of it, without waiting.</summary>
    public static void Send(Fd socket, ReadOnlySpan<byte> data)
    {
        while (data.Length > 0)
        {
            SysResult sent = Sys.Send(socket.Number, data, MessageFlags.MSG_DONTWAIT | MessageFlags.MSG_NOSIGNAL);
            if (sent.Errno != Errno.EINTR)
            {
                data = data[sent.OrThrow($"send({socket}) of {data.Length} bytes").Int32..];
            }
        }
    }

    /// <summary>Sets what both ends have agreed on.</summary>
    public static void SetAgreement(Fd socket, ReadOnlySpan<TcpRepairOpt> options)
        => Sys.SetSocketOption(socket.Number, SocketLevel.IPPROTO_TCP, TcpOption.TCP_REPAIR_OPTIONS, MemoryMarshal.AsBytes(options))
            .OrThrow($"setsockopt({socket}, TCP_REPAIR_OPTIONS)");

    /// <summary>The windows of both sides.</summary>
    public static TcpRepairWindow Window(Fd socket)
    {
        Sys.GetSocketOption(socket.Number, SocketLevel.IPPROTO_TCP, TcpOption.TCP_REPAIR_WINDOW, out TcpRepairWindow window)
            .OrThrow($"getsockopt({socket}, TCP_REPAIR_WINDOW)");
        return window;
    }

    /// <summary>Sets the windows.</summary>
    public static void SetWindow(Fd socket, in TcpRepairWindow window)
        => Sys.SetSocketOption(
            socket.Number,
            SocketLevel.IPPROTO_TCP,
            TcpOption.TCP_REPAIR_WINDOW,
            MemoryMarshal.AsBytes(new ReadOnlySpan<TcpRepairWindow>(in window))).OrThrow($"setsockopt({socket}, TCP_REPAIR_WINDOW)");

    /// <summary>Reads an option of the level of TCP.</summary>
    public static int Get(Fd socket, int option, string name)
    {
        Sys.GetSocketOption(socket.Number, SocketLevel.IPPROTO_TCP, option, out int value).OrThrow($"getsockopt({socket}, {name})");
        return value;
    }

    /// <summary>Sets an option of the level of TCP.</summary>
    public static void Set(Fd socket, int option, int value, string name)
        => Sys.SetSocketOption(socket.Number, SocketLevel.IPPROTO_TCP, option, value).OrThrow($"setsockopt({socket}, {name})");
}
