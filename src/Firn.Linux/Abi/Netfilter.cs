using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Constants of netfilter's netlink (include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h).</summary>
public static class NetfilterConstants
{
    public const int NETLINK_NETFILTER = 12;
    public const ushort NFNL_SUBSYS_NFTABLES = 10;
    public const ushort NFT_MSG_GETTABLE = 1;
}

/// <summary>struct nfgenmsg (include/uapi/linux/netfilter/nfnetlink.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Nfgenmsg
{
    public byte nfgen_family;
    public byte version;
    public ushort res_id;
}
