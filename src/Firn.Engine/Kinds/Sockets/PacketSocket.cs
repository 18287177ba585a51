using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Google.Protobuf;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>Packet sockets: protocol, interface, options, memberships, fanout, filter, and rings.</summary>
/// <remarks>
/// Kernel: net/packet/af_packet.c, diag.c; packet(7). Packets that wait in the queue of one without a ring are lost with a warning: the
/// kernel shows the first alone. What is in a ring is kept (<see cref="PacketRings"/>).
/// </remarks>
internal sealed class PacketSocket : FileKind
{
    // packet(7): the older interface has a type of its own, and names the interface when it binds.
    private const SocketType SockPacket = (SocketType)10;
    private const int OldAddressSize = 16;
    private const uint NoFanout = uint.MaxValue;

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Packetsk;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => SocketTables.IsSocket(file) && SocketTables.FamilyOf(file) == SocketFamily.AF_PACKET;

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        if (!SocketTables.IsInOwnNamespace(context, file))
        {
            return;
        }

        PacketSocketInfo info = InfoOf(context, file);
        if (info.HasFanout && (Fanout(file) >> 16 & 0xff) is PacketConstants.PACKET_FANOUT_CBPF or PacketConstants.PACKET_FANOUT_EBPF)
        {
            Refuse(
                context, file, "packet-fanout", "a program chooses which socket of its fanout group gets a packet",
                "the kernel doesn't give the program back", "let the program use another way of fanout, or close it before the dump");
        }

        if (PacketRings.Of(info) is { } rings && rings.Objection(file.Taken) is { } reason)
        {
            Refuse(context, file, "packet-ring", "packet socket with a ring", reason, "let the program close it before the dump");
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        PacketSocketInfo info = InfoOf(context, file);
        var poll = new Pollfd { fd = file.Taken.Number, events = PollEvents.POLLIN };
        Sys.Poll(new Span<Pollfd>(ref poll), 0).OrThrow($"poll of pid {file.Owner.Pid} fd {file.Number}");
        if (info.Receiving is null && poll.revents.HasFlag(PollEvents.POLLIN))
        {
            context.Log.LogWarning(
                "pid {Pid} fd {Fd}: packets wait in the queue of a packet socket and are lost", file.Owner.Pid, file.Number);
        }

        entry.Psk = new PacketSockEntry
        {
            Id = file.Id,
            Type = (uint)info.Type,
            Protocol = BinaryPrimitives.ReverseEndianness(info.Protocol),
            Flags = (uint)file.Flags,
            Ifindex = info.Info.pdi_index,
            Fown = FileOwner.Dump(context, file),
            Opts = SocketOptions.Read(file.Taken, SocketFamily.AF_PACKET),
            Version = info.Info.pdi_version,
            Reserve = info.Info.pdi_reserve,
            AuxData = (info.Info.pdi_flags & PacketConstants.PDI_AUXDATA) != 0,
            OrigDev = (info.Info.pdi_flags & PacketConstants.PDI_ORIGDEV) != 0,
            VnetHdr = (info.Info.pdi_flags & PacketConstants.PDI_VNETHDR) != 0,
            Loss = (info.Info.pdi_flags & PacketConstants.PDI_LOSS) != 0,
            Timestamp = info.Info.pdi_tstamp,
            CopyThresh = info.Info.pdi_copy_thresh,
            NsId = SocketTables.NamespaceOf(context, file),
        };
        foreach (PacketMembership membership in info.Memberships)
        {
            // The format counts by repeating.
            for (uint i = 0; i < membership.Count; i++)
            {
                entry.Psk.Mclist.Add(new PacketMclist
                {
                    Index = membership.Interface,
                    Type = membership.Type,
                    Addr = ByteString.CopyFrom(membership.Address),
                });
            }
        }

        if (info.HasFanout)
        {
            entry.Psk.Fanout = (uint)Fanout(file);
        }

        if (Get(file.Taken, PacketConstants.PACKET_QDISC_BYPASS) != 0)
        {
            entry.Psk.QdiscBypass = true;
        }

        if (Get(file.Taken, PacketConstants.PACKET_IGNORE_OUTGOING) != 0)
        {
            entry.Psk.IgnoreOutgoing = true;
        }

        PacketRings.Of(info)?.Dump(file.Taken, entry.Psk);
    }

    /// <inheritdoc/>
    /// <remarks>The rings, as a whole.</remarks>
    public override bool IsMappable(DumpContext context, OpenFile file, ulong length)
        => PacketRings.Of(InfoOf(context, file)) is { } rings && rings.Length == length;

    private static PacketSocketInfo InfoOf(DumpContext context, OpenFile file)
        => context.Files.State.Get<SocketTables>().Packet.GetValueOrDefault(file.Stat.st_ino)
            ?? throw new CheckpointException(
                $"pid {file.Owner.Pid} fd {file.Number}: the kernel doesn't list this packet socket (packet_diag)")
            {
                Pid = file.Owner.Pid,
            };

    private static void Refuse(DumpContext context, OpenFile file, string identifier, string what, string reason, string remedy)
        => context.Problems.Add(identifier, file.Owner.Pid, $"fd {file.Number}: {what}", reason, remedy);

    private static int Fanout(OpenFile file) => Get(file.Taken, PacketConstants.PACKET_FANOUT);

    // What an older kernel doesn't know is at rest.
    private static int Get(Fd socket, int option)
        => Sys.GetSocketOption(socket.Number, SocketLevel.SOL_PACKET, option, out int value).IsError ? 0 : value;

    // ---- restore

    /// <inheritdoc/>
    /// <remarks>It receives from when it is bound, so that comes last. A protocol given to socket(2) would bind at once.</remarks>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        PacketSockEntry message = entry.Psk;
        var type = (SocketType)message.Type;
        var socket = new Fd(Sys.Socket(SocketFamily.AF_PACKET, type | SocketType.SOCK_CLOEXEC, 0)
            .OrThrow($"socket(AF_PACKET, {type}) of file {entry.Id}").Int32);
        Set(socket, PacketConstants.PACKET_VERSION, (int)message.Version);
        Set(socket, PacketConstants.PACKET_RESERVE, (int)message.Reserve);
        Set(socket, PacketConstants.PACKET_VNET_HDR, message.VnetHdr ? 1 : 0);
        Set(socket, PacketConstants.PACKET_LOSS, message.Loss ? 1 : 0);
        Set(socket, PacketConstants.PACKET_TIMESTAMP, (int)message.Timestamp);
        PacketRings.Restore(context, socket, message);
        SocketOptions.Write(socket, message.Opts);
        Set(socket, PacketConstants.PACKET_COPY_THRESH, (int)message.CopyThresh);
        Set(socket, PacketConstants.PACKET_AUXDATA, message.AuxData ? 1 : 0);
        Set(socket, PacketConstants.PACKET_ORIGDEV, message.OrigDev ? 1 : 0);
        Set(socket, PacketConstants.PACKET_QDISC_BYPASS, message.QdiscBypass ? 1 : 0);
        Set(socket, PacketConstants.PACKET_IGNORE_OUTGOING, message.IgnoreOutgoing ? 1 : 0);
        foreach (PacketMclist membership in message.Mclist)
        {
            Join(socket, membership);
        }

        Bind(socket, message);
        FileOwner.RestoreFlags(socket, message.Flags);
        return socket;
    }

    /// <inheritdoc/>
    /// <remarks>A group of fanout is of sockets that are bound alike.</remarks>
    public override void Link(RestoreContext context, FileEntry entry, Fd fd)
    {
        if (entry.Psk.HasFanout && entry.Psk.Fanout != NoFanout)
        {
            Set(fd, PacketConstants.PACKET_FANOUT, (int)entry.Psk.Fanout, isAlways: true);
        }
    }

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd) => FileOwner.Arm(context, entry.Psk.Fown, fd, fd.ToString());

    /// <summary>Binds a packet socket to an interface and a protocol, in the order of the network.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static void Bind(Fd socket, int index, ushort protocol)
    {
        var address = new SockaddrLl { sll_family = (ushort)SocketFamily.AF_PACKET, sll_ifindex = index, sll_protocol = protocol };
        Sys.Bind(socket.Number, MemoryMarshal.AsBytes(new ReadOnlySpan<SockaddrLl>(in address)))
            .OrThrow($"bind({socket}, interface {index}, protocol 0x{BinaryPrimitives.ReverseEndianness(protocol):x})");
    }

    private static void Bind(Fd socket, PacketSockEntry message)
    {
        if ((SocketType)message.Type != SockPacket)
        {
            if (message.Protocol != 0 || message.Ifindex != 0)
            {
                Bind(socket, (int)message.Ifindex, (ushort)message.Protocol);
            }
        }
        else if (message.Ifindex != 0 && InterfaceNames.NameOf(socket, message.Ifindex) is { } name)
        {
            byte[] address = new byte[OldAddressSize];
            BinaryPrimitives.WriteUInt16LittleEndian(address, (ushort)SocketFamily.AF_PACKET);
            Encoding.UTF8.GetBytes(name, address.AsSpan(2));
            Sys.Bind(socket.Number, address).OrThrow($"bind({socket}, {name})");
        }

        // Of an interface that is down the kernel says so once: the program knows.
        _ = Sys.GetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_ERROR, out _);
    }

    private static void Join(Fd socket, PacketMclist membership)
    {
        const int HeaderSize = 8;
        byte[] request = new byte[HeaderSize + Math.Max(8, membership.Addr.Length)];
        BinaryPrimitives.WriteInt32LittleEndian(request, (int)membership.Index);
        BinaryPrimitives.WriteUInt16LittleEndian(request.AsSpan(4), (ushort)membership.Type);
        BinaryPrimitives.WriteUInt16LittleEndian(request.AsSpan(6), (ushort)membership.Addr.Length);
        membership.Addr.Span.CopyTo(request.AsSpan(HeaderSize));
        Sys.SetSocketOption(socket.Number, SocketLevel.SOL_PACKET, PacketConstants.PACKET_ADD_MEMBERSHIP, request)
            .OrThrow($"setsockopt({socket}, PACKET_ADD_MEMBERSHIP, interface {membership.Index}, type {membership.Type})");
    }

    private static void Set(Fd socket, int option, int value, bool isAlways = false)
    {
        if (isAlways || value != 0)
        {
            Sys.SetSocketOption(socket.Number, SocketLevel.SOL_PACKET, option, value)
                .OrThrow($"setsockopt({socket}, SOL_PACKET, {option}, {value})");
        }
    }
}
