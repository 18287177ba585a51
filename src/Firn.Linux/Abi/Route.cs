using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Constants of rtnetlink(7) (include/uapi/linux/rtnetlink.h, if.h, if_link.h).</summary>
public static class RouteConstants
{
    public const ushort RTM_NEWLINK = 16;
    public const ushort RTM_GETLINK = 18;
    public const ushort RTM_NEWADDR = 20;
    public const ushort RTM_GETADDR = 22;
    public const ushort RTM_NEWROUTE = 24;
    public const ushort RTM_GETROUTE = 26;
    public const ushort RTM_NEWNEIGH = 28;
    public const ushort RTM_GETNEIGH = 30;
    public const ushort RTM_NEWRULE = 32;
    public const ushort RTM_DELRULE = 33;
    public const ushort RTM_GETRULE = 34;
    public const ushort RTM_GETQDISC = 38;
    public const ushort RTM_NEWNEXTHOP = 104;
    public const ushort RTM_GETNEXTHOP = 106;
    public const ushort IFLA_ADDRESS = 1;
    public const ushort IFLA_IFNAME = 3;
    public const ushort IFLA_MTU = 4;
    public const ushort IFLA_LINK = 5;
    public const ushort IFLA_MASTER = 10;
    public const ushort IFLA_TXQLEN = 13;
    public const ushort IFLA_LINKINFO = 18;
    public const ushort IFLA_GROUP = 27;
    public const ushort IFLA_NET_NS_FD = 28;
    public const ushort IFLA_NUM_TX_QUEUES = 31;
    public const ushort IFLA_NUM_RX_QUEUES = 32;
    public const ushort IFLA_LINK_NETNSID = 37;
    public const ushort RTM_NEWNSID = 88;
    public const ushort RTM_GETNSID = 90;
    public const ushort NETNSA_NSID = 1;
    public const ushort NETNSA_FD = 3;
    public const ushort IFLA_INFO_KIND = 1;
    public const ushort IFLA_INFO_DATA = 2;
    public const ushort IFLA_MACVLAN_MODE = 1;
    public const ushort IFLA_MACVLAN_FLAGS = 2;
    public const ushort VETH_INFO_PEER = 1;
    public const ushort RTA_OIF = 4;
    public const ushort RTA_GATEWAY = 5;
    public const ushort RTA_MULTIPATH = 9;
    public const ushort RTA_CACHEINFO = 12;
    public const ushort RTA_TABLE = 15;
    public const ushort RTA_VIA = 18;
    public const ushort RTA_ENCAP_TYPE = 21;
    public const ushort RTA_ENCAP = 22;
    public const ushort RTA_NH_ID = 30;
    public const ushort NHA_GROUP = 2;
    public const ushort NHA_OP_FLAGS = 14;
    public const ushort NDA_CACHEINFO = 3;
    public const ushort NDA_PROBES = 4;
    public const ushort NUD_PERMANENT = 0x80;
    public const byte RTPROT_KERNEL = 2;
    public const byte RT_TABLE_LOCAL = 255;
    public const byte RTNH_F_DEAD = 1;
    public const byte RTNH_F_ONLINK = 4;
    public const byte RTNH_F_LINKDOWN = 16;
    public const uint RTM_F_CLONED = 0x200;
    public const uint IFF_UP = 1;
    public const uint IFF_LOOPBACK = 8;
    public const uint IFF_NOARP = 0x80;
    public const uint IFF_PROMISC = 0x100;
    public const uint IFF_ALLMULTI = 0x200;
    public const uint IFF_MULTICAST = 0x1000;
}

/// <summary>struct ifinfomsg (include/uapi/linux/rtnetlink.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Ifinfomsg
{
    public byte ifi_family;
    public byte pad;
    public ushort ifi_type;
    public int ifi_index;
    public uint ifi_flags;
    public uint ifi_change;
}

/// <summary>struct rtmsg (include/uapi/linux/rtnetlink.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Rtmsg
{
    public byte rtm_family;
    public byte rtm_dst_len;
    public byte rtm_src_len;
    public byte rtm_tos;
    public byte rtm_table;
    public byte rtm_protocol;
    public byte rtm_scope;
    public byte rtm_type;
    public uint rtm_flags;
}

/// <summary>struct rtnexthop (include/uapi/linux/rtnetlink.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Rtnexthop
{
    public ushort rtnh_len;
    public byte rtnh_flags;
    public byte rtnh_hops;
    public int rtnh_ifindex;
}

/// <summary>struct ndmsg (include/uapi/linux/neighbour.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Ndmsg
{
    public byte ndm_family;
    public byte ndm_pad1;
    public ushort ndm_pad2;
    public int ndm_ifindex;
    public ushort ndm_state;
    public byte ndm_flags;
    public byte ndm_type;
}

/// <summary>struct nhmsg (include/uapi/linux/nexthop.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Nhmsg
{
    public byte nh_family;
    public byte nh_scope;
    public byte nh_protocol;
    public byte resvd;
    public uint nh_flags;
}

/// <summary>struct tcmsg (include/uapi/linux/rtnetlink.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Tcmsg
{
    public byte tcm_family;
    public byte tcm__pad1;
    public ushort tcm__pad2;
    public int tcm_ifindex;
    public uint tcm_handle;
    public uint tcm_parent;
    public uint tcm_info;
}
