using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>TCP connections that no one has accepted yet: both halves, for those whose clients are in the tree.</summary>
/// <remarks>
/// They have no descriptor. What is known is that they exist, and how many bytes came already, which only accept(2) would show. So those of
/// clients in the tree that have sent nothing yet are saved by their clients, which connect anew in the restore, from the same address.
/// All others are of the <see cref="AcceptQueues"/>.
/// </remarks>
internal sealed class WaitingConnections
{
    private readonly Dictionary<OpenFile, uint[]> clients = [];
    private readonly HashSet<OpenFile> all = [];
    private Dictionary<uint, int>? places;

    // ---- dump

    /// <summary>Takes note of the connections that wait at a listener.</summary>
    /// <returns>Whether all of them can be made again.</returns>
    public bool Examine(DumpContext context, OpenFile listener, ushort port, int count)
    {
        if (!context.Options.TcpEstablished)
        {
            return false;
        }

        SocketTables tables = context.Files.State.Get<SocketTables>();
        InetSockets sockets = tables.InetOf(SocketTables.NetworkOf(context, listener));
        Dictionary<string, ulong> byEnds = [];
        foreach (InetSocketInfo socket in sockets.ByInode.Values.Where(socket => socket.State == TcpState.TCP_ESTABLISHED))
        {
            byEnds.TryAdd(TcpConnections.Key(EndsOf(socket)), socket.Inode);
        }

        List<OpenFile> found = [];
        foreach (InetSocketInfo waiting in sockets.WithoutInode.Where(socket
            => socket.SourcePort == port && socket.State is TcpState.TCP_ESTABLISHED or TcpState.TCP_CLOSE_WAIT))
        {
            if (waiting.State == TcpState.TCP_ESTABLISHED
                && waiting.ReceiveQueue == 0
                && byEnds.TryGetValue(TcpConnections.Key(EndsOf(waiting).Mirrored), out ulong inode)
                && tables.Find(context, inode) is { } client)
            {
                found.Add(client);
            }
        }

        if (found.Count != count)
        {
            return false;
        }

        // The kernel doesn't tell the order; sockets that were made one after the other mostly connected so.
        clients.Add(listener, [.. found.Select(client => (uint)client.Stat.st_ino).Order()]);
        all.UnionWith(found);
        return true;
    }

    /// <summary>The inode numbers of the clients that wait at a listener.</summary>
    public IEnumerable<uint> ClientsOf(OpenFile listener) => clients.GetValueOrDefault(listener) ?? [];

    /// <summary>Whether a connection waits to be accepted at its other end.</summary>
    public bool Contains(OpenFile client) => all.Contains(client);

    private static ConnectionEnds EndsOf(InetSocketInfo socket)
        => ConnectionEnds.OfPackets(socket.SourceAddress, socket.SourcePort, socket.DestinationAddress, socket.DestinationPort);

    // ---- restore

    /// <summary>The place of a client among all that wait, from 1 on; 0 if it doesn't.</summary>
    public int PlaceOf(RestoreContext context, InetSkEntry client)
    {
        if (places is null)
        {
            places = [];
            foreach (FileEntry listener in context.Files.Entries.Values.Where(entry => entry.Type == FdTypes.Inetsk))
            {
                foreach (uint waiting in listener.Isk.Pending)
                {
                    places.TryAdd(waiting, places.Count + 1);
                }
            }
        }

        return places.GetValueOrDefault(client.Ino);
    }
}
