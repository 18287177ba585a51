using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>All tables of nftables of a network namespace, as messages that make them again.</summary>
/// <remarks>
/// Each is a message of the kernel's own list without what the kernel gives by itself: handles, counts of users. Kernel:
/// net/netfilter/nf_tables_api.c. The order is that in which they can be made: tables, flow tables, chains, objects, sets, their elements,
/// and rules; a chain that is part of a rule gets its own rules before.
/// </remarks>
public static class NftablesRuleset
{
    private const int HeaderSize = 16;
    private const int FamilyHeaderSize = 4;
    private const int SendBuffer = 64 << 20;
    private const ushort Create = NetlinkConstants.NLM_F_CREATE;

    // What is listed, what it is made by, its attributes that belong to the kernel, and flags.
    private static readonly (ushort List, ushort Made, ushort[] Dropped, ushort Flags)[] Kinds =
    [
        (NetfilterConstants.NFT_MSG_GETTABLE, NetfilterConstants.NFT_MSG_NEWTABLE, [3, 4, 7], Create),
        (NetfilterConstants.NFT_MSG_GETFLOWTABLE, NetfilterConstants.NFT_MSG_NEWFLOWTABLE, [4, 5], Create),
        (NetfilterConstants.NFT_MSG_GETCHAIN, NetfilterConstants.NFT_MSG_NEWCHAIN, [2, 6, 11], Create),
        (NetfilterConstants.NFT_MSG_GETOBJ, NetfilterConstants.NFT_MSG_NEWOBJ, [5, 6], Create),
        (NetfilterConstants.NFT_MSG_GETSET, NetfilterConstants.NFT_MSG_NEWSET, [10, 16, 19, 20], Create),
        (NetfilterConstants.NFT_MSG_GETSETELEM, NetfilterConstants.NFT_MSG_NEWSETELEM, [4], Create),
        (NetfilterConstants.NFT_MSG_GETRULE, NetfilterConstants.NFT_MSG_NEWRULE, [3, 6, 9],
            Create | NetlinkConstants.NLM_F_APPEND),
    ];

    /// <summary>A table.</summary>
    /// <param name="Family">NFPROTO_*.</param>
    /// <param name="Name">Its name.</param>
    /// <param name="IsOwned">Whether it goes when the socket is closed that has made it.</param>
    public readonly record struct Table(byte Family, string Name, bool IsOwned);

    /// <summary>Lists the tables.</summary>
    /// <returns>None, too, where the kernel has no nftables.</returns>
    /// <exception cref="LinuxException">The kernel refuses to say.</exception>
    public static List<Table> ReadTables()
    {
        using NetlinkSocket? socket = TryOpen();
        return socket is null ? [] : ReadTables(socket);
    }

    /// <summary>Reads all but what is in tables that are owned.</summary>
    /// <returns>Messages, each with its header.</returns>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static List<byte[]> Read()
    {
        using NetlinkSocket? socket = TryOpen();
        List<Table> tables = socket is null ? [] : ReadTables(socket);
        List<byte[]> all = [];
        if (tables.TrueForAll(table => table.IsOwned))
        {
            return all;
        }

        HashSet<(byte, string)> wanted = [.. tables.Where(table => !table.IsOwned).Select(table => (table.Family, table.Name))];
        List<byte[]> sets = [];
        foreach ((ushort list, ushort made, ushort[] dropped, ushort flags) in Kinds)
        {
            List<byte[]> found = list == NetfilterConstants.NFT_MSG_GETSETELEM
                ? [.. sets.SelectMany(set => List(socket!, list, ElementsOf(set)))
                    .Where(some => !ValueOf(some, NetfilterConstants.NFTA_SET_ELEM_LIST_ELEMENTS).IsEmpty)]
                : List(socket!, list, new byte[FamilyHeaderSize]);
            found.RemoveAll(payload => !wanted.Contains((payload[0], TextOf(payload, 1))));
            if (made == NetfilterConstants.NFT_MSG_NEWSET)
            {
                sets = found;
            }

            IEnumerable<byte[]> ordered = made == NetfilterConstants.NFT_MSG_NEWRULE ? InnermostFirst(found) : found;
            all.AddRange(ordered.Select(payload => Message(made, flags, Acceptable(made, Without(payload, dropped)))));
        }

        return all;
    }

    /// <summary>Makes tables and all that is in them, in one step.</summary>
    /// <param name="messages">What <see cref="Read"/> gave.</param>
    /// <returns>0, or -errno of the first that failed: then none was made.</returns>
    /// <exception cref="FormatException">One is no message that makes a part of a table.</exception>
    /// <exception cref="LinuxException">The kernel has no nftables.</exception>
    public static SysResult Write(IEnumerable<byte[]> messages)
    {
        List<NetlinkMessage> changes = [];
        uint set = 0;
        foreach (byte[] message in messages)
        {
            if (message.Length < HeaderSize + FamilyHeaderSize
                || MemoryMarshal.Read<Nlmsghdr>(message) is var header
                    && (header.nlmsg_type >> 8 != NetfilterConstants.NFNL_SUBSYS_NFTABLES
                        || Array.FindIndex(Kinds, kind => kind.Made == (header.nlmsg_type & 0xff)) < 0))
            {
                throw new FormatException("no message that makes a part of a table of nftables");
            }

            ushort made = (ushort)(MemoryMarshal.Read<Nlmsghdr>(message).nlmsg_type & 0xff);
            ushort flags = Array.Find(Kinds, kind => kind.Made == made).Flags;
            NetlinkMessage change = new NetlinkMessage(
                (ushort)((NetfilterConstants.NFNL_SUBSYS_NFTABLES << 8) | made), flags).Raw(message.AsSpan(HeaderSize));

            // Sets are told apart by a number while they are being made.
            changes.Add(made == NetfilterConstants.NFT_MSG_NEWSET
                ? change.AddNetworkOrder(NetfilterConstants.NFTA_SET_ID, ++set)
                : change);
        }

        if (changes.Count == 0)
        {
            return default;
        }

        var fd = new Fd(Sys.Socket(
            SocketFamily.AF_NETLINK, SocketType.SOCK_RAW | SocketType.SOCK_CLOEXEC, NetfilterConstants.NETLINK_NETFILTER)
            .OrThrow("socket(AF_NETLINK, NETLINK_NETFILTER)").Int32);
        using var socket = new NetlinkSocket(fd);
        foreach (int option in (ReadOnlySpan<int>)[SocketOption.SO_SNDBUFFORCE, SocketOption.SO_RCVBUFFORCE])
        {
            Sys.SetSocketOption(fd.Number, SocketLevel.SOL_SOCKET, option, SendBuffer).OrThrow($"setsockopt(SOL_SOCKET, {option})");
        }

        return socket.RequestTogether(
            Border(NetfilterConstants.NFNL_MSG_BATCH_BEGIN), changes, Border(NetfilterConstants.NFNL_MSG_BATCH_END));
    }

    private static NetlinkMessage Border(ushort type) => new NetlinkMessage(type).Header(new Nfgenmsg
    {
        res_id = BinaryPrimitives.ReverseEndianness(NetfilterConstants.NFNL_SUBSYS_NFTABLES),
    });

    private static NetlinkSocket? TryOpen()
    {
        SysResult made = Sys.Socket(
            SocketFamily.AF_NETLINK, SocketType.SOCK_RAW | SocketType.SOCK_CLOEXEC, NetfilterConstants.NETLINK_NETFILTER);
        return made.Errno == Errno.EPROTONOSUPPORT
            ? null
            : new NetlinkSocket(new Fd(made.OrThrow("socket(AF_NETLINK, NETLINK_NETFILTER)").Int32));
    }

    private static List<Table> ReadTables(NetlinkSocket socket)
        => List(socket, NetfilterConstants.NFT_MSG_GETTABLE, new byte[FamilyHeaderSize]).ConvertAll(payload => new Table(
            payload[0],
            TextOf(payload, NetfilterConstants.NFTA_TABLE_NAME),
            (NumberOf(payload, NetfilterConstants.NFTA_TABLE_FLAGS) & NetfilterConstants.NFT_TABLE_F_OWNER) != 0));

    private static List<byte[]> List(NetlinkSocket socket, ushort message, byte[] request)
    {
        List<byte[]> found = [];
        SysResult result = socket.DumpBytes(
            (ushort)((NetfilterConstants.NFNL_SUBSYS_NFTABLES << 8) | message),
            request,
            found.Clear,
            payload => found.Add(payload.ToArray()));

        // EINVAL, EOPNOTSUPP: a kernel without the whole, or without this part.
        if (result.Errno is not (Errno.EINVAL or Errno.EOPNOTSUPP or Errno.ENOENT))
        {
            result.OrThrow($"list {message} of nftables");
        }

        return found.FindAll(payload => payload.Length >= FamilyHeaderSize);
    }

    // A list of elements is asked for set by set.
    private static byte[] ElementsOf(byte[] set)
    {
        List<byte> request = [set[0], 0, 0, 0];
        NetlinkEditing.Append(request, NetfilterConstants.NFTA_SET_ELEM_LIST_TABLE, ValueOf(set, NetfilterConstants.NFTA_SET_TABLE));
        NetlinkEditing.Append(request, NetfilterConstants.NFTA_SET_ELEM_LIST_SET, ValueOf(set, NetfilterConstants.NFTA_SET_NAME));
        return [.. request];
    }

    // A chain that is part of a rule can't get rules any more once that rule is there; so its rules come before.
    private static IEnumerable<byte[]> InnermostFirst(List<byte[]> rules)
    {
        List<(byte[] Bytes, string Name, List<byte[]> Rules)> chains = [];
        foreach (byte[] rule in rules)
        {
            string name = TextOf(rule, NetfilterConstants.NFTA_RULE_CHAIN);
            string table = TextOf(rule, NetfilterConstants.NFTA_RULE_TABLE);
            int at = chains.FindIndex(
                chain => chain.Name == name && chain.Rules[0][0] == rule[0]
                    && TextOf(chain.Rules[0], NetfilterConstants.NFTA_RULE_TABLE) == table);
            if (at < 0)
            {
                chains.Add((Encoding.UTF8.GetBytes(name + "\0"), name, [rule]));
            }
            else
            {
                chains[at].Rules.Add(rule);
            }
        }

        HashSet<byte[]> done = [];
        foreach ((byte[] Bytes, string Name, List<byte[]> Rules) chain in chains)
        {
            foreach (byte[] rule in Chain(chain))
            {
                yield return rule;
            }
        }

        IEnumerable<byte[]> Chain((byte[] Bytes, string Name, List<byte[]> Rules) chain)
        {
            const string Inner = "__chain";
            if (!done.Add(chain.Rules[0]))
            {
                yield break;
            }

            foreach (byte[] rule in chain.Rules)
            {
                foreach ((byte[] Bytes, string Name, List<byte[]> Rules) inner in chains.Where(
                    inner => inner.Name.StartsWith(Inner, StringComparison.Ordinal) && rule.AsSpan().IndexOf(inner.Bytes) >= 0))
                {
                    foreach (byte[] before in Chain(inner))
                    {
                        yield return before;
                    }
                }
            }

            foreach (byte[] rule in chain.Rules)
            {
                yield return rule;
            }
        }
    }

    private static byte[] Message(ushort made, ushort flags, byte[] payload)
    {
        byte[] message = new byte[HeaderSize + payload.Length];
        var header = new Nlmsghdr
        {
            nlmsg_len = (uint)message.Length,
            nlmsg_type = (ushort)((NetfilterConstants.NFNL_SUBSYS_NFTABLES << 8) | made),
            nlmsg_flags = (ushort)(flags | NetlinkConstants.NLM_F_REQUEST),
        };
        MemoryMarshal.Write(message, in header);
        payload.CopyTo(message, HeaderSize);
        return message;
    }

    // The number of the generation, in the header, is of the list alone.
    private static byte[] Without(ReadOnlySpan<byte> payload, ushort[] types)
        =>
        [
            payload[0], 0, 0, 0,
            .. NetlinkEditing.Change(payload[FamilyHeaderSize..], (type, value) => types.Contains(type) ? null : value),
        ];

    // What the kernel tells and doesn't take: a time of elements that end an interval, and flags of an expression that writes an option.
    private static byte[] Acceptable(ushort made, byte[] payload) => made switch
    {
        NetfilterConstants.NFT_MSG_NEWSETELEM => ChangeWithin(
            payload,
            NetfilterConstants.NFTA_SET_ELEM_LIST_ELEMENTS,
            element => (NumberIn(element, NetfilterConstants.NFTA_SET_ELEM_FLAGS) & NetfilterConstants.NFT_SET_ELEM_INTERVAL_END) == 0
                ? element
                : NetlinkEditing.Change(element, (type, value) => type
                    is NetfilterConstants.NFTA_SET_ELEM_TIMEOUT or NetfilterConstants.NFTA_SET_ELEM_EXPIRATION ? null : value)),
        NetfilterConstants.NFT_MSG_NEWRULE => ChangeWithin(
            payload,
            NetfilterConstants.NFTA_RULE_EXPRESSIONS,
            expression => NetlinkEditing.Value(expression, NetfilterConstants.NFTA_EXPR_NAME).SequenceEqual("exthdr\0"u8)
                ? NetlinkEditing.Change(expression, (type, value) => type == NetfilterConstants.NFTA_EXPR_DATA
                    && !NetlinkEditing.Value(value, NetfilterConstants.NFTA_EXTHDR_SREG).IsEmpty
                        ? NetlinkEditing.Change(value, (inner, content) => inner == NetfilterConstants.NFTA_EXTHDR_FLAGS ? null : content)
                        : value)
                : expression),
        _ => payload,
    };

    private static byte[] ChangeWithin(byte[] payload, ushort list, Func<byte[], byte[]> item)
        => [.. payload[..FamilyHeaderSize], .. NetlinkEditing.Change(payload.AsSpan(FamilyHeaderSize), (type, value) => type == list
            ? NetlinkEditing.Change(value, (_, element) => item(element))
            : value)];

    private static ReadOnlySpan<byte> ValueOf(ReadOnlySpan<byte> payload, ushort type)
        => NetlinkEditing.Value(payload[FamilyHeaderSize..], type);

    private static string TextOf(ReadOnlySpan<byte> payload, ushort type)
        => Encoding.UTF8.GetString(ValueOf(payload, type).TrimEnd((byte)0));

    private static uint NumberOf(ReadOnlySpan<byte> payload, ushort type) => NumberIn(payload[FamilyHeaderSize..], type);

    private static uint NumberIn(ReadOnlySpan<byte> within, ushort type)
        => NetlinkEditing.Value(within, type) is { Length: >= sizeof(uint) } value ? BinaryPrimitives.ReadUInt32BigEndian(value) : 0;
}
