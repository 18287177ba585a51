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
/// each is in repair mode for the microseconds of reading, under a guard (<see cref="RepairGuard"/>). Between two ends that both stand
/// still nothing is under way but what timers send, and that is looked for.
/// </para>
/// <para>
/// In the image sequence numbers are as the kernel has them, with FIN counted; lengths are without. In a state after a FIN the restore
/// knows so. That is how CRIU has it (soccr/).
/// </para>
/// </remarks>
internal sealed class TcpConnections
{
    private const int MostReadings = 100;

    private readonly List<Connection> connections = [];
    private readonly Dictionary<OpenFile, Connection> byFile = [];
    private bool isSaved;

    /// <summary>Takes note of a connection that is to be saved; nothing is read yet.</summary>
    public void Add(DumpContext context, OpenFile file, TcpState state, InetAddress source, InetAddress peer)
    {
        var ends = ConnectionEnds.OfPackets(source.Bytes, source.Port, peer.Bytes, peer.Port);
        var connection = new Connection(file, SocketTables.NetworkOf(context, file), state, ends);
        connections.Add(connection);
        byFile.Add(file, connection);
    }

    /// <summary>Whether a socket is one of them.</summary>
    public bool Contains(OpenFile file) => byFile.ContainsKey(file);

    /// <summary>The two ends of a connection as a key; equal for the other end when mirrored.</summary>
    /// <param name="ends">The ends.</param>
    /// <param name="network">The id of the network namespace that both are in.</param>
    public static string Key(ConnectionEnds ends, uint network = 0) => $"{network}:{Convert.ToHexString(ends.ToKey())}";

    /// <summary>Holds the network and reads all of them, once.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Prepare(DumpContext context)
    {
        if (!isSaved)
        {
            isSaved = true;
            ReadAll(context);
        }
    }

    /// <summary>Saves a connection: its image goes into the set.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Dump(DumpContext context, OpenFile file)
    {
        Prepare(context);
        Connection connection = byFile[file];
        context.Images.Add(ImageKind.TcpStream, (uint)file.Stat.st_ino, connection.Reading.Stream, connection.Reading.Queues);
    }

    private void ReadAll(DumpContext context)
    {
        Dictionary<string, Connection> byEnds = [];
        foreach (Connection connection in connections)
        {
            byEnds.TryAdd(Key(connection.Ends, connection.Network.Id), connection);
        }

        foreach (Connection connection in connections)
        {
            connection.Other = byEnds.GetValueOrDefault(Key(connection.Ends.Mirrored, connection.Network.Id));
        }

        PacketHold network = context.Packets!;
        Lock(context, network);
        if (connections.Count > 0)
        {
            using RepairGuard guard = RepairGuard.Start(context, connections.Select(connection => connection.Before));
            ReadHeld();
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

    private void ReadHeld()
    {
        connections.ForEach(connection => connection.Reading = TcpReading.Of(connection.Before));
        foreach (Connection connection in connections)
        {
            // What one end has no more and the other end hasn't yet was under way: it has arrived by the next look.
            for (int time = 1;
                connection.Other is { } other && (int)(other.Reading.Received - connection.Reading.Unacknowledged) < 0;
                time++)
            {
                if (time == MostReadings)
                {
                    throw new CheckpointException(
                        $"pid {connection.File.Owner.Pid} fd {connection.File.Number}: what it sent does not reach the other end of the "
                            + "connection, which is in the tree, too; try again")
                    { Phase = "dump", Pid = connection.File.Owner.Pid };
                }

                other.Reading = TcpReading.Of(other.Before);
            }
        }
    }

    private void Lock(DumpContext context, PacketHold network)
    {
        if (context.Options.NetworkLock == NetworkLock.Skip)
        {
            return;
        }

        ILookup<DumpedNamespace, ConnectionEnds> outside = connections
            .Where(connection => connection.Other is null && connection.State != TcpState.TCP_CLOSE)
            .Where(connection => !context.Files.State.Get<WaitingConnections>().Contains(connection.File))
            .Select(connection => (connection.Network, connection.Ends))
            .Concat(context.Files.State.Get<AcceptQueues>().Find(context))
            .ToLookup(found => found.Network, found => found.Ends);
        foreach (IGrouping<DumpedNamespace, ConnectionEnds> group in outside)
        {
            using NamespaceVisit? visit = group.Key.IsNested ? group.Key.Visit() : null;
            network.Lock(RestoredConnections.LockName(context.RunId), group.Key.IsFirns ? [.. group] : null);
        }
    }

    private sealed class Connection(OpenFile file, DumpedNamespace network, TcpState state, ConnectionEnds ends)
    {
        public OpenFile File { get; } = file;

        public DumpedNamespace Network { get; } = network;

        public TcpState State { get; } = state;

        public ConnectionEnds Ends { get; } = ends;

        /// <summary>The other end, if it is in the tree.</summary>
        public Connection? Other { get; set; }

        /// <summary>What the reading changes.</summary>
        public TcpBefore Before { get; } = TcpBefore.Of(file.Taken);

        public TcpReading Reading { get; set; }
    }
}
