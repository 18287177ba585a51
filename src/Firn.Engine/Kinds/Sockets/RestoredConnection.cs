using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>One connection under restore.</summary>
/// <param name="message">The socket.</param>
/// <param name="stream">The state of its queues.</param>
/// <param name="queues">What is in them.</param>
/// <param name="socket">Its descriptor.</param>
/// <param name="scope">The interface of link-local addresses.</param>
/// <param name="place">Its place among those that wait to be accepted (<see cref="WaitingConnections"/>); 0 if it doesn't.</param>
internal sealed class RestoredConnection(
    InetSkEntry message, TcpStreamEntry stream, ReadOnlyMemory<byte> queues, Fd socket, uint scope, int place)
{
    // What a connection that is over had at its other end doesn't matter any more: tried when that one exists again.
    private const int MostPorts = 20;

    // One that waits to be accepted asks anew.
    private readonly TcpState state = place > 0 ? TcpState.TCP_SYN_SENT : (TcpState)message.State;
    private ushort peerPort = (ushort)message.DstPort;

    /// <summary>Its file.</summary>
    public uint Id => message.Id;

    /// <inheritdoc cref="RestoredConnection" path="/param[@name='place']"/>
    public int Place => place;

    /// <summary>Its descriptor.</summary>
    public Fd Socket { get; set; } = socket;

    /// <summary>The id of its network namespace.</summary>
    public uint Network => message.NsId;

    /// <summary>Its two ends, as packets have them.</summary>
    public ConnectionEnds Ends { get; private set; } = EndsOf(message);

    /// <summary>Whether it never came to be, and the program has to learn that.</summary>
    public bool WasRefused => IsOver && (Errno)stream.PendingError == Errno.ECONNREFUSED;

    /// <summary>Whether it has ended, and only what came last can still be read.</summary>
    public bool IsOver => state == TcpState.TCP_CLOSE;

    /// <summary>Whether a segment of its peer has to be put in.</summary>
    public bool NeedsForging => TcpStates.HasPeersFin(state);

    // Without FINs, which are put in later.
    private uint Received => stream.InqSeq - (TcpStates.HasPeersFin(state) ? 1u : 0);

    private uint Written => stream.OutqSeq - (TcpStates.HasUnacknowledgedFin(state) || TcpStates.HasAcknowledgedFin(state) ? 1u : 0);

    /// <summary>Whether out-of-band data waits to be read.</summary>
    public bool HasUrgent => stream.Urgent > 0 && stream.Urgent <= stream.InqLen;

    private ReadOnlySpan<byte> ReceiveQueue => queues.Span[..(int)stream.InqLen];

    private ReadOnlySpan<byte> Unacknowledged => queues.Span.Slice((int)stream.InqLen, (int)(stream.OutqLen - Unsent));

    private uint Unsent => stream.HasUnsqLen ? Math.Min(stream.UnsqLen, stream.OutqLen) : 0;

    private ReadOnlySpan<byte> NeverSent => queues.Span[(int)(stream.InqLen + stream.OutqLen - Unsent)..];

    /// <summary>The two ends of a socket.</summary>
    public static ConnectionEnds EndsOf(InetSkEntry message) => ConnectionEnds.OfPackets(
        InetAddress.Of(message.SrcAddr, 0, 0).Bytes, (ushort)message.SrcPort, InetAddress.Of(message.DstAddr, 0, 0).Bytes,
        (ushort)message.DstPort);

    /// <summary>Makes it established, with what was received and what was sent; or ready to ask again for a connection.</summary>
    /// <param name="raw">The socket for what the peer would send; null unless out-of-band data waits.</param>
    public void Connect(Fd? raw)
    {
        if (state == TcpState.TCP_SYN_SENT)
        {
            // The SYN takes a number, which connect counts again.
            TcpRepair.SetSequence(Socket, TcpOption.TCP_SEND_QUEUE, stream.OutqSeq - 1);
            return;
        }

        TcpRepair.SetSequence(Socket, TcpOption.TCP_RECV_QUEUE, Received - stream.InqLen);
        TcpRepair.SetSequence(Socket, TcpOption.TCP_SEND_QUEUE, Written - stream.OutqLen);
        ConnectTo("connect");
        SetAgreement();
        if (stream.HasTimestamp)
        {
            TcpRepair.Set(Socket, TcpOption.TCP_TIMESTAMP, (int)stream.Timestamp, "TCP_TIMESTAMP");
        }

        FillQueues(raw);
        SetWindow();
    }

    /// <summary>Brings one that is over to its end, with nothing said to anybody.</summary>
    /// <param name="raw">The socket for what the peer would send.</param>
    public void End(Fd raw)
    {
        // What a stranger answers to the acknowledgement of a FIN must not get in: only what is marked does.
        Sys.AttachSocketFilter(Socket.Number, MarkedOnly).OrThrow($"setsockopt({Socket}, SO_ATTACH_FILTER)");
        if (stream.PendingError != 0)
        {
            Forged(TcpFlags.Rst | TcpFlags.Ack, Received, Written).Send(raw);
        }
        else
        {
            Forged(TcpFlags.Fin | TcpFlags.Ack, Received, Written).Send(raw);
            TcpRepair.Choose(Socket, TcpOption.TCP_SEND_QUEUE);
            Sys.Shutdown(Socket.Number, ShutdownHow.SHUT_WR).OrThrow($"shutdown({Socket})");
            Forged(TcpFlags.Ack, Received + 1, Written + 1).Send(raw);
        }

        Sys.SetSocketOption(Socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_DETACH_FILTER, 0)
            .OrThrow($"setsockopt({Socket}, SO_DETACH_FILTER)");
    }

    /// <summary>Asks a port of its own address where no one listens, and is refused.</summary>
    public void BeRefused()
    {
        TcpRepair.Off(Socket, probes: false);
        FileOwner.RestoreFlags(Socket, message.Flags | (uint)OpenFlags.O_NONBLOCK);
        InetAddress self = InetAddress.OfSocket(Socket, (SocketFamily)message.Family);
        for (ushort port = 1; port <= MostPorts && !InetSocket.Poll(Socket).HasFlag(PollEvents.POLLERR); port++)
        {
            _ = Sys.Connect(Socket.Number, (self with { Port = port }).ToSockaddr());
        }
    }

    /// <summary>Leaves repair mode: the peer is asked what it has got.</summary>
    public void LeaveRepair() => TcpRepair.Off(Socket, probes: true);

    /// <summary>Sends what was never sent, puts FINs in place, and sets what repair mode has changed.</summary>
    /// <param name="raw">The socket for what the peer would send, or null.</param>
    public void Finish(Fd? raw)
    {
        if (state == TcpState.TCP_SYN_SENT)
        {
            FileOwner.RestoreFlags(Socket, message.Flags | (uint)OpenFlags.O_NONBLOCK);
            ConnectTo("connect again");
            FileOwner.RestoreFlags(Socket, message.Flags);
            if (place > 0)
            {
                TcpRepair.Send(Socket, queues.Span[(int)stream.InqLen..]);
            }
        }
        else if (!IsOver)
        {
            if (Unsent > 0)
            {
                SocketOptions.GrowSendBuffer(Socket, Room(stream.OutqLen));
                TcpRepair.Send(Socket, NeverSent);
            }

            // The own FIN first, if it came first; it may be sent twice, which no peer minds.
            bool isLast = state == TcpState.TCP_LAST_ACK;
            if (!isLast && (TcpStates.HasUnacknowledgedFin(state) || TcpStates.HasAcknowledgedFin(state)))
            {
                Sys.Shutdown(Socket.Number, ShutdownHow.SHUT_WR).OrThrow($"shutdown({Socket})");
            }

            if (NeedsForging)
            {
                Forged(TcpFlags.Fin | TcpFlags.Ack, Received, Written - stream.OutqLen).Send(raw!);
                TcpKeys.Write(Socket, message);
            }

            if (isLast)
            {
                Sys.Shutdown(Socket.Number, ShutdownHow.SHUT_WR).OrThrow($"shutdown({Socket})");
            }
        }

        SocketOptions.WriteBuffers(Socket, message.Opts);
        InetOptions.Set(Socket, SocketLevel.SOL_SOCKET, SocketOption.SO_REUSEADDR, message.Opts.Reuseaddr ? 1 : 0);
    }

    // A filter of classic BPF (linux/filter.h): load the mark of the packet (SKF_AD_MARK), compare; all of it, or nothing.
    private static ReadOnlySpan<ulong> MarkedOnly =>
        [0xFFFF_F014_0000_0020, ((ulong)PacketLock.Mark << 32) | 0x0100_0015, 0xFFFF_FFFF_0000_0006, 6];

    // Each segment takes more of the kernel's memory than its bytes.
    private static int Room(uint bytes) => (int)Math.Min(int.MaxValue / 2, (bytes * 4L) + (1 << 16));

    private void ConnectTo(string what)
    {
        InetAddress peer = InetAddress.Of(message.DstAddr, peerPort, scope);
        SysResult result = Sys.Connect(Socket.Number, peer.ToSockaddr());
        for (int time = 0; IsOver && result.Errno == Errno.EADDRNOTAVAIL && time < MostPorts; time++)
        {
            peerPort = (ushort)Math.Max(1, peerPort + 1);
            result = Sys.Connect(Socket.Number, (peer with { Port = peerPort }).ToSockaddr());
            Ends = Ends with { DestinationPort = peerPort };
        }

        if (result.Errno is Errno.EADDRNOTAVAIL)
        {
            throw new RestoreConflictException(
                $"file {Id}: the connection from port {message.SrcPort} to {peer} exists already; wait until it has ended, or end who "
                    + "holds it");
        }

        if (result.Errno != Errno.EINPROGRESS)
        {
            result.OrThrow($"{what}({Socket}, {peer})");
        }
    }

    private void SetAgreement()
    {
        List<TcpRepairOpt> options = [new() { opt_code = TcpRepair.TCPOPT_MSS, opt_val = stream.MssClamp }];
        if ((stream.OptMask & TcpRepair.TCPI_OPT_WSCALE) != 0)
        {
            options.Add(new() { opt_code = TcpRepair.TCPOPT_WINDOW, opt_val = stream.SndWscale | (stream.RcvWscale << 16) });
        }

        if ((stream.OptMask & TcpRepair.TCPI_OPT_SACK) != 0)
        {
            options.Add(new() { opt_code = TcpRepair.TCPOPT_SACK_PERM });
        }

        if ((stream.OptMask & TcpRepair.TCPI_OPT_TIMESTAMPS) != 0)
        {
            options.Add(new() { opt_code = TcpRepair.TCPOPT_TIMESTAMP });
        }

        TcpRepair.SetAgreement(Socket, CollectionsMarshal.AsSpan(options));
    }

    private void FillQueues(Fd? raw)
    {
        if (stream.InqLen > 0)
        {
            SocketOptions.GrowReceiveBuffer(Socket, Room(stream.InqLen));
            int mark = HasUrgent ? (int)stream.Urgent - 1 : ReceiveQueue.Length;
            TcpRepair.Fill(Socket, TcpOption.TCP_RECV_QUEUE, ReceiveQueue[..mark]);
            if (HasUrgent)
            {
                // Only a segment that says so makes a byte urgent; its pointer is to the byte behind it.
                ForgedSegment urgent = Forged(TcpFlags.Urg | TcpFlags.Ack, Received - stream.InqLen + (uint)mark, Written - stream.OutqLen);
                (urgent with { Urgent = 1, Data = queues.Slice(mark, 1) }).Send(raw!);
                TcpRepair.Fill(Socket, TcpOption.TCP_RECV_QUEUE, ReceiveQueue[(mark + 1)..]);
            }
        }

        if (Unacknowledged.Length > 0)
        {
            SocketOptions.GrowSendBuffer(Socket, Room(stream.OutqLen));
            TcpRepair.Fill(Socket, TcpOption.TCP_SEND_QUEUE, Unacknowledged);
        }
    }

    private void SetWindow()
    {
        if (!stream.HasSndWnd)
        {
            return;
        }

        // A FIN that has come took a byte of the window, and isn't there yet.
        uint fin = TcpStates.HasPeersFin(state) ? 1u : 0;
        TcpRepair.SetWindow(Socket, new TcpRepairWindow
        {
            snd_wl1 = stream.SndWl1,
            snd_wnd = stream.SndWnd,
            max_window = stream.MaxWindow,
            rcv_wnd = stream.RcvWnd + fin,
            rcv_wup = stream.RcvWup - fin,
        });
    }

    private ForgedSegment Forged(TcpFlags flags, uint sequence, uint acknowledgement)
        => new(Ends.Mirrored, flags, sequence, acknowledgement, (ushort)Math.Min(0xFFFF, stream.SndWnd >> (int)(stream.SndWscale & 15)));
}
