using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>
/// The TCP connections of the tree: the dump half, for all of them together, since both ends of one may be there.
/// <see cref="RestoredConnections"/> is the other half.
/// </summary>
/// <remarks>
/// <para>
/// The network is locked first, for all that have an end outside of the tree, so that what is read of one socket is of one moment. Then
/// each is in repair mode for the microseconds of reading. Between two ends that both stand still nothing is under way but what timers
/// send, and that is looked for.
/// </para>
/// <para>
/// In the image sequence numbers are as the kernel has them, with FIN counted; lengths are without. In a state after a FIN the restore
/// knows so. That is how CRIU has it (soccr/).
/// </para>
/// </remarks>
internal sealed class TcpConnections
{
    // struct tcp_info (include/uapi/linux/tcp.h).
    private const int TcpInfoSize = 8;
    private const int OptionsOffset = 5;
    private const int ScalesOffset = 6;
    private const int MostReadings = 100;

    private readonly List<Connection> connections = [];
    private readonly Dictionary<OpenFile, Connection> byFile = [];
    private bool isSaved;

    /// <summary>Takes note of a connection that is to be saved; nothing is read yet.</summary>
    public void Add(OpenFile file, TcpState state, InetAddress source, InetAddress peer)
    {
        var connection = new Connection(file, state, ConnectionEnds.OfPackets(source.Bytes, source.Port, peer.Bytes, peer.Port));
        connections.Add(connection);
        byFile.Add(file, connection);
    }

    /// <summary>Whether a socket is one of them.</summary>
    public bool Contains(OpenFile file) => byFile.ContainsKey(file);

    /// <summary>The two ends of a connection as a key; equal for the other end when mirrored.</summary>
    public static string Key(ConnectionEnds ends) => Convert.ToHexString(ends.ToKey());

    /// <summary>Saves a connection: its image goes into the set. All are read when the first is asked for.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Dump(DumpContext context, OpenFile file)
    {
        if (!isSaved)
        {
            isSaved = true;
            ReadAll(context);
        }

        Connection connection = byFile[file];
        context.Images.Add(ImageKind.TcpStream, (uint)file.Stat.st_ino, connection.Stream, connection.Queues);
    }

    private void ReadAll(DumpContext context)
    {
        Dictionary<string, Connection> byEnds = [];
        foreach (Connection connection in connections)
        {
            byEnds.TryAdd(Key(connection.Ends), connection);
        }

        foreach (Connection connection in connections)
        {
            connection.Other = byEnds.GetValueOrDefault(Key(connection.Ends.Mirrored));
        }

        PacketHold network = context.Packets!;
        Lock(context, network);
        connections.ForEach(Read);
        foreach (Connection connection in connections)
        {
            // What one end has no more and the other end hasn't yet was under way: it has arrived by the next look.
            for (int time = 1; connection.Other is { } other && (int)(other.Received - connection.Unacknowledged) < 0; time++)
            {
                if (time == MostReadings)
                {
                    throw new CheckpointException(
                        $"pid {connection.File.Owner.Pid} fd {connection.File.Number}: what it sent does not reach the other end of the "
                            + "connection, which is in the tree, too; try again")
                    { Phase = "dump", Pid = connection.File.Owner.Pid };
                }

                Read(other);
            }
        }

        if (context.Options.LeaveRunning || context.Options.LeaveStopped)
        {
            // The images have their moment; the kernel may go on to receive and acknowledge.
            network.Unlock(context.Log);
        }
        else
        {
            network.EndSilently.AddRange(connections.Select(connection => connection.File.Taken));
        }
    }

    private void Lock(DumpContext context, PacketHold network)
    {
        List<ConnectionEnds> outside = [.. connections
            .Where(connection => connection.Other is null && connection.State != TcpState.TCP_CLOSE)
            .Where(connection => !context.Files.State.Get<WaitingConnections>().Contains(connection.File))
            .Select(connection => connection.Ends)];
        if (outside.Count > 0 && context.Options.NetworkLock != NetworkLock.Skip)
        {
            bool isShared = context.Namespace(CloneFlags.CLONE_NEWNET).IsFirns;
            network.Lock(RestoredConnections.LockName(context.RunId), isShared ? outside : null);
        }
    }

    private static void Read(Connection connection)
    {
        Fd socket = connection.File.Taken;
        int reuse = InetOptions.Get(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_REUSEADDR);
        bool isUrgent = InetSocket.Poll(socket).HasFlag(PollEvents.POLLPRI);
        int inline = isUrgent ? InetOptions.Get(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_OOBINLINE) : 0;
        TcpRepair.On(socket);
        try
        {
            ReadRepaired(connection, socket, isUrgent);
        }
        finally
        {
            if (isUrgent)
            {
                _ = Sys.SetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_OOBINLINE, inline);
                _ = Sys.SetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PEEK_OFF, -1);
            }

            _ = Sys.SetSocketOption(socket.Number, SocketLevel.IPPROTO_TCP, TcpOption.TCP_REPAIR, TcpOption.TCP_REPAIR_OFF_NO_WP);
            _ = Sys.SetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_REUSEADDR, reuse);
        }
    }

    private static void ReadRepaired(Connection connection, Fd socket, bool isUrgent)
    {
        Span<byte> info = stackalloc byte[TcpInfoSize];
        Sys.GetSocketOption(
            socket.Number, SocketLevel.IPPROTO_TCP, TcpOption.TCP_INFO, info, out _).OrThrow($"getsockopt({socket}, TCP_INFO)");
        var state = (TcpState)info[0];
        connection.State = state;
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

        stream.InqSeq = connection.Received = TcpRepair.Sequence(socket, TcpOption.TCP_RECV_QUEUE);
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
            throw new LinuxException($"recv({socket}, MSG_PEEK): {stream.InqLen} bytes of {waiting}", Errno.EPROTO);
        }

        stream.OutqSeq = TcpRepair.Sequence(socket, TcpOption.TCP_SEND_QUEUE);
        connection.Unacknowledged = stream.OutqSeq - (uint)unacknowledged;

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
            throw new LinuxException($"recv({socket}, MSG_PEEK) of the send queue: {stream.OutqLen} bytes of {sent}", Errno.EPROTO);
        }

        stream.UnsqLen = (uint)Math.Min(sent, Math.Max(unsent - fin, 0));
        connection.Stream = stream;
        connection.Queues = queues.AsMemory(0, waiting + sent);
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

    private sealed class Connection(OpenFile file, TcpState state, ConnectionEnds ends)
    {
        public OpenFile File { get; } = file;

        public TcpState State { get; set; } = state;

        public ConnectionEnds Ends { get; } = ends;

        /// <summary>The other end, if it is in the tree.</summary>
        public Connection? Other { get; set; }

        /// <summary>rcv_nxt.</summary>
        public uint Received { get; set; }

        /// <summary>snd_una.</summary>
        public uint Unacknowledged { get; set; }

        public TcpStreamEntry Stream { get; set; } = new();

        public ReadOnlyMemory<byte> Queues { get; set; }
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
