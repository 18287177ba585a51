using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>Connections that a network namespace keeps track of, and those that it expects (ctnetlink).</summary>
/// <remarks>Kernel: net/netfilter/nf_conntrack_netlink.c. Of the namespace that the thread is in.</remarks>
public static class TrackedConnections
{
    private const int HeaderSize = 16;
    private const int FamilyHeaderSize = 4;

    // IPS_SRC_NAT, IPS_DST_NAT (include/uapi/linux/netfilter/nf_conntrack_common.h).
    private const uint SourceChanged = 0x10;
    private const uint DestinationChanged = 0x20;

    // CTA_* (include/uapi/linux/netfilter/nfnetlink_conntrack.h).
    private const ushort Original = 1;
    private const ushort Reply = 2;
    private const ushort Status = 3;
    private const ushort NewSource = 6;
    private const ushort NewDestination = 13;
    private const ushort Master = 14;
    private const ushort Expected = 5;

    // Counters, users, id, context and times are the kernel's own; so is the id of an expectation.
    private static readonly ushort[] Dropped = [9, 10, 11, 12, 17, 19, 20];

    /// <summary>Lists connections.</summary>
    /// <param name="expected">Those that are expected, instead of those that are.</param>
    /// <returns>Messages with their headers, one behind the other.</returns>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static byte[] Read(bool expected)
    {
        SysResult made = Sys.Socket(
            SocketFamily.AF_NETLINK, SocketType.SOCK_RAW | SocketType.SOCK_CLOEXEC, NetfilterConstants.NETLINK_NETFILTER);
        if (made.Errno == Errno.EPROTONOSUPPORT)
        {
            return [];
        }

        using var socket = new NetlinkSocket(new Fd(made.OrThrow("socket(AF_NETLINK, NETLINK_NETFILTER)").Int32));
        List<byte> all = [];
        SysResult result = socket.DumpWhole(
            (ushort)(Subsystem(expected) | NetfilterConstants.IPCTNL_MSG_CT_GET), default(Nfgenmsg), all.Clear, whole =>
            {
                all.AddRange(whole);
                all.AddRange(new byte[-whole.Length & 3]);
            });

        // EINVAL, EOPNOTSUPP: a kernel that keeps track of nothing.
        if (result.Errno is not (Errno.EINVAL or Errno.EOPNOTSUPP or Errno.ENOENT))
        {
            result.OrThrow("list of tracked connections");
        }

        return [.. all];
    }

    /// <summary>Makes connections known.</summary>
    /// <param name="messages">What <see cref="Read"/> gave.</param>
    /// <param name="expected">Whether they are expected ones.</param>
    /// <returns>How many the kernel refused, and the last reason. One that is known already is none of them.</returns>
    /// <exception cref="LinuxException">The kernel keeps track of nothing.</exception>
    public static (int Refused, Errno Reason) Write(ReadOnlySpan<byte> messages, bool expected)
    {
        List<byte[]> all = [];
        while (messages.Length >= HeaderSize + FamilyHeaderSize)
        {
            int length = (int)Math.Min(MemoryMarshal.Read<Nlmsghdr>(messages).nlmsg_len, int.MaxValue);
            if (length < HeaderSize + FamilyHeaderSize || length > messages.Length)
            {
                break;
            }

            all.Add(messages[HeaderSize..length].ToArray());
            messages = messages[Math.Min(messages.Length, (length + 3) & ~3)..];
        }

        if (all.Count == 0)
        {
            return default;
        }

        // One that was expected comes after the one that it belongs to.
        using NetlinkSocket socket = NetlinkSocket.Open(NetfilterConstants.NETLINK_NETFILTER);
        int refused = 0;
        Errno reason = Errno.None;
        foreach (byte[] payload in all.OrderBy(one => NetlinkEditing.Value(one.AsSpan(FamilyHeaderSize), Master).IsEmpty ? 0 : 1))
        {
            byte[] attributes = expected
                ? NetlinkEditing.Change(payload.AsSpan(FamilyHeaderSize), (type, value) => type == Expected ? null : value)
                : Anew(payload.AsSpan(FamilyHeaderSize));
            SysResult result = socket.Request(new NetlinkMessage(
                    (ushort)(Subsystem(expected) | NetfilterConstants.IPCTNL_MSG_CT_NEW),
                    NetlinkConstants.NLM_F_CREATE | NetlinkConstants.NLM_F_EXCL)
                .Header(new Nfgenmsg { nfgen_family = payload[0] })
                .Raw(attributes));
            if (result.IsError && result.Errno != Errno.EEXIST)
            {
                refused++;
                reason = result.Errno;
            }
        }

        return (refused, reason);
    }

    private static int Subsystem(bool expected)
        => (expected ? NetfilterConstants.NFNL_SUBSYS_CTNETLINK_EXP : NetfilterConstants.NFNL_SUBSYS_CTNETLINK) << 8;

    // An address that is changed is asked for as such, and what answers are addressed to follows from that.
    private static byte[] Anew(ReadOnlySpan<byte> attributes)
    {
        byte[] original = NetlinkEditing.Value(attributes, Original).ToArray();
        byte[] reply = NetlinkEditing.Value(attributes, Reply).ToArray();
        ReadOnlySpan<byte> bits = NetlinkEditing.Value(attributes, Status);
        uint status = bits.Length >= sizeof(uint) ? BinaryPrimitives.ReadUInt32BigEndian(bits) : 0;
        bool hasSource = (status & SourceChanged) != 0;
        bool hasDestination = (status & DestinationChanged) != 0;
        byte[] answered = Join(
            hasDestination ? End(original, 1) : End(reply, 0), hasSource ? End(original, 0) : End(reply, 1), reply);
        List<byte> all =
        [
            .. NetlinkEditing.Change(attributes, (type, value) => Dropped.Contains(type) ? null : type == Reply ? answered : value),
        ];
        if (hasSource)
        {
            NetlinkEditing.Append(all, NewSource | NetlinkConstants.NLA_F_NESTED, Range(End(reply, 1)));
        }

        if (hasDestination)
        {
            NetlinkEditing.Append(all, NewDestination | NetlinkConstants.NLA_F_NESTED, Range(End(reply, 0)));
        }

        return [.. all];
    }

    // CTA_TUPLE_IP has the two addresses, of either family; CTA_TUPLE_PROTO the number of the protocol and the two ports.
    private static (byte[] Address, byte[] Port) End(ReadOnlySpan<byte> tuple, int which)
    {
        ReadOnlySpan<byte> addresses = NetlinkEditing.Value(tuple, 1);
        ReadOnlySpan<byte> address = NetlinkEditing.Value(addresses, (ushort)(1 + which));
        address = address.IsEmpty ? NetlinkEditing.Value(addresses, (ushort)(3 + which)) : address;
        return (address.ToArray(), NetlinkEditing.Value(NetlinkEditing.Value(tuple, 2), (ushort)(2 + which)).ToArray());
    }

    private static byte[] Join((byte[] Address, byte[] Port) source, (byte[] Address, byte[] Port) destination, byte[] like)
        => NetlinkEditing.Change(like, (part, inner) => part switch
        {
            1 => NetlinkEditing.Change(inner, (type, _) => type is 1 or 3 ? source.Address : destination.Address),
            2 => NetlinkEditing.Change(inner, (type, value) => type switch
            {
                2 => source.Port,
                3 => destination.Port,
                _ => value,
            }),
            _ => inner,
        });

    // CTA_NAT_V4_MINIP, V4_MAXIP, PROTO, V6_MINIP, V6_MAXIP.
    private static byte[] Range((byte[] Address, byte[] Port) end)
    {
        List<byte> range = [];
        bool isInet4 = end.Address.Length == sizeof(uint);
        NetlinkEditing.Append(range, isInet4 ? (ushort)1 : (ushort)4, end.Address);
        NetlinkEditing.Append(range, isInet4 ? (ushort)2 : (ushort)5, end.Address);
        if (end.Port.Length > 0)
        {
            List<byte> ports = [];
            NetlinkEditing.Append(ports, 1, end.Port);
            NetlinkEditing.Append(ports, 2, end.Port);
            NetlinkEditing.Append(range, 3 | NetlinkConstants.NLA_F_NESTED, [.. ports]);
        }

        return [.. range];
    }
}
