using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Google.Protobuf;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>The sockets that are made, and among them the connections that no one has accepted yet.</summary>
internal sealed partial class UnixSocketMaker
{
    // Each listener's in the order in which they will be accepted; what has closed since, closes again.
    private void MakePending()
    {
        foreach (IGrouping<Node, Node> clients in nodes.Where(node => node.Role == Role.Pending).ToLookup(node => node.Peer!))
        {
            // What will be accepted has some of the listener's options as they were when it came (unix_stream_connect()).
            SocketOptions.Write(clients.Key.Fd!, clients.Key.Message.Opts);
            foreach (Node node in clients.OrderBy(PlaceOf))
            {
                ConnectGone(clients.Key, node);
                if (early.Of(context, clients.Key.Message, PlaceOf(node)) is not { } packets)
                {
                    MakePair(node, null);
                    node.IsReset = true;
                    continue;
                }

                MakeAlone(node);
                Connect(node, clients.Key);
                clients.Key.Early.Add((node, null, packets));
            }
        }

        foreach (Node listener in nodes.Where(node => node.Role == Role.Listener))
        {
            ConnectGone(listener, null);
        }
    }

    // Those that come before a client, or all that are left.
    private void ConnectGone(Node listener, Node? before)
    {
        while (listener.GoneClients.TryPeek(out int place)
            && (before is null || place < PlaceOf(before)))
        {
            listener.GoneClients.Dequeue();
            if (early.Of(context, listener.Message, place) is { } packets)
            {
                Fd client = Open(listener);
                passing.Add(client);
                names.Connect(client, listener.Message, listener.Message.Id, null);
                listener.Early.Add((null, client, packets));
            }
        }
    }

    private static int PlaceOf(Node client) => Math.Max(0, client.Peer!.Message.Pending.IndexOf(client.Message.Ino));

    private enum Role
    {
        /// <summary>Made by socket(2), maybe with a name; a datagram socket is connected later.</summary>
        Alone,
        Listener,

        /// <summary>A stream or packets, with its peer in the tree.</summary>
        Connected,

        /// <summary>Two datagram sockets, connected to each other, at least one of them without a name to connect to.</summary>
        PairedDatagram,

        /// <summary>Its peer is closed.</summary>
        Orphan,

        /// <summary>Connected, and not accepted yet.</summary>
        Pending,

        /// <summary>Its task waits at it for the answer to its own request for a dump.</summary>
        Answered,

        /// <summary>Not of the tree; kept for its name.</summary>
        Outside,
    }

    private sealed class Node(UnixSkEntry message)
    {
        public UnixSkEntry Message { get; } = message;

        public Node? Peer { get; set; }

        public Fd? Fd { get; set; }

        /// <summary>Whether it is among the restored files, which it belongs to then.</summary>
        public bool IsProvided { get; set; }

        /// <summary>The other end, for as long as a closed peer is still needed to fill the queue.</summary>
        public Fd? GonePeer { get; set; }

        /// <summary>Whether it waited to be accepted, and what it had sent is lost.</summary>
        public bool IsReset { get; set; }

        /// <summary>What came over connections that wait to be accepted: their clients, or what stands for such as are gone.</summary>
        public List<(Node? Client, Fd? Gone, List<(SkPacketEntry Message, ReadOnlyMemory<byte> Bytes)> Packets)> Early { get; } = [];

        /// <summary>Where in the queue of those that wait to be accepted there are some that are closed already.</summary>
        public Queue<int> GoneClients { get; } = new(
            message.Pending.Select((inode, place) => (Inode: inode, Place: place)).Where(client => client.Inode == 0)
                .Select(client => client.Place));

        public List<(SkPacketEntry Message, ReadOnlyMemory<byte> Bytes)> Queue { get; } = [];

        public SocketType Type => (SocketType)Message.Type;

        public bool IsDatagram => Type == SocketType.SOCK_DGRAM;

        public Role Role => (TcpState)Message.State switch
        {
            _ when (Message.Uflags & External) != 0 => Role.Outside,
            _ when (Message.Uflags & Service) != 0 => Role.Answered,
            TcpState.TCP_LISTEN => Role.Listener,

            // With a name it may as well be one that others have connected to, as CRIU saves it; a closed peer would shut those out.
            TcpState.TCP_ESTABLISHED when Peer is null && IsDatagram && Message.Name.Length > 0 => Role.Alone,
            TcpState.TCP_ESTABLISHED when Peer is null => Role.Orphan,
            TcpState.TCP_ESTABLISHED when Peer.Message.State == (uint)TcpState.TCP_LISTEN => Role.Pending,
            _ when Peer is null
                || Peer.Message.Peer != Message.Ino
                || (IsDatagram && Message.Name.Length > 0 && Peer.Message.Name.Length > 0)
                => Role.Alone,
            _ => IsDatagram ? Role.PairedDatagram : Role.Connected,
        };

        public override string ToString() => $"unix socket {UnixSocket.NameText(Message.Name.Span)} (file {Message.Id})";
    }
}
