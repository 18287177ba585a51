namespace Firn.Linux.Abi;

/// <summary>Constants of tun and tap devices (include/uapi/linux/if_tun.h, if_link.h).</summary>
public static class TunConstants
{
    public const uint TUNSETIFF = 0x400454ca;
    public const uint TUNSETPERSIST = 0x400454cb;
    public const uint TUNSETOWNER = 0x400454cc;
    public const uint TUNSETGROUP = 0x400454ce;
    public const uint TUNSETOFFLOAD = 0x400454d0;
    public const uint TUNGETIFF = 0x800454d2;
    public const uint TUNGETSNDBUF = 0x800454d3;
    public const uint TUNSETSNDBUF = 0x400454d4;
    public const uint TUNGETVNETHDRSZ = 0x800454d7;
    public const uint TUNSETVNETHDRSZ = 0x400454d8;
    public const uint TUNSETQUEUE = 0x400454d9;
    public const uint TUNSETIFINDEX = 0x400454da;
    public const uint TUNGETDEVNETNS = 0x54e3;
    public const uint IFF_TUN = 1;
    public const uint IFF_TAP = 2;
    public const uint IFF_NAPI = 0x10;
    public const uint IFF_NAPI_FRAGS = 0x20;
    public const uint IFF_MULTI_QUEUE = 0x100;
    public const uint IFF_ATTACH_QUEUE = 0x200;
    public const uint IFF_DETACH_QUEUE = 0x400;
    public const uint IFF_PERSIST = 0x800;
    public const uint IFF_NO_PI = 0x1000;
    public const uint IFF_NOFILTER = 0x1000;
    public const uint IFF_VNET_HDR = 0x4000;
    public const uint TUN_F_CSUM = 1;
    public const uint TUN_F_TSO4 = 2;
    public const uint TUN_F_TSO6 = 4;
    public const ushort IFLA_TUN_OWNER = 1;
    public const ushort IFLA_TUN_GROUP = 2;
    public const ushort IFLA_TUN_TYPE = 3;
    public const ushort IFLA_TUN_PI = 4;
    public const ushort IFLA_TUN_VNET_HDR = 5;
    public const ushort IFLA_TUN_PERSIST = 6;
    public const ushort IFLA_TUN_MULTI_QUEUE = 7;
}
