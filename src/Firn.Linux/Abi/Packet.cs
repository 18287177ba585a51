using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Constants of packet(7) and of its diagnosis (include/uapi/linux/if_packet.h, packet_diag.h).</summary>
public static class PacketConstants
{
    public const int PACKET_ADD_MEMBERSHIP = 1;
    public const int PACKET_RX_RING = 5;
    public const int PACKET_STATISTICS = 6;
    public const int PACKET_COPY_THRESH = 7;
    public const int PACKET_AUXDATA = 8;
    public const int PACKET_ORIGDEV = 9;
    public const int PACKET_VERSION = 10;
    public const int PACKET_RESERVE = 12;
    public const int PACKET_TX_RING = 13;
    public const int PACKET_LOSS = 14;
    public const int PACKET_VNET_HDR = 15;
    public const int PACKET_TIMESTAMP = 17;
    public const int PACKET_FANOUT = 18;
    public const int PACKET_QDISC_BYPASS = 20;
    public const int PACKET_IGNORE_OUTGOING = 23;
    public const int PACKET_FANOUT_CBPF = 6;
    public const int PACKET_FANOUT_EBPF = 7;
    public const int PACKET_SHOW_INFO = 1;
    public const int PACKET_SHOW_MCLIST = 2;
    public const int PACKET_SHOW_RING_CFG = 4;
    public const int PACKET_SHOW_FANOUT = 8;
    public const ushort PACKET_DIAG_INFO = 0;
    public const ushort PACKET_DIAG_MCLIST = 1;
    public const ushort PACKET_DIAG_RX_RING = 2;
    public const ushort PACKET_DIAG_TX_RING = 3;
    public const ushort PACKET_DIAG_FANOUT = 4;
    public const uint PDI_RUNNING = 1;
    public const uint PDI_AUXDATA = 2;
    public const uint PDI_ORIGDEV = 4;
    public const uint PDI_VNETHDR = 8;
    public const uint PDI_LOSS = 0x10;
    public const uint TP_STATUS_KERNEL = 0;
    public const uint TP_STATUS_USER = 1;
    public const uint TP_STATUS_AVAILABLE = 0;
    public const uint TP_STATUS_SEND_REQUEST = 1;
    public const uint TP_STATUS_SENDING = 2;
}

/// <summary>struct packet_diag_req (include/uapi/linux/packet_diag.h).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct PacketDiagReq
{
    public byte sdiag_family;
    public byte sdiag_protocol;
    public ushort pad;
    public uint pdiag_ino;
    public uint pdiag_show;
    public ulong pdiag_cookie;
}

/// <summary>struct packet_diag_msg (include/uapi/linux/packet_diag.h).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct PacketDiagMsg
{
    public byte pdiag_family;
    public byte pdiag_type;
    public ushort pdiag_num;
    public uint pdiag_ino;
    public ulong pdiag_cookie;
}

/// <summary>struct packet_diag_info (include/uapi/linux/packet_diag.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct PacketDiagInfo
{
    public uint pdi_index;
    public uint pdi_version;
    public uint pdi_reserve;
    public uint pdi_copy_thresh;
    public uint pdi_tstamp;
    public uint pdi_flags;
}

/// <summary>struct packet_diag_ring (include/uapi/linux/packet_diag.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct PacketDiagRing
{
    public uint pdr_block_size;
    public uint pdr_block_nr;
    public uint pdr_frame_size;
    public uint pdr_frame_nr;
    public uint pdr_retire_tmo;
    public uint pdr_sizeof_priv;
    public uint pdr_features;
}

/// <summary>struct tpacket_req3 (include/uapi/linux/if_packet.h); its first four members are tpacket_req.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct TpacketReq3
{
    public uint tp_block_size;
    public uint tp_block_nr;
    public uint tp_frame_size;
    public uint tp_frame_nr;
    public uint tp_retire_blk_tov;
    public uint tp_sizeof_priv;
    public uint tp_feature_req_word;
}

/// <summary>struct sockaddr_ll (packet(7)), up to its address; the protocol is in network order.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
public struct SockaddrLl
{
    public ushort sll_family;
    public ushort sll_protocol;
    public int sll_ifindex;
    public ushort sll_hatype;
    public byte sll_pkttype;
    public byte sll_halen;
    public ulong sll_addr;
}
