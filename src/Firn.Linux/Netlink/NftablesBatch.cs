using System.Buffers.Binary;
using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>Changes to the tables of nftables, which are made together or not at all (include/uapi/linux/netfilter/nf_tables.h).</summary>
public sealed class NftablesBatch
{
    private readonly List<NetlinkMessage> changes = [];

    /// <summary>How many changes there are.</summary>
    public int Count => changes.Count;

    /// <summary>Adds a change of any kind.</summary>
    /// <param name="message">NFT_MSG_*.</param>
    /// <param name="flags">NLM_F_CREATE and the like.</param>
    /// <param name="family">NFPROTO_*.</param>
    /// <param name="attributes">Adds its attributes.</param>
    public NftablesBatch Add(ushort message, ushort flags, byte family, Action<NetlinkMessage> attributes)
    {
        ArgumentNullException.ThrowIfNull(attributes);
        NetlinkMessage change = new NetlinkMessage(
                (ushort)((NetfilterConstants.NFNL_SUBSYS_NFTABLES << 8) | message), flags)
            .Header(new Nfgenmsg { nfgen_family = family });
        attributes(change);
        changes.Add(change);
        return this;
    }

    /// <summary>Adds a table.</summary>
    /// <param name="family">NFPROTO_*.</param>
    /// <param name="name">Its name.</param>
    /// <param name="flags">NFT_TABLE_F_*: with _OWNER it goes when the socket is closed that has made it.</param>
    public NftablesBatch AddTable(byte family, string name, uint flags = 0) => Add(
        NetfilterConstants.NFT_MSG_NEWTABLE,
        NetlinkConstants.NLM_F_CREATE | NetlinkConstants.NLM_F_EXCL,
        family,
        to => to.Add(NetfilterConstants.NFTA_TABLE_NAME, name).AddNetworkOrder(NetfilterConstants.NFTA_TABLE_FLAGS, flags));

    /// <summary>Deletes a table, with all that is in it.</summary>
    public NftablesBatch DeleteTable(byte family, string name) => Add(
        NetfilterConstants.NFT_MSG_DELTABLE, 0, family, to => to.Add(NetfilterConstants.NFTA_TABLE_NAME, name));

    /// <summary>Adds a chain of the type `filter`.</summary>
    /// <param name="family">NFPROTO_*.</param>
    /// <param name="table">Its table.</param>
    /// <param name="name">Its name.</param>
    /// <param name="hook">NF_INET_*.</param>
    /// <param name="priority">Who comes first: the lower.</param>
    /// <param name="policy">NF_ACCEPT or NF_DROP.</param>
    public NftablesBatch AddFilterChain(byte family, string table, string name, uint hook, int priority, uint policy) => Add(
        NetfilterConstants.NFT_MSG_NEWCHAIN,
        NetlinkConstants.NLM_F_CREATE,
        family,
        to => to.Add(NetfilterConstants.NFTA_CHAIN_TABLE, table)
            .Add(NetfilterConstants.NFTA_CHAIN_NAME, name)
            .Add(NetfilterConstants.NFTA_CHAIN_TYPE, "filter")
            .AddNetworkOrder(NetfilterConstants.NFTA_CHAIN_POLICY, policy)
            .Nest(
                NetfilterConstants.NFTA_CHAIN_HOOK | NetlinkConstants.NLA_F_NESTED,
                to => to.AddNetworkOrder(NetfilterConstants.NFTA_HOOK_HOOKNUM, hook)
                    .AddNetworkOrder(NetfilterConstants.NFTA_HOOK_PRIORITY, (uint)priority)));

    /// <summary>Adds a rule at the end of a chain.</summary>
    /// <param name="family">NFPROTO_*.</param>
    /// <param name="table">Its table.</param>
    /// <param name="chain">Its chain.</param>
    /// <param name="expressions">Adds its expressions.</param>
    public NftablesBatch AddRule(byte family, string table, string chain, Action<NftablesExpressions> expressions) => Add(
        NetfilterConstants.NFT_MSG_NEWRULE,
        NetlinkConstants.NLM_F_CREATE | NetlinkConstants.NLM_F_APPEND,
        family,
        to => to.Add(NetfilterConstants.NFTA_RULE_TABLE, table)
            .Add(NetfilterConstants.NFTA_RULE_CHAIN, chain)
            .Nest(
                NetfilterConstants.NFTA_RULE_EXPRESSIONS | NetlinkConstants.NLA_F_NESTED,
                inner => expressions(new NftablesExpressions(inner))));

    /// <summary>Adds a set of keys.</summary>
    /// <param name="family">NFPROTO_*.</param>
    /// <param name="table">Its table.</param>
    /// <param name="name">Its name.</param>
    /// <param name="id">A number that tells it from other sets of this batch.</param>
    /// <param name="keyType">What nft(8) shows: NetfilterConstants.TYPE_*, six bits for each part.</param>
    /// <param name="keyLength">Bytes of a key.</param>
    public NftablesBatch AddSet(byte family, string table, string name, uint id, uint keyType, int keyLength) => Add(
        NetfilterConstants.NFT_MSG_NEWSET,
        NetlinkConstants.NLM_F_CREATE,
        family,
        to => to.Add(NetfilterConstants.NFTA_SET_TABLE, table)
            .Add(NetfilterConstants.NFTA_SET_NAME, name)
            .AddNetworkOrder(NetfilterConstants.NFTA_SET_FLAGS, 0)
            .AddNetworkOrder(NetfilterConstants.NFTA_SET_KEY_TYPE, keyType)
            .AddNetworkOrder(NetfilterConstants.NFTA_SET_KEY_LEN, (uint)keyLength)
            .AddNetworkOrder(NetfilterConstants.NFTA_SET_ID, id));

    /// <summary>Adds keys to a set: some hundred at most, since the length of an attribute has 16 bits.</summary>
    public NftablesBatch AddKeys(byte family, string table, string set, IEnumerable<byte[]> keys) => Add(
        NetfilterConstants.NFT_MSG_NEWSETELEM,
        NetlinkConstants.NLM_F_CREATE,
        family,
        to => to.Add(NetfilterConstants.NFTA_SET_ELEM_LIST_TABLE, table)
            .Add(NetfilterConstants.NFTA_SET_ELEM_LIST_SET, set)
            .Nest(NetfilterConstants.NFTA_SET_ELEM_LIST_ELEMENTS | NetlinkConstants.NLA_F_NESTED, list =>
            {
                foreach (byte[] key in keys)
                {
                    list.Nest(NetfilterConstants.NFTA_LIST_ELEM | NetlinkConstants.NLA_F_NESTED, element => element.Nest(
                        NetfilterConstants.NFTA_SET_ELEM_KEY | NetlinkConstants.NLA_F_NESTED,
                        data => data.Add(NetfilterConstants.NFTA_DATA_VALUE, key)));
                }
            }));

    /// <summary>Makes all changes.</summary>
    /// <param name="socket">A socket of NETLINK_NETFILTER, in the network namespace in question.</param>
    /// <returns>0, or -errno of the first change that failed: then none was made.</returns>
    public SysResult Run(NetlinkSocket socket)
    {
        ArgumentNullException.ThrowIfNull(socket);
        return changes.Count == 0 ? default : socket.RequestTogether(
            Border(NetfilterConstants.NFNL_MSG_BATCH_BEGIN), changes, Border(NetfilterConstants.NFNL_MSG_BATCH_END));
    }

    private static NetlinkMessage Border(ushort type) => new NetlinkMessage(type).Header(new Nfgenmsg
    {
        res_id = BinaryPrimitives.ReverseEndianness(NetfilterConstants.NFNL_SUBSYS_NFTABLES),
    });
}

/// <summary>The expressions of a rule, in their order. Registers of 4 bytes count from NFT_REG32_00, those of 16 from NFT_REG_1.</summary>
/// <param name="list">NFTA_RULE_EXPRESSIONS, under construction.</param>
public sealed class NftablesExpressions(NetlinkMessage list)
{
    /// <summary>Loads a fact about the packet into a register.</summary>
    /// <param name="key">NFT_META_*.</param>
    /// <param name="register">NFT_REG*.</param>
    public NftablesExpressions LoadMeta(uint key, uint register) => Add("meta", to => to
        .AddNetworkOrder(NetfilterConstants.NFTA_META_KEY, key)
        .AddNetworkOrder(NetfilterConstants.NFTA_META_DREG, register));

    /// <summary>Loads bytes of the packet into a register.</summary>
    /// <param name="header">NFT_PAYLOAD_*_HEADER.</param>
    /// <param name="offset">From the start of that header.</param>
    /// <param name="length">How many.</param>
    /// <param name="register">NFT_REG*.</param>
    public NftablesExpressions LoadPayload(uint header, int offset, int length, uint register) => Add("payload", to => to
        .AddNetworkOrder(NetfilterConstants.NFTA_PAYLOAD_DREG, register)
        .AddNetworkOrder(NetfilterConstants.NFTA_PAYLOAD_BASE, header)
        .AddNetworkOrder(NetfilterConstants.NFTA_PAYLOAD_OFFSET, (uint)offset)
        .AddNetworkOrder(NetfilterConstants.NFTA_PAYLOAD_LEN, (uint)length));

    /// <summary>Leaves the rule unless a register has a value.</summary>
    public NftablesExpressions Equal(uint register, ReadOnlySpan<byte> value)
    {
        byte[] copy = value.ToArray();
        return Add("cmp", to => to
            .AddNetworkOrder(NetfilterConstants.NFTA_CMP_SREG, register)
            .AddNetworkOrder(NetfilterConstants.NFTA_CMP_OP, NetfilterConstants.NFT_CMP_EQ)
            .Nest(
                NetfilterConstants.NFTA_CMP_DATA | NetlinkConstants.NLA_F_NESTED,
                data => data.Add(NetfilterConstants.NFTA_DATA_VALUE, copy)));
    }

    /// <summary>Leaves the rule unless what begins with a register is a key of a set of this batch.</summary>
    public NftablesExpressions InSet(string set, uint id, uint register) => Add("lookup", to => to
        .Add(NetfilterConstants.NFTA_LOOKUP_SET, set)
        .AddNetworkOrder(NetfilterConstants.NFTA_LOOKUP_SREG, register)
        .AddNetworkOrder(NetfilterConstants.NFTA_LOOKUP_SET_ID, id));

    /// <summary>Decides.</summary>
    /// <param name="verdict">NF_ACCEPT or NF_DROP.</param>
    public NftablesExpressions Verdict(uint verdict) => Add("immediate", to => to
        .AddNetworkOrder(NetfilterConstants.NFTA_IMMEDIATE_DREG, NetfilterConstants.NFT_REG_VERDICT)
        .Nest(NetfilterConstants.NFTA_IMMEDIATE_DATA | NetlinkConstants.NLA_F_NESTED, data => data.Nest(
            NetfilterConstants.NFTA_DATA_VERDICT | NetlinkConstants.NLA_F_NESTED,
            code => code.AddNetworkOrder(NetfilterConstants.NFTA_VERDICT_CODE, verdict))));

    /// <summary>Adds an expression of any kind.</summary>
    /// <param name="name">Its kind.</param>
    /// <param name="attributes">Adds its attributes.</param>
    public NftablesExpressions Add(string name, Action<NetlinkMessage> attributes)
    {
        list.Nest(NetfilterConstants.NFTA_LIST_ELEM | NetlinkConstants.NLA_F_NESTED, to => to
            .Add(NetfilterConstants.NFTA_EXPR_NAME, name)
            .Nest(NetfilterConstants.NFTA_EXPR_DATA | NetlinkConstants.NLA_F_NESTED, attributes));
        return this;
    }
}
