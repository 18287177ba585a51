using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>The two ends of a connection, each address in network order: 4 or 16 bytes.</summary>
public readonly record struct ConnectionEnds(byte[] Source, ushort SourcePort, byte[] Destination, ushort DestinationPort)
{
    /// <summary>The same from the other side.</summary>
    public ConnectionEnds Mirrored => new(Destination, DestinationPort, Source, SourcePort);

    /// <summary>Whether its packets are of IPv4.</summary>
    public bool IsInet4 => Source.Length == 4;

    /// <summary>An IPv4 address that is written as one of IPv6 (::ffff:a.b.c.d) becomes what packets have.</summary>
    public static ConnectionEnds OfPackets(byte[] source, ushort sourcePort, byte[] destination, ushort destinationPort)
        => IsMapped(source) && IsMapped(destination)
            ? new(source[12..], sourcePort, destination[12..], destinationPort)
            : new(source, sourcePort, destination, destinationPort);

    /// <summary>The same as a key: addresses and ports in the order of a packet, each from a boundary of four bytes.</summary>
    public byte[] ToKey()
    {
        byte[] key = new byte[(2 * Source.Length) + (2 * sizeof(uint))];
        Source.CopyTo(key, 0);
        key[Source.Length] = (byte)(SourcePort >> 8);
        key[Source.Length + 1] = (byte)SourcePort;
        Destination.CopyTo(key, Source.Length + sizeof(uint));
        key[^4] = (byte)(DestinationPort >> 8);
        key[^3] = (byte)DestinationPort;
        return key;
    }

    private static bool IsMapped(byte[] address)
        => address.Length == 16 && address.AsSpan(0, 10).IndexOfAnyExcept((byte)0) < 0 && address[10] == 0xFF && address[11] == 0xFF;
}

/// <summary>A network namespace, or some TCP connections of it, through which no packet goes but those with a mark (nftables).</summary>
/// <remarks>
/// One that is owned goes when it is disposed of or its maker dies; any other stays until it is removed by name. The names of table,
/// chains and sets are those of CRIU 4.2. Closing a lock takes some 10 ms after it has lost its effect, so that
/// <see cref="Unlock"/> comes first where somebody waits.
/// </remarks>
public sealed class PacketLock : IDisposable
{
    /// <summary>The mark of packets that go through (SO_MARK).</summary>
    public const uint Mark = 0xC114;

    private const byte Family = NetfilterConstants.NFPROTO_INET;
    private const int Priority = -400;
    private const int KeysInMessage = 400;
    private const string Set4 = "conns4";
    private const string Set6 = "conns6";

    private static readonly (string Name, uint Hook)[] Chains =
        [("output", NetfilterConstants.NF_INET_LOCAL_OUT), ("input", NetfilterConstants.NF_INET_LOCAL_IN)];

    private readonly NetlinkSocket socket;
    private readonly string table;
    private readonly IReadOnlyCollection<ConnectionEnds>? connections;
    private bool isLocked;

    private PacketLock(NetlinkSocket socket, string table, IReadOnlyCollection<ConnectionEnds>? connections)
    {
        this.socket = socket;
        this.table = table;
        this.connections = connections;
    }

    /// <summary>Locks the caller's network namespace, or TCP connections of it in both directions.</summary>
    /// <param name="table">The name of the table.</param>
    /// <param name="connections">Those, or null for all.</param>
    /// <param name="isOwned">Whether it goes with its maker.</param>
    /// <exception cref="LinuxException">The kernel has no nftables, or refuses.</exception>
    public static PacketLock Take(string table, IReadOnlyCollection<ConnectionEnds>? connections, bool isOwned)
    {
        var made = new PacketLock(NetlinkSocket.Open(NetfilterConstants.NETLINK_NETFILTER), table, connections);
        try
        {
            Make(made.socket, table, connections, isOwned);
            made.isLocked = true;
            return made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    /// <summary>Makes another lock of the same, which stays until somebody removes it (<see cref="Find"/>).</summary>
    /// <param name="name">The name of its table.</param>
    /// <exception cref="LinuxException">The kernel refuses; nothing is left of it.</exception>
    public void AddLasting(string name) => Make(socket, name, connections, isOwned: false);

    /// <summary>Removes what <see cref="AddLasting"/> has made.</summary>
    public void RemoveLasting(string name) => _ = new NftablesBatch().DeleteTable(Family, name).Run(socket);

    /// <summary>Finds a lock of the caller's network namespace that another process has left.</summary>
    /// <returns>The lock, which stays if it isn't unlocked; null if there is none.</returns>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static PacketLock? Find(string table)
    {
        SysResult made = Sys.Socket(
            SocketFamily.AF_NETLINK, SocketType.SOCK_RAW | SocketType.SOCK_CLOEXEC, NetfilterConstants.NETLINK_NETFILTER);
        if (made.Errno == Errno.EPROTONOSUPPORT)
        {
            return null;
        }

        var socket = new NetlinkSocket(new Fd(made.OrThrow("socket(AF_NETLINK, NETLINK_NETFILTER)").Int32));
        const ushort Type = (NetfilterConstants.NFNL_SUBSYS_NFTABLES << 8) | NetfilterConstants.NFT_MSG_GETTABLE;
        SysResult result = socket.Request(new NetlinkMessage(Type)
            .Header(new Nfgenmsg { nfgen_family = Family })
            .Add(NetfilterConstants.NFTA_TABLE_NAME, table));
        if (!result.IsError)
        {
            return new PacketLock(socket, table, null) { isLocked = true };
        }

        socket.Dispose();
        return null;
    }

    /// <summary>Lets packets through again, at once.</summary>
    /// <returns>0, or -errno: -ENOENT if somebody else has removed it.</returns>
    public SysResult Unlock()
    {
        if (!isLocked)
        {
            return default;
        }

        isLocked = false;
        return new NftablesBatch().DeleteTable(Family, table).Run(socket);
    }

    /// <summary>Closes it: an owned one is gone then, any other stays if it wasn't unlocked.</summary>
    public void Dispose() => socket.Dispose();

    private static void Make(NetlinkSocket socket, string table, IReadOnlyCollection<ConnectionEnds>? connections, bool isOwned)
    {
        string what = $"nftables: lock of {(connections is null ? "the network namespace" : $"{connections.Count} connections")}";
        NftablesBatch batch = Begin(table, isOwned, connections is null ? NetfilterConstants.NF_DROP : NetfilterConstants.NF_ACCEPT);
        if (connections is null)
        {
            batch.Run(socket).OrThrow(what);
            return;
        }

        AddSet(batch, table, Set4, 1, 4, NetfilterConstants.NFPROTO_IPV4, NetfilterConstants.TYPE_IPADDR, (12, 16));
        AddSet(batch, table, Set6, 2, 16, NetfilterConstants.NFPROTO_IPV6, NetfilterConstants.TYPE_IP6ADDR, (8, 24));
        batch.Run(socket).OrThrow(what);
        try
        {
            foreach (IGrouping<bool, ConnectionEnds> group in connections.GroupBy(ends => ends.IsInet4))
            {
                foreach (byte[][] some in KeysOf(group).Chunk(KeysInMessage))
                {
                    var keys = new NftablesBatch();
                    keys.AddKeys(Family, table, group.Key ? Set4 : Set6, some);
                    keys.Run(socket).OrThrow(what);
                }
            }
        }
        catch
        {
            _ = new NftablesBatch().DeleteTable(Family, table).Run(socket);
            throw;
        }
    }

    // Each once: the kernel refuses no key that is there already, but a pair within the list is one connection.
    private static IEnumerable<byte[]> KeysOf(IEnumerable<ConnectionEnds> connections)
        => connections.SelectMany(ends => (IEnumerable<byte[]>)[ends.ToKey(), ends.Mirrored.ToKey()]).DistinctBy(Convert.ToHexString);

    private static NftablesBatch Begin(string table, bool isOwned, uint policy)
    {
        var batch = new NftablesBatch();
        batch.AddTable(Family, table, isOwned ? NetfilterConstants.NFT_TABLE_F_OWNER : 0);
        foreach ((string name, uint hook) in Chains)
        {
            batch.AddFilterChain(Family, table, name, hook, Priority, policy);
            uint mark = Mark;
            batch.AddRule(Family, table, name, rule => rule
                .LoadMeta(NetfilterConstants.NFT_META_MARK, NetfilterConstants.NFT_REG_1)
                .Equal(NetfilterConstants.NFT_REG_1, MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in mark)))
                .Verdict(NetfilterConstants.NF_ACCEPT));
        }

        return batch;
    }

    // The key is what ConnectionEnds.ToKey gives.
    private static void AddSet(
        NftablesBatch batch, string table, string name, uint id, int size, byte protocol, uint type, (int Source, int Destination) offsets)
    {
        uint keyType = (((((type << 6) | NetfilterConstants.TYPE_INET_SERVICE) << 6) | type) << 6) | NetfilterConstants.TYPE_INET_SERVICE;
        uint words = (uint)size / sizeof(uint);
        const uint First = NetfilterConstants.NFT_REG32_00;
        batch.AddSet(Family, table, name, id, keyType, (2 * size) + (2 * sizeof(uint)));
        foreach ((string chain, _) in Chains)
        {
            batch.AddRule(Family, table, chain, rule => rule
                .LoadMeta(NetfilterConstants.NFT_META_NFPROTO, NetfilterConstants.NFT_REG_1)
                .Equal(NetfilterConstants.NFT_REG_1, [protocol])
                .LoadMeta(NetfilterConstants.NFT_META_L4PROTO, NetfilterConstants.NFT_REG_1)
                .Equal(NetfilterConstants.NFT_REG_1, [SocketLevel.IPPROTO_TCP])
                .LoadPayload(NetfilterConstants.NFT_PAYLOAD_NETWORK_HEADER, offsets.Source, size, First)
                .LoadPayload(NetfilterConstants.NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof(ushort), First + words)
                .LoadPayload(NetfilterConstants.NFT_PAYLOAD_NETWORK_HEADER, offsets.Destination, size, First + words + 1)
                .LoadPayload(NetfilterConstants.NFT_PAYLOAD_TRANSPORT_HEADER, sizeof(ushort), sizeof(ushort), First + (2 * words) + 1)
                .InSet(name, id, First)
                .Verdict(NetfilterConstants.NF_DROP));
        }
    }
}
