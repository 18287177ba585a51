using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Microsoft.Extensions.Logging;
using SocketAddress = Firn.Linux.SocketAddress;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>TCP sockets that aren't connected, and UDP and UDP-Lite sockets; IPv4 and IPv6.</summary>
/// <remarks>
/// <para>Kernel: net/ipv4/, net/ipv6/; tcp(7), udp(7), ip(7), ipv6(7).</para>
/// <para>
/// All is asked of the socket itself: sock_diag knows no socket that is neither bound nor connected. Datagrams that wait in the queue are
/// lost with a warning, as with CRIU, and as UDP may.
/// </para>
/// </remarks>
internal sealed class InetSocket : FileKind
{
    // struct tcp_info (include/uapi/linux/tcp.h): of a listener, tcpi_unacked is the length of the accept queue and tcpi_sacked the
    // backlog.
    private const int TcpInfoSize = 32;
    private const int UnackedOffset = 24;
    private const int SackedOffset = 28;

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
            case SocketType.SOCK_STREAM when protocol == SocketLevel.IPPROTO_TCP:
                ExamineTcp(context, file);
                break;
            case SocketType.SOCK_DGRAM when protocol is SocketLevel.IPPROTO_UDP or SocketLevel.IPPROTO_UDPLITE:
                ExamineUdp(context, file, protocol);
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
        (TcpState state, _, uint backlog) = protocol == SocketLevel.IPPROTO_TCP ? TcpInfo(socket) : default;
        InetAddress source = InetAddress.Read(family, buffer => (Sys.GetSockName(socket.Number, buffer, out int length), length));
        InetAddress peer = InetAddress.Read(family, buffer => (Sys.GetPeerName(socket.Number, buffer, out int length), length));
        if (protocol != SocketLevel.IPPROTO_TCP)
        {
            state = peer.Port != 0 ? TcpState.TCP_ESTABLISHED : TcpState.TCP_CLOSE;
            WarnOfQueue(context, file);
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
            IpOpts = InetOptions.ReadIp(socket, family),
            NsId = SocketTables.NamespaceOf(context, file),
            TcpOpts = protocol == SocketLevel.IPPROTO_TCP ? InetOptions.ReadTcp(socket) : new TcpOptsEntry(),
        };
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

        if (protocol != SocketLevel.IPPROTO_TCP && ShutdownOf(socket) is not SkShutdown.None and SkShutdown shutdown)
        {
            entry.Isk.Shutdown = shutdown;
        }
    }

    private static void ExamineTcp(DumpContext context, OpenFile file)
    {
        (TcpState state, uint pending, _) = TcpInfo(file.Taken);
        SocketFamily family = SocketTables.FamilyOf(file);
        InetAddress source = InetAddress.Read(family, buffer => (Sys.GetSockName(file.Taken.Number, buffer, out int length), length));
        if (state == TcpState.TCP_LISTEN)
        {
            if (pending > 0)
            {
                Refuse(
                    context, file, "tcp-accept-queue", $"TCP listener at {source}", $"{pending} connections wait to be accepted",
                    "let the program accept them before the dump, or keep clients away");
            }

            return;
        }

        if (state == TcpState.TCP_CLOSE && (Poll(file.Taken) & (PollEvents.POLLRDHUP | PollEvents.POLLERR)) == 0)
        {
            return;
        }

        InetAddress peer = InetAddress.Read(family, buffer => (Sys.GetPeerName(file.Taken.Number, buffer, out int length), length));
        string what = state switch
        {
            TcpState.TCP_ESTABLISHED => $"established TCP connection from {source} to {peer}",
            TcpState.TCP_CLOSE => $"TCP connection of {source} that is over",
            _ => $"TCP connection from {source} to {peer} in the state {state}",
        };
        Refuse(
            context, file, "tcp-established", what, "this version of Firn doesn't save connections",
            "let the program close it before the dump, and connect again after the restore");
    }

    private static void ExamineUdp(DumpContext context, OpenFile file, int protocol)
    {
        int unsent = 0;
        Sys.Ioctl(file.Taken.Number, SocketIoctl.SIOCOUTQ, ref unsent).OrThrow($"ioctl(SIOCOUTQ) of pid {file.Owner.Pid} fd {file.Number}");
        int cork = protocol == SocketLevel.IPPROTO_UDP ? InetOptions.Get(file.Taken, SocketLevel.IPPROTO_UDP, UdpOption.UDP_CORK) : 0;
        if (unsent > 0 || cork != 0)
        {
            Refuse(
                context,
                file,
                "udp-corked",
                "UDP socket",
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
                "pid {Pid} fd {Fd}: datagrams wait in the queue of a UDP socket and are lost", file.Owner.Pid, file.Number);
        }
    }

    private static (TcpState State, uint Pending, uint Backlog) TcpInfo(Fd socket)
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

    private static PollEvents Poll(Fd socket)
    {
        var poll = new Pollfd { fd = socket.Number, events = PollEvents.POLLIN | PollEvents.POLLRDHUP };
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

    // ---- restore

    /// <inheritdoc/>
    /// <remarks>
    /// All sockets of a port must allow reuse while they bind, whatever they say otherwise: what was said is set when all are bound, in
    /// <see cref="Link"/>.
    /// </remarks>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        InetSkEntry message = entry.Isk;
        if (InheritedSocket.Of(context, message.Ino) is { } inherited)
        {
            return inherited;
        }

        if (message.Proto == SocketLevel.IPPROTO_TCP && (TcpState)message.State is not (TcpState.TCP_LISTEN or TcpState.TCP_CLOSE))
        {
            throw new CheckpointException(
                $"file {entry.Id}: a TCP connection in the state {(TcpState)message.State}, which this version of Firn can't restore");
        }

        Fd socket;
        using (BorrowedIdentity.OfHolder(context, entry.Id))
        {
            var type = (SocketType)message.Type;
            socket = new Fd(Sys.Socket((SocketFamily)message.Family, type | SocketType.SOCK_CLOEXEC, (int)message.Proto)
                .OrThrow($"socket({(SocketFamily)message.Family}, {type}, {message.Proto}) of file {entry.Id}").Int32);
        }

        if (message.HasV6Only)
        {
            InetOptions.Set(socket, SocketLevel.IPPROTO_IPV6, Ipv6Option.IPV6_V6ONLY, message.V6Only ? 1 : 0);
        }

        SocketOptions.Write(socket, message.Opts);
        InetOptions.Write(socket, message);
        Bind(socket, message);
        FileOwner.RestoreFlags(socket, message.Flags);
        return socket;
    }

    /// <inheritdoc/>
    public override void Link(RestoreContext context, FileEntry entry, Fd fd)
        => InetOptions.Set(fd, SocketLevel.SOL_SOCKET, SocketOption.SO_REUSEADDR, entry.Isk.Opts.Reuseaddr ? 1 : 0);

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd) => FileOwner.Arm(context, entry.Isk.Fown, fd, fd.ToString());

    private static void Bind(Fd socket, InetSkEntry message)
    {
        uint scope = message.HasIfname ? InterfaceNames.IndexOf(socket, message.Ifname) : 0;
        if (message.SrcPort != 0)
        {
            InetOptions.Set(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_REUSEADDR, 1);
            InetAddress source = InetAddress.Of(message.SrcAddr, (ushort)message.SrcPort, scope);
            SysResult result = Sys.Bind(socket.Number, source.ToSockaddr());
            if (result.Errno is Errno.EADDRINUSE or Errno.EADDRNOTAVAIL)
            {
                throw new RestoreConflictException(
                    result.Errno == Errno.EADDRINUSE
                        ? $"file {message.Id}: {source} is in use; stop the program that uses it"
                        : $"file {message.Id}: {source} is not an address of this machine; add it, or restore where it is");
            }

            result.OrThrow($"bind({source}) of file {message.Id}");
        }

        if ((TcpState)message.State == TcpState.TCP_LISTEN)
        {
            SysResult listened = Sys.Listen(socket.Number, (int)message.Backlog);
            if (listened.Errno == Errno.EADDRINUSE)
            {
                throw new RestoreConflictException($"file {message.Id}: another program listens at port {message.SrcPort}; stop it");
            }

            listened.OrThrow($"listen({message.Backlog}) of file {message.Id}");
        }
        else if (message.DstPort != 0 && message.Proto != SocketLevel.IPPROTO_TCP)
        {
            InetAddress peer = InetAddress.Of(message.DstAddr, (ushort)message.DstPort, scope);
            Sys.Connect(socket.Number, peer.ToSockaddr()).OrThrow($"connect({peer}) of file {message.Id}");
            if (message.HasShutdown && message.Shutdown != SkShutdown.None)
            {
                Sys.Shutdown(socket.Number, (ShutdownHow)((int)message.Shutdown - 1)).OrThrow($"shutdown of file {message.Id}");
            }
        }
    }
}

/// <summary>An address and port of IPv4 or IPv6.</summary>
/// <param name="Bytes">The address in network order: 4 or 16 bytes.</param>
/// <param name="Port">The port.</param>
/// <param name="ScopeId">The interface of a link-local address, or 0.</param>
internal readonly record struct InetAddress(byte[] Bytes, ushort Port, uint ScopeId)
{
    /// <summary>Asks for an address; all zeroes where there is none.</summary>
    public static InetAddress Read(SocketFamily family, Func<byte[], (SysResult Result, int Length)> ask)
    {
        byte[] buffer = new byte[28];
        (SysResult result, _) = ask(buffer);
        int length = family == SocketFamily.AF_INET ? 4 : 16;
        if (result.IsError)
        {
            return new InetAddress(new byte[length], 0, 0);
        }

        ushort port = BinaryPrimitives.ReadUInt16BigEndian(buffer.AsSpan(2));
        return family == SocketFamily.AF_INET
            ? new InetAddress(buffer[4..8], port, 0)
            : new InetAddress(buffer[8..24], port, BinaryPrimitives.ReadUInt32LittleEndian(buffer.AsSpan(24)));
    }

    /// <summary>Makes one of the words of a message.</summary>
    public static InetAddress Of(IEnumerable<uint> words, ushort port, uint scopeId)
        => new(MemoryMarshal.AsBytes(words.ToArray().AsSpan()).ToArray(), port, scopeId);

    /// <summary>The address as the format has it: words, as they lie in memory.</summary>
    public uint[] Words() => MemoryMarshal.Cast<byte, uint>(Bytes).ToArray();

    /// <summary>struct sockaddr_in or sockaddr_in6.</summary>
    public byte[] ToSockaddr()
    {
        var address = new IPAddress(Bytes);
        bool isLocal = address.IsIPv6LinkLocal || address.IsIPv6Multicast;
        return SocketAddress.Inet(Bytes, Port, isLocal ? ScopeId : 0);
    }

    /// <inheritdoc/>
    public override string ToString() => new IPEndPoint(new IPAddress(Bytes), Port).ToString();
}
