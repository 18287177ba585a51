using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Constants of rtnetlink(7) (include/uapi/linux/rtnetlink.h, if.h, if_link.h).</summary>
public static class RouteConstants
{
    public const ushort RTM_NEWLINK = 16;
    public const ushort RTM_GETLINK = 18;
    public const ushort IFLA_IFNAME = 3;
    public const ushort IFLA_LINKINFO = 18;
    public const ushort IFLA_INFO_KIND = 1;
    public const uint IFF_UP = 1;
    public const uint IFF_LOOPBACK = 8;
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
