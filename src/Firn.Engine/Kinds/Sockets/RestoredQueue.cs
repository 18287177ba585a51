using System.Buffers.Binary;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Google.Protobuf.Collections;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>The connections that no one had accepted at one listener: the restore half. <see cref="AcceptQueues"/> is the other.</summary>
/// <remarks>
/// No call puts a connection into a listener's queue but a handshake does. So each is asked for anew, by packets of Firn's that bear its
/// client's name and pass the lock, while no answer comes out. The sequence number that the kernel answers with is a secret of its own,
/// except where the same connection has just been closed: in TIME_WAIT it takes 65,537 more than the last (net/ipv4/tcp_minisocks.c,
/// tcp_timewait_state_process). That closed one is made first, in repair mode, and brought to its end. What was received then follows.
/// </remarks>
internal sealed class RestoredQueue : IDisposable
{
    private readonly InetSkEntry message;
    private readonly List<RestoredWaiting> waiting;
    private readonly SockDiag diag;

    private RestoredQueue(InetSkEntry message, List<RestoredWaiting> waiting, SockDiag diag)
    {
        this.message = message;
        this.waiting = waiting;
        this.diag = diag;
    }

    /// <summary>The ends of all connections that wait at a listener.</summary>
    public static IEnumerable<ConnectionEnds> EndsOf(RestoreContext context, InetSkEntry listener)
        => Entries(context, listener).Select(entry => EndsOf(listener, entry));

    /// <summary>The ends of those that were reset before: no dump has known of them, and so held them back.</summary>
    public static IEnumerable<ConnectionEnds> ResetOf(RestoreContext context, InetSkEntry listener)
        => Entries(context, listener).Where(entry => (TcpState)entry.State == TcpState.TCP_CLOSE).Select(entry => EndsOf(listener, entry));

    /// <summary>Makes what has to be there beforehand. The thread is in the listener's namespace, which is locked.</summary>
    /// <returns>Null if nothing waited.</returns>
    /// <exception cref="CheckpointException">It can't be made.</exception>
    public static RestoredQueue? Prepare(RestoreContext context, InetSkEntry listener)
    {
        RepeatedField<WaitingConnectionEntry> entries = Entries(context, listener);
        if (entries.Count == 0)
        {
            return null;
        }

        var queue = new RestoredQueue(listener, [], SockDiag.Open());
        try
        {
            string boot = AcceptQueues.Boot;
            RawSockets sockets = context.Files.State.Get<RawSockets>();
            foreach (WaitingConnectionEntry entry in entries)
            {
                ConnectionEnds ends = EndsOf(listener, entry);
                if (entry.Boot != boot && (entry.OptMask & TcpRepair.TCPI_OPT_TIMESTAMPS) != 0)
                {
                    context.Log.LogWarning(
                        "file {File}: the machine was booted since; a connection that waits to be accepted goes on without timestamps",
                        listener.Id);
                    entry.OptMask &= ~(uint)TcpRepair.TCPI_OPT_TIMESTAMPS;
                }

                queue.waiting.Add(new RestoredWaiting(entry, ends, sockets.Of(listener.NsId, ends.IsInet4)));
                queue.waiting[^1].Prepare(listener.Id);
            }

            return queue;
        }
        catch
        {
            queue.Dispose();
            throw;
        }
    }

    /// <summary>Puts all of them into the queue, in their order.</summary>
    /// <param name="listener">The listener.</param>
    /// <exception cref="CheckpointException">One can't be put there.</exception>
    public void PutBack(Fd listener)
    {
        // A listener that waits for data before it lets a connection through would let none through that never had any.
        int deferred = InetOptions.Get(listener, SocketLevel.IPPROTO_TCP, TcpOption.TCP_DEFER_ACCEPT);
        InetOptions.Set(listener, SocketLevel.IPPROTO_TCP, TcpOption.TCP_DEFER_ACCEPT, 0);
        foreach (RestoredWaiting connection in waiting)
        {
            connection.PutBack(diag, message, listener);
        }

        if (deferred != 0)
        {
            InetOptions.Set(listener, SocketLevel.IPPROTO_TCP, TcpOption.TCP_DEFER_ACCEPT, deferred);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        waiting.ForEach(connection => connection.Dispose());
        diag.Dispose();
    }

    private static RepeatedField<WaitingConnectionEntry> Entries(RestoreContext context, InetSkEntry listener)
        => listener.HasQueue && context.Images.Entries(ImageKind.TcpStream, listener.Ino) is [{ Message: var message }]
            ? ((TcpStreamEntry)message).Waiting
            : [];

    private static ConnectionEnds EndsOf(InetSkEntry listener, WaitingConnectionEntry entry)
    {
        byte[] own = InetAddress.Of(entry.OwnAddr, 0, 0).Bytes;
        byte[] peer = InetAddress.Of(entry.PeerAddr, 0, 0).Bytes;
        if (own.Length != peer.Length || own.Length is not (4 or 16))
        {
            throw new ImageFormatException(
                ImageKind.TcpStream.FileName(listener.Ino), -1, "waiting-address",
                "holds a connection without two addresses of one family; the file is damaged: dump again");
        }

        return ConnectionEnds.OfPackets(own, (ushort)listener.SrcPort, peer, (ushort)entry.PeerPort);
    }
}

/// <summary>One connection that is put back into its listener's queue.</summary>
/// <param name="entry">The connection.</param>
/// <param name="ends">Its ends, as the listener sees them.</param>
/// <param name="raw">The socket for what its peer would send.</param>
internal sealed class RestoredWaiting(WaitingConnectionEntry entry, ConnectionEnds ends, Fd raw) : IDisposable
{
    // TCP_TIMEWAIT: what a new connection's first number is beyond the last one of the old (net/ipv4/tcp_minisocks.c).
    private const uint Beyond = 65537;
    private const uint Before = 1000;
    private const int MostTries = 100;

    // Below 32 KiB with all that the kernel keeps beside it.
    private const int LargestSegment = 32_300;

    private readonly TcpState state = (TcpState)entry.State;
    private Fd? closed;

    // The first number of either side: its SYN has it.
    private uint First => entry.OutqSeq - 1;

    private uint PeersFirst => entry.InqSeq - (uint)entry.Received.Length - (HasFin ? 1u : 0) - 1;

    private bool HasFin => state == TcpState.TCP_CLOSE_WAIT;

    private bool HasTimestamps => (entry.OptMask & TcpRepair.TCPI_OPT_TIMESTAMPS) != 0;

    /// <summary>Makes the connection that is going to be in TIME_WAIT.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Prepare(uint file)
    {
        SocketFamily family = ends.IsInet4 ? SocketFamily.AF_INET : SocketFamily.AF_INET6;
        closed = new Fd(Sys.Socket(family, SocketType.SOCK_STREAM | SocketType.SOCK_CLOEXEC).OrThrow($"socket({family})").Int32);
        TcpRepair.On(closed);
        var own = new InetAddress(ends.Source, ends.SourcePort, 0);
        var peer = new InetAddress(ends.Destination, ends.DestinationPort, 0);
        Sys.Bind(closed.Number, own.ToSockaddr()).OrThrow($"bind({own}) of a connection that waits at file {file}");
        uint received = PeersFirst - Before;
        TcpRepair.SetSequence(closed, TcpOption.TCP_RECV_QUEUE, received);
        TcpRepair.SetSequence(closed, TcpOption.TCP_SEND_QUEUE, First - Beyond - 1);
        Sys.Connect(closed.Number, peer.ToSockaddr()).OrThrow($"connect({peer}) of a connection that waits at file {file}");
        var window = new TcpRepairWindow
        {
            snd_wl1 = received,
            snd_wnd = 0xFFFF,
            max_window = 0xFFFF,
            rcv_wnd = 0xFFFF,
            rcv_wup = received,
        };
        TcpRepair.SetWindow(closed, window);
    }

    /// <summary>Puts it at the end of its listener's queue.</summary>
    /// <param name="diag">Where it is looked for.</param>
    /// <param name="message">The listener's message.</param>
    /// <param name="listener">The listener.</param>
    /// <exception cref="CheckpointException">It doesn't come there.</exception>
    public void PutBack(SockDiag diag, InetSkEntry message, Fd listener)
    {
        uint file = message.Id;
        TcpRepair.Choose(closed!, TcpOption.TCP_SEND_QUEUE);
        Sys.Shutdown(closed!.Number, ShutdownHow.SHUT_WR).OrThrow($"shutdown({closed})");
        Until(file, () => InetSocket.TcpInfo(closed).State == TcpState.TCP_CLOSE, () =>
        {
            Segment(TcpFlags.Ack, PeersFirst - Before, First - Beyond).Send(raw);
            Segment(TcpFlags.Fin | TcpFlags.Ack, PeersFirst - Before, First - Beyond).Send(raw);
        });
        Dispose();
        Until(file, () => IsThere(diag), () =>
        {
            ForgedSegment first = Segment(TcpFlags.Syn, PeersFirst, 0);
            (first with { Options = Agreement(), Window = (ushort)Math.Min(entry.SndWnd, 0xFFFF) }).Send(raw);
            ComeToBe(message, listener);
            int length = entry.Received.Length;
            for (int done = 0; done < length; done += LargestSegment)
            {
                Established(TcpFlags.Ack, done, Math.Min(LargestSegment, length - done)).Send(raw);
            }

            if (HasFin)
            {
                Established(TcpFlags.Fin | TcpFlags.Ack, length, 0).Send(raw);
            }
        });
        if (state == TcpState.TCP_CLOSE)
        {
            Established(TcpFlags.Rst | TcpFlags.Ack, entry.Received.Length, 0).Send(raw);
        }
    }

    // What came in few large segments may take more room in small ones: the connection inherits it from its listener. Windows were
    // agreed on before.
    private void ComeToBe(InetSkEntry message, Fd listener)
    {
        bool needsRoom = entry.Received.Length > LargestSegment && message.Proto == SocketLevel.IPPROTO_TCP;
        if (needsRoom)
        {
            SocketOptions.GrowReceiveBuffer(listener, Math.Min(int.MaxValue / 4, (entry.Received.Length * 2) + (1 << 18)));
            Sys.SetSocketOption(listener.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_BUF_LOCK, (int)message.Opts.SoBufLock)
                .OrThrow($"setsockopt({listener}, SO_BUF_LOCK)");
        }

        Established(TcpFlags.Ack, 0, 0).Send(raw);
        if (needsRoom)
        {
            SocketOptions.WriteBuffers(listener, message.Opts);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        closed?.Dispose();
        closed = null;
    }

    private bool IsThere(SockDiag diag)
    {
        if (diag.FindTcp(ends) is not { State: TcpState.TCP_ESTABLISHED or TcpState.TCP_CLOSE_WAIT } found
            || (found.State == TcpState.TCP_CLOSE_WAIT) != HasFin)
        {
            return false;
        }

        bool isScaled = (entry.OptMask & TcpRepair.TCPI_OPT_WSCALE) != 0;
        if ((isScaled && found.WindowScales >> 4 != entry.RcvWscale) || ((found.TcpOptions ^ entry.OptMask) & Agreed) != 0)
        {
            throw new CheckpointException(
                $"the connection from {Peer}, which no one had accepted, can't go on here: this kernel would agree on other options of TCP "
                    + "(net.ipv4.tcp_rmem, tcp_timestamps, tcp_sack, tcp_window_scaling); set them as they were");
        }

        return found.ReceiveQueue == entry.Received.Length + (HasFin ? 1 : 0);
    }

    private const uint Agreed = TcpRepair.TCPI_OPT_TIMESTAMPS | TcpRepair.TCPI_OPT_SACK | TcpRepair.TCPI_OPT_WSCALE;

    private InetAddress Peer => new(ends.Destination, ends.DestinationPort, 0);

    // What comes over the loopback is there at once, as a rule. What is sent once more the kernel takes for a repetition.
    private void Until(uint file, Func<bool> isDone, Action act)
    {
        for (int time = 0; time < MostTries; time++)
        {
            act();
            if (isDone())
            {
                return;
            }

            Thread.Sleep(1);
        }

        throw new CheckpointException(
            $"file {file}: the connection from {Peer}, which no one had accepted, can't be put back into the queue of its listener; is "
                + "the loopback up, or does a packet filter drop what comes from there?");
    }

    private ForgedSegment Segment(TcpFlags flags, uint sequence, uint acknowledgement)
        => new(ends.Mirrored, flags, sequence, acknowledgement, (ushort)Math.Min(0xFFFF, entry.SndWnd >> (int)(entry.SndWscale & 15)));

    // The peer's clock isn't known. With 0 the kernel takes whatever comes from it next (tcp_paws_check).
    private ForgedSegment Established(TcpFlags flags, int from, int length)
        => Segment(flags, PeersFirst + 1 + (uint)from, First + 1) with
        {
            Options = HasTimestamps ? new byte[] { 1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0 } : default(ReadOnlyMemory<byte>),
            Data = entry.Received.Memory.Slice(from, length),
        };

    // Options of a SYN (RFC 9293, RFC 7323, RFC 2018), each filled up to whole words.
    private byte[] Agreement()
    {
        List<byte> options = [2, 4, 0, 0];
        if (HasTimestamps)
        {
            options.AddRange([1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0]);
        }

        if ((entry.OptMask & TcpRepair.TCPI_OPT_SACK) != 0)
        {
            options.AddRange([1, 1, 4, 2]);
        }

        if ((entry.OptMask & TcpRepair.TCPI_OPT_WSCALE) != 0)
        {
            options.AddRange([1, 3, 3, (byte)entry.SndWscale]);
        }

        byte[] bytes = [.. options];
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(2), (ushort)entry.MssClamp);
        return bytes;
    }
}
