using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>
/// The TCP connections of the tree: the restore half, for all of them together. <see cref="TcpConnections"/> is the other.
/// </summary>
/// <remarks>
/// Each is made in repair mode, in which it sends nothing, while the network is locked for all that have an end outside. Just before the
/// tree is thawed the lock goes, then all leave repair mode, and only then what was never sent is sent, and FINs are put in their place.
/// Should anything fail before, the peers have noticed nothing, and the images can be restored once more.
/// </remarks>
internal sealed class RestoredConnections : IDisposable
{
    private readonly Dictionary<uint, RestoredConnection> connections = [];
    private readonly List<(uint File, RestoredQueue Queue)> queues = [];
    private readonly HashSet<uint> locked = [];
    private readonly List<PacketLock> locks = [];
    private bool isThawExpected;

    /// <summary>The name of the lock that a dump leaves: CRIU's.</summary>
    public static string LockName(string runId) => $"CRIU-{runId}";

    /// <summary>Whether a message is of a connection, not of a socket that listens or isn't connected.</summary>
    public static bool IsConnection(RestoreContext context, InetSkEntry message)
        => message.Proto == SocketLevel.IPPROTO_TCP
            && (TcpState)message.State switch
            {
                TcpState.TCP_LISTEN => false,
                TcpState.TCP_CLOSE => message.DstPort != 0 && context.Images.Entries(ImageKind.TcpStream, message.Ino).Count > 0,
                _ => true,
            };

    /// <summary>
    /// Locks the network, where a connection to the outside is going to be made and nothing forbids it. The thread is in the network
    /// namespace that is locked.
    /// </summary>
    /// <param name="context">The restore.</param>
    /// <param name="network">The id of that namespace if the root is not in it, else 0.</param>
    /// <exception cref="CheckpointException">It can't be locked.</exception>
    public void Lock(RestoreContext context, uint network)
    {
        if (!locked.Add(network))
        {
            return;
        }

        List<ConnectionEnds> outside = OutsideEnds(context, network);
        if (outside.Count == 0 || context.Options.NetworkLock == NetworkLock.Skip || context.Options.TcpClose)
        {
            return;
        }

        string name = LockName(context.Images.One<InventoryEntry>(ImageKind.Inventory).DumpCriuRunId);
        try
        {
            bool isShared = IsFirns(context, network);
            PacketLock? left = PacketLock.Find(name);
            locks.Add(left ?? PacketLock.Take(name + "-restore", isShared ? outside : null, isOwned: true));
            List<ConnectionEnds> reset = [.. SocketsOf(context, network).SelectMany(socket => RestoredQueue.ResetOf(context, socket))];
            if (left is not null && isShared && reset.Count > 0)
            {
                locks.Add(PacketLock.Take(name + "-restore", reset, isOwned: true));
            }
        }
        catch (LinuxException exception)
        {
            throw new CheckpointException(
                $"the network can't be locked for the restore: {exception.Message}; load the kernel's nf_tables, or use --network-lock "
                    + "skip where nothing comes in meanwhile",
                exception)
            { Errno = exception.Errno };
        }
    }

    /// <summary>Makes ready what waited at a listener to be accepted.</summary>
    /// <exception cref="CheckpointException">It can't be made.</exception>
    public void Make(RestoreContext context, FileEntry listener)
    {
        if (context.Options.TcpClose)
        {
            return;
        }

        Lock(context, NetworkOf(context, listener.Isk));
        if (RestoredQueue.Prepare(context, listener.Isk) is { } queue)
        {
            ExpectThaw(context);
            queues.Add((listener.Id, queue));
        }
    }

    /// <summary>Makes a connection of a socket that is bound, or not yet, in repair mode.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Make(RestoreContext context, InetSkEntry message, Fd socket, uint scope)
    {
        ImageEntry image = Stream(context, message);
        var connection = new RestoredConnection(
            message,
            (TcpStreamEntry)image.Message,
            image.Payload,
            socket,
            scope,
            context.Files.State.Get<WaitingConnections>().PlaceOf(context, message));
        ExpectThaw(context);
        connections.Add(message.Id, connection);
        if (connection.WasRefused)
        {
            return;
        }

        connection.Connect(connection.HasUrgent ? RawOf(context, connection) : null);
        if (connection.IsOver)
        {
            connection.End(RawOf(context, connection));
            TcpKeys.Write(socket, message);
        }
        else if (connection.NeedsForging)
        {
            _ = RawOf(context, connection);
        }
        else
        {
            TcpKeys.Write(socket, message);
        }
    }

    /// <summary>Where the descriptor of a connection is now.</summary>
    public void Moved(uint id, Fd fd)
    {
        if (connections.TryGetValue(id, out RestoredConnection? connection))
        {
            connection.Socket = fd;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        queues.ForEach(waiting => waiting.Queue.Dispose());
        locks.ForEach(held => held.Dispose());
    }

    private static Fd RawOf(RestoreContext context, RestoredConnection connection)
        => context.Files.State.Get<RawSockets>().Of(connection.Network, connection.Ends.IsInet4);

    private static ImageEntry Stream(RestoreContext context, InetSkEntry message)
    {
        IReadOnlyList<ImageEntry> entries = context.Images.Entries(ImageKind.TcpStream, message.Ino);
        return entries.Count == 1 ? entries[0] : throw new ImageFormatException(
            ImageKind.TcpStream.FileName(message.Ino), 0, "entry-count",
            $"holds {entries.Count} entries where there must be one; the image set is not complete");
    }

    private static List<ConnectionEnds> OutsideEnds(RestoreContext context, uint network)
    {
        List<InetSkEntry> sockets = [.. SocketsOf(context, network)];
        List<ConnectionEnds> all = [.. sockets
            .Where(socket => IsConnection(context, socket))
            .Where(socket => (TcpState)socket.State != TcpState.TCP_CLOSE)
            .Where(socket => context.Files.State.Get<WaitingConnections>().PlaceOf(context, socket) == 0)
            .Select(RestoredConnection.EndsOf)];
        HashSet<string> keys = [.. all.Select(ends => TcpConnections.Key(ends))];
        return
        [
            .. all.Where(ends => !keys.Contains(TcpConnections.Key(ends.Mirrored))),
            .. sockets.SelectMany(socket => RestoredQueue.EndsOf(context, socket)),
        ];
    }

    private static IEnumerable<InetSkEntry> SocketsOf(RestoreContext context, uint network)
        => context.Files.Entries.Values
            .Where(entry => entry.Type == FdTypes.Inetsk && NetworkOf(context, entry.Isk) == network)
            .Select(entry => entry.Isk);

    /// <summary>The id of a socket's network namespace if the root is not in it, else 0.</summary>
    public static uint NetworkOf(RestoreContext context, InetSkEntry message)
        => NestedNamespaces.Find(context, CloneFlags.CLONE_NEWNET, message.NsId)?.Id ?? 0;

    private static bool IsFirns(RestoreContext context, uint network)
        => NestedNamespaces.Find(context, CloneFlags.CLONE_NEWNET, network) is { } nested
            ? nested.IsFirns
            : context.OwnNamespace(CloneFlags.CLONE_NEWNET) is null;

    private void ExpectThaw(RestoreContext context)
    {
        if (!isThawExpected)
        {
            isThawExpected = true;
            context.BeforeThaw.Add(() => LetGo(context));
        }
    }

    private void LetGo(RestoreContext context)
    {
        foreach ((uint file, RestoredQueue queue) in queues)
        {
            queue.PutBack(context.Files[file]);
        }

        foreach (SysResult result in locks.ConvertAll(held => held.Unlock()))
        {
            if (result.IsError)
            {
                context.Log.LogWarning("the network can't be unlocked: {Errno}", result.Errno);
            }
        }

        foreach (RestoredConnection connection in connections.Values)
        {
            if (connection.WasRefused)
            {
                // The answer has to come through.
                connection.BeRefused();
            }
            else
            {
                connection.LeaveRepair();
            }
        }

        foreach (RestoredConnection connection in connections.Values.OrderBy(connection => connection.Place))
        {
            connection.Finish(connection.NeedsForging ? RawOf(context, connection) : null);
        }
    }
}
