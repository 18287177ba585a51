using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>The restore half.</summary>
internal sealed partial class InetSocket
{
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

        bool isConnection = RestoredConnections.IsConnection(context, message);
        bool hasQueue = message.HasQueue && (TcpState)message.State == TcpState.TCP_LISTEN;
        if ((isConnection || hasQueue) && !context.Options.TcpEstablished && !context.Options.TcpClose)
        {
            throw new CheckpointException(
                $"file {entry.Id}: the image set holds TCP connections; use --tcp-established to go on with them, or --tcp-close to find "
                    + "them closed");
        }

        isConnection &= !context.Options.TcpClose;
        RestoredConnections connections = context.Files.State.Get<RestoredConnections>();
        if (isConnection)
        {
            connections.Lock(context, RestoredConnections.NetworkOf(context, message));
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
        MoreOptions.Write(socket, message);
        // In repair mode a socket may bind where another listens, as one may be that was accepted there.
        bool bindsAnyway = message.Proto == SocketLevel.IPPROTO_TCP && message.SrcPort != 0
            && (TcpState)message.State != TcpState.TCP_LISTEN;
        if (isConnection || bindsAnyway)
        {
            TcpRepair.On(socket);
        }

        uint scope = message.HasIfname ? InterfaceNames.IndexOf(socket, message.Ifname) : 0;
        Bind(socket, message, scope);
        if (isConnection)
        {
            connections.Make(context, message, socket, scope);
        }
        else
        {
            if (bindsAnyway)
            {
                TcpRepair.Off(socket, probes: false);
                InetOptions.Set(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_REUSEADDR, 1);
            }

            TcpKeys.Write(socket, message);
            Join(socket, message, scope);
            if (hasQueue)
            {
                connections.Make(context, entry);
            }

            GroupMemberships.Write(socket, message);
            DatagramQueue.Restore(context, message, socket);
        }

        FileOwner.RestoreFlags(socket, message.Flags);
        return socket;
    }

    /// <inheritdoc/>
    public override void Link(RestoreContext context, FileEntry entry, Fd fd)
    {
        MoreOptions.WriteLast(fd, entry.Isk);
        if (RestoredConnections.IsConnection(context, entry.Isk) && !context.Options.TcpClose)
        {
            context.Files.State.Get<RestoredConnections>().Moved(entry.Id, fd);
        }
        else
        {
            InetOptions.Set(fd, SocketLevel.SOL_SOCKET, SocketOption.SO_REUSEADDR, entry.Isk.Opts.Reuseaddr ? 1 : 0);
        }
    }

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd) => FileOwner.Arm(context, entry.Isk.Fown, fd, fd.ToString());

    private static void Bind(Fd socket, InetSkEntry message, uint scope)
    {
        if (message.SrcPort != 0)
        {
            if (InetOptions.Get(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_REUSEADDR) == 0)
            {
                // In repair mode it is 2, which must stay.
                InetOptions.Set(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_REUSEADDR, 1);
            }

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
    }

    // Who listens, and datagram sockets with a peer.
    private static void Join(Fd socket, InetSkEntry message, uint scope)
    {
        bool isTcp = IsTcp((int)message.Proto);
        if (isTcp && (TcpState)message.State == TcpState.TCP_LISTEN)
        {
            SysResult listened = Sys.Listen(socket.Number, (int)message.Backlog);
            if (listened.Errno == Errno.EADDRINUSE)
            {
                throw new RestoreConflictException($"file {message.Id}: another program listens at port {message.SrcPort}; stop it");
            }

            listened.OrThrow($"listen({message.Backlog}) of file {message.Id}");
        }
        else if (message.DstPort != 0 && !isTcp)
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
