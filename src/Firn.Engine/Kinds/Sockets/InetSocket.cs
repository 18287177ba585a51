using System.Buffers.Binary;
using System.Text;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>
/// Sockets of TCP, UDP and UDP-Lite, raw and ping sockets; IPv4 and IPv6. Connections of TCP are in <see cref="TcpConnections"/>.
/// </summary>
/// <remarks>
/// <para>Kernel: net/ipv4/, net/ipv6/; tcp(7), udp(7), ip(7), ipv6(7).</para>
/// <para>
/// All is asked of the socket itself: sock_diag knows no socket that is neither bound nor connected. Packets that wait in raw and ping
/// sockets are lost with a warning, as with CRIU: only the first could be looked at.
/// </para>
/// </remarks>
internal sealed partial class InetSocket : FileKind
{
    // struct tcp_info (include/uapi/linux/tcp.h): of a listener, tcpi_unacked is the length of the accept queue and tcpi_sacked the
    // backlog.
    private const int TcpInfoSize = 32;
    private const int UnackedOffset = 24;
    private const int SackedOffset = 28;

    // TCP_ULP_NAME_MAX (include/net/tcp.h).
    private const int UpperProtocolSize = 16;

    private const uint FIONREAD = 0x541B;

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Inetsk;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file)
        => SocketTables.IsSocket(file) && SocketTables.FamilyOf(file) is SocketFamily.AF_INET or SocketFamily.AF_INET6;

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        if (!SocketTables.IsInOwnNamespace(context, file))
        {
            return;
        }

        int protocol = SocketTables.Option(file, SocketOption.SO_PROTOCOL);
        switch ((SocketType)SocketTables.Option(file, SocketOption.SO_TYPE))
        {
            case SocketType.SOCK_STREAM when protocol == SocketLevel.IPPROTO_TCP || IsUnconnectedMultipath(file, protocol):
                ExamineTcp(context, file);
                break;
            case SocketType.SOCK_DGRAM when protocol is SocketLevel.IPPROTO_UDP or SocketLevel.IPPROTO_UDPLITE:
                ExamineUnsent(context, file, "UDP socket");
                break;
            case SocketType.SOCK_DGRAM when protocol is SocketLevel.IPPROTO_ICMP or SocketLevel.IPPROTO_ICMPV6:
                break;
            case SocketType.SOCK_RAW:
                ExamineUnsent(context, file, "raw socket");
                break;
            case SocketType.SOCK_STREAM when protocol == SocketLevel.IPPROTO_MPTCP:
                Refuse(
                    context,
                    file,
                    "inet-protocol",
                    "MPTCP connection",
                    "the kernel shows nothing of its state, also where it goes over one path alone",
                    "let the program close it before the dump, or start it without MPTCP (of a Go program: GODEBUG=multipathtcp=0)");
                break;
            case SocketType type:
                Refuse(
                    context,
                    file,
                    "inet-protocol",
                    $"{type} socket of the protocol {protocol}",
                    "this version of Firn doesn't save it",
                    "let the program close it before the dump");
                break;
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        Fd socket = file.Taken;
        SocketFamily family = SocketTables.FamilyOf(file);
        int protocol = SocketTables.Option(file, SocketOption.SO_PROTOCOL);
        bool isTcp = IsTcp(protocol);
        (TcpState state, _, uint backlog) = isTcp ? TcpInfo(socket) : default;
        InetAddress source = InetAddress.OfSocket(socket, family);
        InetAddress peer = InetAddress.OfPeer(socket, family);
        bool isConnection = isTcp && state != TcpState.TCP_LISTEN && peer.Port != 0;
        TcpConnections connections = context.Files.State.Get<TcpConnections>();
        if (connections.Contains(file))
        {
            connections.Dump(context, file);
        }
        else if (!isTcp)
        {
            state = peer.Port != 0 ? TcpState.TCP_ESTABLISHED : TcpState.TCP_CLOSE;
            if (protocol is SocketLevel.IPPROTO_UDP or SocketLevel.IPPROTO_UDPLITE)
            {
                DatagramQueue.Dump(context, file, family);
            }
            else
            {
                WarnOfQueue(context, file);
            }
        }
        else if (state != TcpState.TCP_LISTEN)
        {
            state = TcpState.TCP_CLOSE;
            peer = peer with { Bytes = new byte[peer.Bytes.Length], Port = 0 };
        }

        entry.Isk = new InetSkEntry
        {
            Id = file.Id,
            Ino = (uint)file.Stat.st_ino,
            Family = (uint)family,
            Type = (uint)SocketTables.Option(file, SocketOption.SO_TYPE),
            Proto = (uint)protocol,
            State = (uint)state,
            SrcPort = source.Port,
            DstPort = peer.Port,
            Flags = (uint)file.Flags,
            Backlog = backlog,
            Fown = FileOwner.Dump(context, file),
            Opts = SocketOptions.Read(socket, family),
            IpOpts = InetOptions.ReadIp(socket, family, protocol),
            NsId = SocketTables.NamespaceOf(context, file),
            TcpOpts = isTcp ? InetOptions.ReadTcp(socket) : new TcpOptsEntry(),
        };
        entry.Isk.Pending.Add(context.Files.State.Get<WaitingConnections>().ClientsOf(file));
        if (state == TcpState.TCP_LISTEN && context.Files.State.Get<AcceptQueues>().Dump(context, file))
        {
            entry.Isk.HasQueue = true;
        }

        entry.Isk.SrcAddr.Add(source.Words());
        entry.Isk.DstAddr.Add(peer.Words());
        if (family == SocketFamily.AF_INET6)
        {
            entry.Isk.V6Only = InetOptions.Get(socket, SocketLevel.IPPROTO_IPV6, Ipv6Option.IPV6_V6ONLY) != 0;
        }

        if ((source.ScopeId | peer.ScopeId) is not 0 and uint scope && InterfaceNames.NameOf(socket, scope) is { } name)
        {
            entry.Isk.Ifname = name;
        }

        if ((SocketType)entry.Isk.Type == SocketType.SOCK_RAW)
        {
            entry.Isk.IpOpts.Raw = InetOptions.ReadRaw(socket, family, protocol);
        }

        context.Files.State.Get<MoreOptions>().Read(socket, entry.Isk, isConnection);
        if (protocol == SocketLevel.IPPROTO_TCP)
        {
            context.Files.State.Get<TcpKeys>().Read(context, file, entry.Isk);
        }

        if (!isTcp)
        {
            context.Files.State.Get<GroupMemberships>().Read(socket, entry.Isk);
        }

        if (!isTcp && ShutdownOf(socket) is not SkShutdown.None and SkShutdown shutdown)
        {
            entry.Isk.Shutdown = shutdown;
        }
    }

    /// <summary>Whether a protocol is TCP, over one path or several: those that listen and those that aren't connected are alike.</summary>
    private static bool IsTcp(int protocol) => protocol is SocketLevel.IPPROTO_TCP or SocketLevel.IPPROTO_MPTCP;

    // What such a listener accepts of a client without MPTCP is a socket of plain TCP (net/mptcp/protocol.c, mptcp_stream_accept).
    private static bool IsUnconnectedMultipath(OpenFile file, int protocol)
    {
        Span<byte> info = stackalloc byte[TcpInfoSize];
        return protocol == SocketLevel.IPPROTO_MPTCP
            && !Sys.GetSocketOption(file.Taken.Number, SocketLevel.IPPROTO_TCP, TcpOption.TCP_INFO, info, out _).IsError
            && (TcpState)info[0] is TcpState.TCP_LISTEN or TcpState.TCP_CLOSE or TcpState.TCP_BOUND_INACTIVE
            && InetAddress.OfPeer(file.Taken, SocketTables.FamilyOf(file)).Port == 0;
    }

    private static void ExamineTcp(DumpContext context, OpenFile file)
    {
        (TcpState state, uint pending, _) = TcpInfo(file.Taken);
        SocketFamily family = SocketTables.FamilyOf(file);
        InetAddress source = InetAddress.OfSocket(file.Taken, family);
        if (state == TcpState.TCP_LISTEN)
        {
            if (!context.Options.SkipInFlight)
            {
                ExamineQueue(context, file, source, (int)pending);
            }

            return;
        }

        InetAddress peer = InetAddress.OfPeer(file.Taken, family);
        if (state == TcpState.TCP_CLOSE && peer.Port == 0)
        {
            return;
        }

        string what = state switch
        {
            TcpState.TCP_ESTABLISHED => $"established TCP connection from {source} to {peer}",
            TcpState.TCP_CLOSE => $"TCP connection from {source} to {peer} that is over",
            _ => $"TCP connection from {source} to {peer} in the state {state}",
        };
        if (context.Options.TcpEstablished)
        {
            ExamineConnection(context, file, what);
            context.Files.State.Get<TcpConnections>().Add(context, file, state, source, peer);
        }
        else if (!context.Options.TcpClose && !(context.Options.SkipInFlight && state == TcpState.TCP_SYN_SENT))
        {
            Refuse(
                context, file, "tcp-established", what, "connections are saved on demand only",
                "use --tcp-established at dump and restore, and it goes on; or --tcp-close, and the program finds it closed");
        }
    }

    private static void ExamineQueue(DumpContext context, OpenFile file, InetAddress source, int pending)
    {
        if (pending > 0 && context.Files.State.Get<WaitingConnections>().Examine(context, file, source.Port, pending))
        {
            return;
        }

        AcceptQueues queues = context.Files.State.Get<AcceptQueues>();
        if (AcceptQueues.WhyNot(context, file) is not { } reason)
        {
            queues.Add(file);
        }
        else if (pending > 0)
        {
            Refuse(
                context, file, "tcp-accept-queue", $"TCP listener at {source}",
                $"{pending} connections wait to be accepted, of clients outside of the tree or with data; {reason}",
                "let the program accept them before the dump, keep clients away, or leave them out with --skip-in-flight");
        }
    }

    private static void ExamineConnection(DumpContext context, OpenFile file, string what)
    {
        Span<byte> name = stackalloc byte[UpperProtocolSize];
        if (!Sys.GetSocketOption(file.Taken.Number, SocketLevel.IPPROTO_TCP, TcpOption.TCP_ULP, name, out int length).IsError && length > 0)
        {
            string upper = Encoding.UTF8.GetString(name[..length].TrimEnd((byte)0));
            Refuse(
                context, file, "tcp-upper-protocol", what,
                $"the kernel runs the protocol `{upper}` on it, whose keys and state can't be read",
                "let the program do that itself (for TLS: without kTLS), or use --tcp-close");
        }
    }

    private static void ExamineUnsent(DumpContext context, OpenFile file, string what)
    {
        int unsent = 0;
        Sys.Ioctl(file.Taken.Number, SocketIoctl.SIOCOUTQ, ref unsent).OrThrow($"ioctl(SIOCOUTQ) of pid {file.Owner.Pid} fd {file.Number}");
        if (unsent > 0)
        {
            Refuse(
                context,
                file,
                "udp-corked",
                what,
                "a datagram is being put together (UDP_CORK, MSG_MORE), and can't be read",
                "let the program send it before the dump");
        }
    }

    private static void Refuse(DumpContext context, OpenFile file, string identifier, string what, string reason, string remedy)
        => context.Problems.Add(identifier, file.Owner.Pid, $"fd {file.Number}: {what}", reason, remedy);

    private static void WarnOfQueue(DumpContext context, OpenFile file)
    {
        int waiting = 0;
        if (!Sys.Ioctl(file.Taken.Number, FIONREAD, ref waiting).IsError && (waiting > 0 || Poll(file.Taken).HasFlag(PollEvents.POLLIN)))
        {
            context.Log.LogWarning(
                "pid {Pid} fd {Fd}: packets wait in the queue of a raw or ping socket and are lost", file.Owner.Pid, file.Number);
        }
    }

    /// <summary>The state of a TCP socket; of a listener how many connections wait, and how many may.</summary>
    internal static (TcpState State, uint Pending, uint Backlog) TcpInfo(Fd socket)
    {
        Span<byte> info = stackalloc byte[TcpInfoSize];
        Sys.GetSocketOption(
            socket.Number, SocketLevel.IPPROTO_TCP, TcpOption.TCP_INFO, info, out _).OrThrow($"getsockopt({socket}, TCP_INFO)");
        var state = (TcpState)info[0];
        state = state == TcpState.TCP_BOUND_INACTIVE ? TcpState.TCP_CLOSE : state;
        return state == TcpState.TCP_LISTEN
            ? (
                state,
                BinaryPrimitives.ReadUInt32LittleEndian(info[UnackedOffset..]),
                BinaryPrimitives.ReadUInt32LittleEndian(info[SackedOffset..]))
            : (state, 0, 0);
    }

    /// <summary>What poll(2) says at once; it takes nothing away.</summary>
    internal static PollEvents Poll(Fd socket)
    {
        var poll = new Pollfd { fd = socket.Number, events = PollEvents.POLLIN | PollEvents.POLLPRI | PollEvents.POLLRDHUP };
        Sys.Poll(new Span<Pollfd>(ref poll), 0).OrThrow($"poll({socket})");
        return poll.revents;
    }

    // Of a datagram socket poll(2) tells the receiving side, and both; the sending side alone it doesn't.
    private static SkShutdown ShutdownOf(Fd socket)
    {
        PollEvents events = Poll(socket);
        return events.HasFlag(PollEvents.POLLHUP) ? SkShutdown.Both
            : events.HasFlag(PollEvents.POLLRDHUP) ? SkShutdown.Read
            : SkShutdown.None;
    }
}
