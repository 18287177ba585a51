using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Google.Protobuf;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>Makes all Unix sockets of an image set, in the order in which they need each other.</summary>
/// <remarks>
/// Listeners and other names first; then connections, through the listener whose name they have, or a passing one. With all other files
/// there, queues, while senders can still send; then what takes something away: shutdown, closed peers, options, unlinked names. Where a
/// queue names tasks of the tree, by credentials or pidfds, all of that waits until those exist.
/// </remarks>
internal sealed partial class UnixSocketMaker : IDisposable
{
    /// <summary>Flag of an entry that stands for a socket outside (CRIU's USK_EXTERN).</summary>
    public const uint External = 1;

    /// <summary>Flag of a socket through which a task has asked for its own dump (CRIU's USK_SERVICE).</summary>
    public const uint Service = 2;

    private readonly RestoreContext context;
    private readonly List<Node> nodes = [];
    private readonly Dictionary<uint, Node> byInode = [];
    private readonly Dictionary<(SocketType Type, ByteString Name, uint Place), Node> listeners = [];
    private readonly Dictionary<ByteString, Node> datagrams = [];
    private readonly Dictionary<(SocketType Type, ByteString Name, uint Place), Fd> passingListeners = [];
    private readonly List<Fd> passing = [];
    private readonly UnixNames names;
    private readonly EarlyData early = new();
    private bool isComplete;

    /// <summary>Plans for the entries of files.img.</summary>
    public UnixSocketMaker(RestoreContext context)
    {
        this.context = context;
        names = new UnixNames(context);
        var byId = new Dictionary<uint, Node>();
        foreach (FileEntry entry in context.Files.Entries.Values.Where(entry => entry.Type == FdTypes.Unixsk))
        {
            if (InheritedSocket.Of(context, entry.Usk.Ino) is { } inherited)
            {
                context.Files.Provide(entry.Id, inherited);
                continue;
            }

            var node = new Node(entry.Usk);
            nodes.Add(node);
            byId.Add(entry.Id, node);
            byInode[entry.Usk.Ino] = node;
        }

        foreach (ImageEntry packet in context.Images.Entries(ImageKind.SkQueues))
        {
            var message = (SkPacketEntry)packet.Message;
            if (byId.TryGetValue(message.IdFor, out Node? node))
            {
                node.Queue.Add((message, packet.Payload));
            }
        }

        nodes.ForEach(node => node.Queue.AddRange(early.Of(context, node.Message)));
    }

    /// <summary>Makes them, and provides each for its id.</summary>
    /// <exception cref="LinuxException">The kernel refuses something.</exception>
    /// <exception cref="RestoreConflictException">A name is taken.</exception>
    public void MakeAll()
    {
        foreach (Node node in nodes)
        {
            node.Peer = byInode.GetValueOrDefault(node.Message.Peer);
            if (!node.IsDatagram && node.Peer is { Role: Role.Outside })
            {
                throw new CheckpointException(
                    $"{node} was connected to a program outside of the tree: hand in what takes its place with --inherit-fd "
                        + $"fd[N]:socket:[{node.Message.Ino}]");
            }
        }

        foreach (Node node in nodes.Where(node => node.Message.Name.Length > 0))
        {
            if (node.Role == Role.Listener)
            {
                listeners.TryAdd(KeyOf(node), node);
            }
            else if (node.IsDatagram && node.Role != Role.Outside)
            {
                datagrams.TryAdd(node.Message.Name, node);
            }
        }

        foreach (Node node in nodes.Where(node => node.Role is Role.Alone or Role.Listener or Role.Outside))
        {
            MakeAlone(node);
        }

        foreach (Node node in nodes.Where(node => node.Fd is null && node.Role is Role.Connected or Role.PairedDatagram or Role.Orphan))
        {
            MakeConnected(node);
        }

        MakePending();

        foreach (Node node in nodes.Where(node => node.Role == Role.Answered))
        {
            MakeAnswered(node);
        }

        foreach (Node node in nodes)
        {
            context.Files.Provide(node.Message.Id, node.Fd!);
            node.Fd = context.Files[node.Message.Id];
            node.IsProvided = true;
        }
    }

    /// <summary>Fills the queues and takes away what shall not stay. Only the first call that does so has something to do.</summary>
    /// <param name="hasTasks">Whether the tasks of the tree exist.</param>
    /// <exception cref="LinuxException">The kernel refuses something.</exception>
    public void Complete(bool hasTasks)
    {
        var cargo = new UnixCargo(context);
        if (isComplete || (!hasTasks && nodes.Any(
            node => node.Queue.Concat(node.Early.SelectMany(early => early.Packets)).Any(packet => cargo.NeedsTasks(packet.Message)))))
        {
            return;
        }

        isComplete = true;
        foreach (Node node in nodes)
        {
            UnixQueue.Fill(node.Message, Sender(node), node.Queue, names, NamedDatagram, cargo);
            foreach ((Node? client, Fd? gone, List<(SkPacketEntry Message, ReadOnlyMemory<byte> Bytes)> packets) in node.Early)
            {
                UnixQueue.Fill(node.Message, gone ?? client!.Fd, packets, names, NamedDatagram, cargo);
            }
        }

        foreach (Node node in nodes.Where(node => node.IsDatagram && node.Peer is not null && node.Role == Role.Alone))
        {
            Connect(node, node.Peer!);
        }

        Finish();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Fd fd in passing.Concat(passingListeners.Values))
        {
            fd.Dispose();
        }

        foreach (Node node in nodes.Where(node => !node.IsProvided))
        {
            node.Fd?.Dispose();
        }
    }

    private void MakeAlone(Node node)
    {
        node.Fd = Open(node);
        if (node.Role == Role.Outside)
        {
            return;
        }

        if (node.Message.Name.Length > 0)
        {
            names.Bind(node.Fd, node.Message);
        }

        if (node.Role == Role.Listener)
        {
            Listen(node.Fd, node, (int)node.Message.Backlog, node.Message.PeerCredentials);
        }
    }

    // Peer credentials are those of who calls: what Firn can lend is the user and the group, not the process.
    private Fd Open(Node node)
    {
        using NamespaceVisit? network = NestedNamespaces.VisitNetwork(context, node.Message.NsId);
        using var identity = BorrowedIdentity.OfHolder(context, node.Message.Id);
        return new Fd(
            Sys.Socket(SocketFamily.AF_UNIX, node.Type | SocketType.SOCK_CLOEXEC).OrThrow($"socket(AF_UNIX, {node.Type}) of {node}").Int32);
    }

    private void Listen(Fd fd, Node node, int backlog, SkCredentialsEntry? seen)
    {
        SysResult result = PeerIdentity.Listen(context, seen, fd, backlog);
        if (result.IsError)
        {
            using var identity = BorrowedIdentity.OfHolder(context, node.Message.Id);
            result = Sys.Listen(fd.Number, backlog);
        }

        result.OrThrow($"listen({backlog}) of {node}");
    }

    private void MakeConnected(Node node)
    {
        Node? peer = node.Role == Role.Orphan ? null : node.Peer;
        bool isNamed = node.Message.Name.Length > 0;
        if (node.IsDatagram || (!isNamed && peer is not { Message.Name.Length: > 0 }))
        {
            MakePair(node, peer);
            return;
        }

        // The named end was accepted; where both have names, the one that has a listener's.
        bool accepts = peer is null || (isNamed && (HasListener(node) || !HasListener(peer)));
        Node server = accepts || peer!.Message.Name.Length == 0 ? node : peer;
        Node? client = server == node ? peer : node;
        Fd clientFd = client is null ? Passing(server) : client.Fd = Open(client);
        if (client is { Message.Name.Length: > 0 })
        {
            names.Bind(clientFd, client.Message);
        }

        Fd listener = ListenerFor(server, client?.Message.PeerCredentials);
        names.Connect(clientFd, server.Message, client?.Message.Id ?? server.Message.Id, server.Message.PeerCredentials);
        server.Fd = new Fd(Sys.Accept(listener.Number).OrThrow($"accept4 for {server}").Int32);
        if (client is null)
        {
            server.GonePeer = clientFd;
        }
    }

    private void MakePair(Node node, Node? peer)
    {
        using NamespaceVisit? network = NestedNamespaces.VisitNetwork(context, node.Message.NsId);
        SocketType type = node.Type | SocketType.SOCK_CLOEXEC;
        SysResult result = PeerIdentity.SocketPair(context, node.Message.PeerCredentials, type, out int first, out int second);
        if (result.IsError)
        {
            using var identity = BorrowedIdentity.OfHolder(context, node.Message.Id);
            result = Sys.SocketPair(SocketFamily.AF_UNIX, type, 0, out first, out second);
        }

        result.OrThrow($"socketpair(AF_UNIX, {node.Type}) of {node}");

        node.Fd = new Fd(first);
        var other = new Fd(second);
        if (peer is null)
        {
            passing.Add(node.GonePeer = other);
        }
        else
        {
            peer.Fd = other;
        }

        foreach (Node each in peer is null ? [node] : (ReadOnlySpan<Node>)[node, peer])
        {
            if (each.Message.Name.Length > 0)
            {
                names.Bind(each.Fd!, each.Message);
            }
        }
    }

    private void MakeAnswered(Node node)
    {
        // The reply to a request for a dump: type DUMP, success, and that this is after the restore.
        ReadOnlySpan<byte> answer = [0x08, 0x01, 0x10, 0x01, 0x1a, 0x02, 0x08, 0x01];
        MakePair(node, null);
        Sys.Send(node.GonePeer!.Number, answer, MessageFlags.MSG_NOSIGNAL).OrThrow($"send(answer) to {node}");
    }

    private Fd Passing(Node node)
    {
        Fd fd = Open(node);
        passing.Add(fd);
        return fd;
    }

    private bool HasListener(Node node) => ListenerNode(node) is not null;

    private (SocketType Type, ByteString Name, uint Place) KeyOf(Node node)
        => (node.Type, node.Message.Name, names.PlaceOf(node.Message));

    private Node? ListenerNode(Node node) => listeners.GetValueOrDefault(KeyOf(node));

    private Fd ListenerFor(Node server, SkCredentialsEntry? seen)
    {
        if (ListenerNode(server) is { } node)
        {
            return node.Fd!;
        }

        if (!passingListeners.TryGetValue(KeyOf(server), out Fd? listener))
        {
            passingListeners.Add(KeyOf(server), listener = Open(server));
            names.BindForAMoment(listener, server.Message);
            Listen(listener, server, 1, seen);
        }

        return listener;
    }

    private void Connect(Node node, Node peer)
    {
        if (peer.Message.Name.Length == 0)
        {
            context.Log.LogWarning("{Socket}: connected to {Peer}, which has no name; left unconnected", node, peer);
            return;
        }

        names.Connect(node.Fd!, peer.Message, node.Message.Id, null);
    }

    private static Fd? Sender(Node node) => node.GonePeer ?? (node.Role is Role.Connected or Role.PairedDatagram ? node.Peer!.Fd : null);

    private Fd? NamedDatagram(ByteString name) => datagrams.GetValueOrDefault(name)?.Fd;

    private void Finish()
    {
        IEnumerable<Node> shut = nodes.Where(
            node => node.Message.HasShutdown && node.Message.Shutdown != SkShutdown.None && node.Role != Role.Orphan);
        foreach (Node node in shut)
        {
            // READ, WRITE, BOTH are one more than SHUT_RD, SHUT_WR, SHUT_RDWR.
            var how = (ShutdownHow)((int)node.Message.Shutdown - 1);
            Sys.Shutdown(node.Fd!.Number, how).OrThrow($"shutdown({how}) of {node}");
        }

        foreach (Node node in nodes.Where(node => (node.Message.Error != 0 || node.IsReset) && node.GonePeer is not null))
        {
            // A peer that closes without having read this, resets the connection.
            Sys.Send(node.Fd!.Number, [0], MessageFlags.MSG_DONTWAIT | MessageFlags.MSG_NOSIGNAL).OrThrow($"send from {node}");
        }

        foreach (Fd fd in passing.Concat(passingListeners.Values))
        {
            fd.Dispose();
        }

        passing.Clear();
        passingListeners.Clear();
        names.Unlink();
        foreach (Node node in nodes)
        {
            SocketOptions.Write(node.Fd!, node.Message.Opts);
            FileOwner.RestoreFlags(node.Fd!, node.Message.Flags);
        }
    }
}
