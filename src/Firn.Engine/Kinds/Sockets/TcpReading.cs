using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>What was read of one TCP connection.</summary>
/// <param name="State">Its state.</param>
/// <param name="Stream">Numbers, windows and options.</param>
/// <param name="Queues">What was received, then what was sent and not acknowledged, then what was never sent.</param>
/// <param name="Unacknowledged">snd_una.</param>
internal readonly record struct TcpReading(TcpState State, TcpStreamEntry Stream, ReadOnlyMemory<byte> Queues, uint Unacknowledged)
{
    // struct tcp_info (include/uapi/linux/tcp.h).
    private const int TcpInfoSize = 8;
    private const int OptionsOffset = 5;
    private const int ScalesOffset = 6;
    private const int MostTries = 100;

    /// <summary>rcv_nxt.</summary>
    public uint Received => Stream.InqSeq;

    /// <summary>Reads a socket, which is in repair mode for the time of it, and afterwards as before.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static TcpReading Of(in TcpBefore before)
    {
        Fd socket = before.Socket;
        bool isUrgent = InetSocket.Poll(socket).HasFlag(PollEvents.POLLPRI);
        TcpRepair.On(socket);
        try
        {
            if (before.PeekOffset >= 0)
            {
                // Else a look would begin there.
                InetOptions.Set(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_PEEK_OFF, -1);
            }

            // Between two ends that stand still a last segment may be under way from one to the other.
            for (int time = 1; ; time++)
            {
                if (TryRead(socket, isUrgent, out TcpReading reading, out string failure))
                {
                    return reading;
                }

                if (time == MostTries)
                {
                    throw new LinuxException(failure, Errno.EPROTO);
                }

                Thread.Sleep(time < MostTries / 2 ? 0 : 1);
            }
        }
        finally
        {
            foreach ((int level, int option, int value) in before.Options(isUrgent || before.PeekOffset >= 0))
            {
                _ = Sys.SetSocketOption(socket.Number, level, option, value);
            }
        }
    }

    private static bool TryRead(Fd socket, bool isUrgent, out TcpReading reading, out string failure)
    {
        reading = default;
        failure = string.Empty;
        Span<byte> info = stackalloc byte[TcpInfoSize];
        Sys.GetSocketOption(
            socket.Number, SocketLevel.IPPROTO_TCP, TcpOption.TCP_INFO, info, out _).OrThrow($"getsockopt({socket}, TCP_INFO)");
        var state = (TcpState)info[0];
        int unacknowledged = Queued(socket, SocketIoctl.SIOCOUTQ);
        int unsent = Queued(socket, SocketIoctl.SIOCOUTQNSD);
        int mark = isUrgent ? FindMark(socket) : 0;
        int waiting = Queued(socket, SocketIoctl.SIOCINQ);
        TcpRepairWindow window = TcpRepair.Window(socket);
        var stream = new TcpStreamEntry
        {
            OptMask = info[OptionsOffset],
            SndWscale = info[ScalesOffset] & 15u,
            RcvWscale = (uint)info[ScalesOffset] >> 4,
            MssClamp = (uint)TcpRepair.Get(socket, TcpOption.TCP_MAXSEG, "TCP_MAXSEG"),
            SndWl1 = window.snd_wl1,
            SndWnd = window.snd_wnd,
            MaxWindow = window.max_window,
            RcvWnd = window.rcv_wnd,
            RcvWup = window.rcv_wup,
        };
        if ((stream.OptMask & TcpRepair.TCPI_OPT_TIMESTAMPS) != 0)
        {
            stream.Timestamp = (uint)TcpRepair.Get(socket, TcpOption.TCP_TIMESTAMP, "TCP_TIMESTAMP");
        }

        stream.InqSeq = TcpRepair.Sequence(socket, TcpOption.TCP_RECV_QUEUE);
        byte[] queues = new byte[waiting + unacknowledged + 2];
        stream.InqLen = (uint)TcpRepair.Peek(socket, TcpOption.TCP_RECV_QUEUE, queues.AsSpan(0, waiting + 1));
        if (isUrgent)
        {
            // A look ends at the mark; the next goes on behind it (SO_PEEK_OFF).
            stream.Urgent = (uint)mark + 1;
            for (int more = 1; more > 0 && stream.InqLen < waiting; stream.InqLen += (uint)more)
            {
                int done = (int)stream.InqLen;
                more = TcpRepair.Peek(socket, TcpOption.TCP_RECV_QUEUE, queues.AsSpan(done, waiting + 1 - done));
            }
        }

        if (stream.InqLen != waiting)
        {
            failure = $"recv({socket}, MSG_PEEK): {stream.InqLen} bytes of {waiting}";
            return false;
        }

        stream.OutqSeq = TcpRepair.Sequence(socket, TcpOption.TCP_SEND_QUEUE);
        if (state == TcpState.TCP_CLOSE && InetSocket.Poll(socket).HasFlag(PollEvents.POLLERR))
        {
            // Which one it is can't be read without taking it away. One that was never established had no number from its peer.
            stream.PendingError = (uint)(stream.InqSeq == 0 ? Errno.ECONNREFUSED : Errno.ECONNRESET);
        }

        // Of a connection that is over nothing can be sent any more. Of the others, a FIN that waits is no byte of data.
        bool isOver = state == TcpState.TCP_CLOSE;
        int fin = TcpStates.HasUnacknowledgedFin(state) ? 1 : 0;
        int sent = isOver || state == TcpState.TCP_SYN_SENT ? 0 : Math.Max(unacknowledged - fin, 0);
        stream.OutqLen = (uint)TcpRepair.Peek(socket, TcpOption.TCP_SEND_QUEUE, queues.AsSpan(waiting, sent + 1));
        if (stream.OutqLen != sent)
        {
            failure = $"recv({socket}, MSG_PEEK) of the send queue: {stream.OutqLen} bytes of {sent}";
            return false;
        }

        stream.UnsqLen = (uint)Math.Min(sent, Math.Max(unsent - fin, 0));
        reading = new TcpReading(state, stream, queues.AsMemory(0, waiting + sent), stream.OutqSeq - (uint)unacknowledged);
        return true;
    }

    // Bytes before the mark, which the count ends at unless out-of-band data is part of the stream; from here on it is.
    private static int FindMark(Fd socket)
    {
        InetOptions.Set(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_OOBINLINE, 0);
        int before = Queued(socket, SocketIoctl.SIOCINQ);
        InetOptions.Set(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_OOBINLINE, 1);
        InetOptions.Set(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_PEEK_OFF, 0);
        return before;
    }

    private static int Queued(Fd socket, uint request)
    {
        int bytes = 0;
        Sys.Ioctl(socket.Number, request, ref bytes).OrThrow($"ioctl({socket}, {request:X})");
        return bytes;
    }
}

/// <summary>What the reading of a connection changes, as it was before.</summary>
/// <param name="Socket">The socket.</param>
/// <param name="Reuse">SO_REUSEADDR, which repair mode takes away.</param>
/// <param name="Inline">SO_OOBINLINE.</param>
/// <param name="PeekOffset">SO_PEEK_OFF.</param>
internal readonly record struct TcpBefore(Fd Socket, int Reuse, int Inline, int PeekOffset)
{
    /// <summary>Of a socket as it is.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static TcpBefore Of(Fd socket) => new(
        socket,
        InetOptions.Get(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_REUSEADDR),
        InetOptions.Get(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_OOBINLINE),
        Sys.GetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PEEK_OFF, out int offset).IsError ? -1 : offset);

    /// <summary>The options that make it so again, in their order. Of a socket that is so they change nothing.</summary>
    /// <param name="isLookedInto">Whether also those that are changed only where out-of-band data waits.</param>
    public IEnumerable<(int Level, int Option, int Value)> Options(bool isLookedInto)
    {
        if (isLookedInto)
        {
            yield return (SocketLevel.SOL_SOCKET, SocketOption.SO_OOBINLINE, Inline);
            yield return (SocketLevel.SOL_SOCKET, SocketOption.SO_PEEK_OFF, PeekOffset);
        }

        yield return (SocketLevel.IPPROTO_TCP, TcpOption.TCP_REPAIR, TcpOption.TCP_REPAIR_OFF_NO_WP);
        yield return (SocketLevel.SOL_SOCKET, SocketOption.SO_REUSEADDR, Reuse);
    }
}

/// <summary>What the states of a connection say about its two FINs (RFC 9293; net/ipv4/tcp_input.c).</summary>
internal static class TcpStates
{
    /// <summary>Whether the peer's FIN has come.</summary>
    public static bool HasPeersFin(TcpState state)
        => state is TcpState.TCP_CLOSE_WAIT or TcpState.TCP_LAST_ACK or TcpState.TCP_CLOSING or TcpState.TCP_CLOSE;

    /// <summary>Whether the own FIN is in the send queue, sent or not.</summary>
    public static bool HasUnacknowledgedFin(TcpState state)
        => state is TcpState.TCP_FIN_WAIT1 or TcpState.TCP_LAST_ACK or TcpState.TCP_CLOSING;

    /// <summary>Whether the own FIN has been acknowledged.</summary>
    public static bool HasAcknowledgedFin(TcpState state) => state is TcpState.TCP_FIN_WAIT2 or TcpState.TCP_CLOSE;
}
