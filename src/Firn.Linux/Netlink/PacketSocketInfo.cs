using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>A packet socket, as sock_diag(7) tells of it.</summary>
public sealed class PacketSocketInfo
{
    private const int MembershipSize = 44;
    private const int MembershipAddressOffset = 12;

    /// <summary>Its inode number.</summary>
    public required ulong Inode { get; init; }

    /// <summary>SOCK_RAW, SOCK_DGRAM or SOCK_PACKET.</summary>
    public required SocketType Type { get; init; }

    /// <summary>The protocol that it receives, as ETH_P_*, in the order of the host.</summary>
    public required ushort Protocol { get; init; }

    /// <summary>Interface, version of rings, reserve, threshold, source of times, flags.</summary>
    public PacketDiagInfo Info { get; private set; }

    /// <summary>The ring that it receives by, or null.</summary>
    public PacketDiagRing? Receiving { get; private set; }

    /// <summary>The ring that it sends by, or null.</summary>
    public PacketDiagRing? Sending { get; private set; }

    /// <summary>Whether it shares what comes with other sockets (PACKET_FANOUT).</summary>
    public bool HasFanout { get; private set; }

    /// <summary>Its memberships.</summary>
    public List<PacketMembership> Memberships { get; } = [];

    /// <summary>Understands a message.</summary>
    /// <param name="payload">The message, without the header of netlink.</param>
    /// <exception cref="LinuxException">It is too short (EPROTO).</exception>
    public static PacketSocketInfo Parse(ReadOnlySpan<byte> payload)
    {
        if (payload.Length < Unsafe.SizeOf<PacketDiagMsg>())
        {
            throw new LinuxException($"packet_diag_msg of {payload.Length} bytes", Errno.EPROTO);
        }

        PacketDiagMsg message = MemoryMarshal.Read<PacketDiagMsg>(payload);
        var info = new PacketSocketInfo
        {
            Inode = message.pdiag_ino,
            Type = (SocketType)message.pdiag_type,
            Protocol = message.pdiag_num,
        };
        var attributes = new NetlinkAttributes(payload[Unsafe.SizeOf<PacketDiagMsg>()..]);
        while (attributes.MoveNext())
        {
            info.Set(attributes.Type, attributes.Value);
        }

        return info;
    }

    private void Set(ushort type, ReadOnlySpan<byte> value)
    {
        switch (type)
        {
            case PacketConstants.PACKET_DIAG_INFO:
                Info = MemoryMarshal.Read<PacketDiagInfo>(value);
                break;
            case PacketConstants.PACKET_DIAG_RX_RING:
                Receiving = MemoryMarshal.Read<PacketDiagRing>(value);
                break;
            case PacketConstants.PACKET_DIAG_TX_RING:
                Sending = MemoryMarshal.Read<PacketDiagRing>(value);
                break;
            case PacketConstants.PACKET_DIAG_FANOUT:
                HasFanout = true;
                break;
            case PacketConstants.PACKET_DIAG_MCLIST:
                for (; value.Length >= MembershipSize; value = value[MembershipSize..])
                {
                    int length = Math.Min((int)MemoryMarshal.Read<ushort>(value[10..]), MembershipSize - MembershipAddressOffset);
                    Memberships.Add(new PacketMembership(
                        MemoryMarshal.Read<uint>(value),
                        MemoryMarshal.Read<uint>(value[4..]),
                        MemoryMarshal.Read<ushort>(value[8..]),
                        value.Slice(MembershipAddressOffset, length).ToArray()));
                }

                break;
        }
    }
}

/// <summary>A membership of a packet socket (PACKET_ADD_MEMBERSHIP).</summary>
/// <param name="Interface">The interface.</param>
/// <param name="Count">How often it was added.</param>
/// <param name="Type">PACKET_MR_*.</param>
/// <param name="Address">The address, for a group.</param>
public sealed record PacketMembership(uint Interface, uint Count, ushort Type, byte[] Address);
