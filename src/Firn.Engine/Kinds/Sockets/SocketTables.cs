using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>What the kernel's lists say of the sockets of the tree's network namespace, asked for once for a dump.</summary>
/// <remarks>The thread is in that namespace while files are looked at and dumped. sock_diag(7).</remarks>
internal sealed class SocketTables
{
    private readonly Dictionary<uint, InetSockets> inet = [];
    private Dictionary<ulong, UnixSocketInfo>? unix;
    private Dictionary<ulong, PacketSocketInfo>? packet;
    private HashSet<ulong>? netlinkLists;
    private Dictionary<ulong, OpenFile>? files;
    private Dictionary<ulong, ulong>? listenerOf;

    /// <summary>Network namespaces of the tree that its root is not in.</summary>
    public IReadOnlyList<DumpedNamespace> Nested { get; set; } = [];

    /// <summary>All Unix sockets, by inode number.</summary>
    public Dictionary<ulong, UnixSocketInfo> Unix
    {
        get
        {
            if (unix is null)
            {
                using var diag = SockDiag.Open();
                unix = diag.ReadUnix();
                foreach (DumpedNamespace nested in Nested)
                {
                    using NamespaceVisit visit = nested.Visit();
                    using var there = SockDiag.Open();
                    foreach ((ulong inode, UnixSocketInfo info) in there.ReadUnix())
                    {
                        unix.TryAdd(inode, info);
                    }
                }
            }

            return unix;
        }
    }

    /// <summary>All sockets of TCP and UDP of one of the tree's namespaces.</summary>
    public InetSockets InetOf(DumpedNamespace network)
    {
        if (!inet.TryGetValue(network.Id, out InetSockets? sockets))
        {
            using NamespaceVisit? visit = network.IsNested ? network.Visit() : null;
            using var diag = SockDiag.Open();
            inet.Add(network.Id, sockets = diag.ReadInet());
        }

        return sockets;
    }

    /// <summary>All packet sockets, by inode number.</summary>
    public Dictionary<ulong, PacketSocketInfo> Packet
    {
        get
        {
            if (packet is null)
            {
                using var diag = SockDiag.Open();
                packet = diag.ReadPacket();
                foreach (DumpedNamespace nested in Nested)
                {
                    using NamespaceVisit visit = nested.Visit();
                    using var there = SockDiag.Open();
                    foreach ((ulong inode, PacketSocketInfo info) in there.ReadPacket())
                    {
                        packet.TryAdd(inode, info);
                    }
                }
            }

            return packet;
        }
    }

    /// <summary>Netlink sockets that have asked for a list which isn't at its end, by inode number.</summary>
    public IReadOnlySet<ulong> NetlinkLists
    {
        get
        {
            if (netlinkLists is null)
            {
                using var diag = SockDiag.Open();
                netlinkLists = diag.ReadNetlinkLists();
                foreach (DumpedNamespace nested in Nested)
                {
                    using NamespaceVisit visit = nested.Visit();
                    using var there = SockDiag.Open();
                    netlinkLists.UnionWith(there.ReadNetlinkLists());
                }
            }

            return netlinkLists;
        }
    }

    /// <summary>Whether a file is a socket itself, and not its name in a file system.</summary>
    public static bool IsSocket(OpenFile file)
        => file is { IsSocket: true, IsDescriptor: true } && file.Link.StartsWith("socket:[", StringComparison.Ordinal);

    /// <summary>The address family of a socket.</summary>
    /// <exception cref="LinuxException">The descriptor can't be taken.</exception>
    public static SocketFamily FamilyOf(OpenFile file) => (SocketFamily)Option(file, SocketOption.SO_DOMAIN);

    /// <summary>An option of SOL_SOCKET that is an int.</summary>
    /// <exception cref="LinuxException">It can't be read.</exception>
    public static int Option(OpenFile file, int option)
    {
        Sys.GetSocketOption(file.Taken.Number, SocketLevel.SOL_SOCKET, option, out int value)
            .OrThrow($"getsockopt(SOL_SOCKET, {option}) of pid {file.Owner.Pid} fd {file.Number}");
        return value;
    }

    /// <summary>The socket of the tree with an inode number, or null.</summary>
    public OpenFile? Find(DumpContext context, ulong inode)
    {
        if (files is null)
        {
            files = [];
            foreach (OpenFile file in context.Files.Files.Where(IsSocket))
            {
                files.TryAdd(file.Stat.st_ino, file);
            }
        }

        return files.GetValueOrDefault(inode);
    }

    /// <summary>The listener in whose queue a connected socket still waits to be accepted; 0 for none.</summary>
    public ulong ListenerOf(ulong client)
    {
        if (listenerOf is null)
        {
            listenerOf = [];
            foreach (UnixSocketInfo listener in Unix.Values)
            {
                foreach (ulong pending in listener.PendingClients.Where(pending => pending != 0))
                {
                    listenerOf[pending] = listener.Inode;
                }
            }
        }

        return listenerOf.GetValueOrDefault(client);
    }

    /// <summary>The id of the network namespace that a socket lives in: not always that of its task.</summary>
    public static uint NamespaceOf(DumpContext context, OpenFile file)
        => Find(context, file, out _)?.Id ?? file.Owner.Ids.NetNsId;

    /// <summary>The network namespace that a socket lives in, which is one of the tree's.</summary>
    public static DumpedNamespace NetworkOf(DumpContext context, OpenFile file)
        => Find(context, file, out _) ?? context.Namespace(CloneFlags.CLONE_NEWNET);

    /// <summary>Refuses a socket that lives in a network namespace without a task of the tree.</summary>
    public static bool IsInOwnNamespace(DumpContext context, OpenFile file)
    {
        if (Find(context, file, out ulong inode) is not null)
        {
            return true;
        }

        context.Problems.Add(
            "socket-namespace", file.Owner.Pid, $"fd {file.Number}: socket of the network namespace {inode}",
            "no task of the tree is in that namespace, so that the namespace isn't saved",
            "let the program close it before the dump");
        return false;
    }

    private static DumpedNamespace? Find(DumpContext context, OpenFile file, out ulong inode)
    {
        DumpedNamespace roots = context.Namespace(CloneFlags.CLONE_NEWNET);
        inode = roots.Inode;
        SysResult result = Sys.Ioctl(file.Taken.Number, SocketIoctl.SIOCGSKNS);
        if (result.IsError)
        {
            return roots;
        }

        using var fd = new Fd(result.Int32);
        Sys.Fstat(fd.Number, out FileStat stat).OrThrow("fstat of a network namespace");
        ulong its = inode = stat.st_ino;
        return its == roots.Inode ? roots : context.Of(CloneFlags.CLONE_NEWNET).FirstOrDefault(found => found.Inode == its);
    }
}
