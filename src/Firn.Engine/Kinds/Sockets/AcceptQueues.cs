using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Google.Protobuf;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>
/// TCP connections that no one has accepted yet, of clients outside of the tree or with data: the dump half. In the image they are with
/// their listener. <see cref="RestoredQueue"/> is the other half.
/// </summary>
/// <remarks>
/// Only accept(2) shows them, and there is no way back from it. So it is done when the tree is killed, through the listener that Firn has
/// taken, with the network locked; where the tree runs on it can't be done. Up to then nothing is touched, and should Firn be killed in
/// between, the set is one whose clients find these connections reset, as they would have found them without a dump.
/// </remarks>
internal sealed class AcceptQueues
{
    private readonly List<OpenFile> listeners = [];
    private readonly Dictionary<OpenFile, HashSet<string>> held = [];

    /// <summary>The boot of the machine: the kernel's timestamps of TCP go on from one to the next only within it.</summary>
    public static string Boot => Sys.ReadText("/proc/sys/kernel/random/boot_id").TrimEnd();

    /// <summary>Why the connections that wait at a listener can't be saved in this dump; null if they can.</summary>
    public static string? WhyNot(DumpContext context, OpenFile listener)
        => !context.Options.TcpEstablished ? "they are saved with --tcp-established only"
        : context.Options.LeaveRunning || context.Options.LeaveStopped
            ? "they can be read only by taking them away, which is done where the tree is killed by the dump, and not with --leave-running"
        : context.Options.NetworkLock == NetworkLock.Skip ? "they can't be saved with --network-lock skip"
        : InetOptions.Get(listener.Taken, SocketLevel.SOL_SOCKET, SocketOption.SO_BINDTOIFINDEX) != 0
            ? "they can't be put back where the listener is bound to a network device"
        : context.Files.State.Get<TcpKeys>().Of(context, listener).Count > 0
            ? "they can't be put back where segments are signed (TCP_MD5SIG)"
        : null;

    /// <summary>Takes note of a listener whose connections are to be saved, if there are any by then.</summary>
    public void Add(OpenFile listener) => listeners.Add(listener);

    /// <summary>The connections that wait now. Before the network is locked.</summary>
    public IEnumerable<(DumpedNamespace Network, ConnectionEnds Ends)> Find(DumpContext context)
    {
        List<(DumpedNamespace Network, ConnectionEnds Ends)> found = [];
        IEnumerable<OpenFile> busy = listeners.Where(listener => InetSocket.TcpInfo(listener.Taken).Pending > 0);
        foreach (IGrouping<DumpedNamespace, OpenFile> group in busy.GroupBy(listener => SocketTables.NetworkOf(context, listener)))
        {
            using NamespaceVisit? visit = group.Key.IsNested ? group.Key.Visit() : null;
            using var diag = SockDiag.Open();
            InetSockets sockets = diag.ReadInet();
            foreach (OpenFile listener in group)
            {
                ushort port = InetAddress.OfSocket(listener.Taken, SocketTables.FamilyOf(listener)).Port;
                List<ConnectionEnds> waiting = [.. sockets.WithoutInode
                    .Where(socket => socket.SourcePort == port
                        && socket.State is TcpState.TCP_ESTABLISHED or TcpState.TCP_CLOSE_WAIT or TcpState.TCP_SYN_RECV)
                    .Select(socket => ConnectionEnds.OfPackets(
                        socket.SourceAddress, socket.SourcePort, socket.DestinationAddress, socket.DestinationPort))];
                held.Add(listener, [.. waiting.Select(ends => TcpConnections.Key(ends))]);
                found.AddRange(waiting.Select(ends => (group.Key, ends)));
            }
        }

        return found;
    }

    /// <summary>Sees to it that what waits at a listener is read when the tree is killed.</summary>
    /// <returns>Whether anything waits.</returns>
    public bool Dump(DumpContext context, OpenFile listener)
    {
        if (!listeners.Contains(listener))
        {
            return false;
        }

        context.Files.State.Get<TcpConnections>().Prepare(context);
        if (!held.ContainsKey(listener))
        {
            return false;
        }

        context.AfterKill.Add(() => Take(context, listener));
        return true;
    }

    private void Take(DumpContext context, OpenFile listener)
    {
        var stream = new TcpStreamEntry { InqLen = 0, InqSeq = 0, OutqLen = 0, OutqSeq = 0, OptMask = 0, SndWscale = 0, MssClamp = 0 };
        SocketFamily family = SocketTables.FamilyOf(listener);
        string boot = Boot;
        Sys.Fcntl(listener.Taken.Number, FcntlCommand.F_SETFL, (int)(listener.Flags | OpenFlags.O_NONBLOCK)).OrThrow("fcntl(F_SETFL)");
        while (true)
        {
            SysResult accepted = Sys.Accept(listener.Taken.Number, SocketType.SOCK_CLOEXEC | SocketType.SOCK_NONBLOCK);
            if (accepted.Errno is Errno.EINTR or Errno.ECONNABORTED)
            {
                continue;
            }

            if (accepted.Errno == Errno.EAGAIN)
            {
                break;
            }

            using var socket = new Fd(accepted.OrThrow($"accept({listener.Taken})").Int32);
            InetAddress own = InetAddress.OfSocket(socket, family);
            InetAddress peer = InetAddress.OfPeer(socket, family);
            var ends = ConnectionEnds.OfPackets(own.Bytes, own.Port, peer.Bytes, peer.Port);
            TcpReading reading = TcpReading.Of(TcpBefore.Of(socket));
            if (!held[listener].Contains(TcpConnections.Key(ends)) && reading.State != TcpState.TCP_CLOSE && IsShared(context, listener))
            {
                context.Log.LogWarning("a connection from {Peer} came while the tree was being dumped, and is reset", peer);
                continue;
            }

            TcpRepair.On(socket);
            stream.Waiting.Add(ToEntry(reading, own, peer, boot));
        }

        context.Images.Add(ImageKind.TcpStream, (uint)listener.Stat.st_ino, stream);
    }

    // There only known connections are held back; in any other namespace all are.
    private static bool IsShared(DumpContext context, OpenFile listener) => SocketTables.NetworkOf(context, listener).IsFirns;

    private static WaitingConnectionEntry ToEntry(in TcpReading reading, InetAddress own, InetAddress peer, string boot)
    {
        TcpStreamEntry stream = reading.Stream;
        var entry = new WaitingConnectionEntry
        {
            State = (uint)reading.State,
            PeerPort = peer.Port,
            InqSeq = stream.InqSeq,
            OutqSeq = stream.OutqSeq,
            OptMask = stream.OptMask,
            SndWscale = stream.SndWscale,
            RcvWscale = stream.RcvWscale,
            MssClamp = stream.MssClamp,
            SndWnd = stream.SndWnd,
            Received = ByteString.CopyFrom(reading.Queues.Span[..(int)stream.InqLen]),
            Boot = boot,
        };
        entry.OwnAddr.Add(own.Words());
        entry.PeerAddr.Add(peer.Words());
        return entry;
    }
}
