using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Google.Protobuf;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>The datagrams that wait in a socket of UDP or UDP-Lite: both halves. CRIU loses them.</summary>
/// <remarks>
/// They are peeked at one by one, each with its sender and the address it was sent to (SO_PEEK_OFF, IP_PKTINFO), and come in again over the
/// loopback with the same. When they came, and what the kernel notes at arrival, is lost. net/ipv4/udp.c.
/// </remarks>
internal static class DatagramQueue
{
    private const int LongestDatagram = 0x10000;
    private const int NameSize = 28;
    private const int ControlSize = 512;
    private const int InetHeaderSize = 20;
    private const int Inet6HeaderSize = 40;
    private const int UdpHeaderSize = 8;
    private const int HopLimit = 64;

    // struct in_pktinfo: interface, local address, destination; struct in6_pktinfo: destination, interface.
    private const int PktinfoDestination = 8;

    // ---- dump

    /// <summary>Saves the queue.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static void Dump(DumpContext context, OpenFile file, SocketFamily family)
    {
        PollEvents events = InetSocket.Poll(file.Taken);
        bool hasError = events.HasFlag(PollEvents.POLLERR);
        bool hasData = events.HasFlag(PollEvents.POLLIN);
        bool isKilled = !context.Options.LeaveRunning && !context.Options.LeaveStopped;
        if (hasError)
        {
            // To look further takes the error away, which then nobody misses.
            context.Log.LogWarning(
                "pid {Pid} {Resource}: an error waits in a UDP socket and is lost{More}",
                file.Owner.Pid,
                file.Resource,
                hasData && !isKilled
                    ? ", and with it what waits behind it: it is saved where the tree is killed by the dump"
                    : string.Empty);
        }

        if (hasData && !hasError)
        {
            Read(context, file, family, ImageKind.SkQueues);
        }
        else if (hasData && isKilled)
        {
            context.AfterKill.Add(() =>
            {
                InetOptions.Get(file.Taken, SocketLevel.SOL_SOCKET, SocketOption.SO_ERROR);
                Read(context, file, family, ImageKind.SkLate);
            });
        }
    }

    private static void Read(DumpContext context, OpenFile file, SocketFamily family, ImageKind kind)
    {
        var looking = new Looking(context.Files.State.Get<SocketScript>(), file.Taken, family);
        int position = 0;
        for (bool isFirst = true; ; isFirst = false)
        {
            List<SocketLook> seen = looking.Many(position, isFirst);

            // A datagram without data is seen from SO_PEEK_OFF on once only, but from the queue's head at any time: UnixQueue.
            foreach (SocketLook look in isFirst && seen[0].Result.Raw > 0 ? seen.Skip(1) : seen)
            {
                if (look.Result.Errno == Errno.EAGAIN)
                {
                    return;
                }

                int length = look.Result.OrThrow($"recvmsg({file.Taken}, MSG_PEEK)").Int32;
                var packet = new SkPacketEntry
                {
                    IdFor = file.Id,
                    Length = (uint)length,
                    Source = ByteString.CopyFrom(look.Address),
                };
                if (Destination(look.Control) is { } destination)
                {
                    packet.Destination = ByteString.CopyFrom(destination);
                }

                context.Images.Add(kind, 0, packet, look.Data.ToArray());
                position += length;
            }
        }
    }

    private static byte[]? Destination(ReadOnlySpan<byte> control)
    {
        while (control.Length >= Marshal.SizeOf<Cmsghdr>())
        {
            Cmsghdr header = MemoryMarshal.Read<Cmsghdr>(control);
            if (header.cmsg_len < Marshal.SizeOf<Cmsghdr>() || header.cmsg_len > control.Length)
            {
                return null;
            }

            ReadOnlySpan<byte> value = control[Marshal.SizeOf<Cmsghdr>()..(int)header.cmsg_len];
            if (header is { cmsg_level: SocketLevel.SOL_IP, cmsg_type: IpOption.IP_PKTINFO } && value.Length >= PktinfoDestination + 4)
            {
                return value.Slice(PktinfoDestination, 4).ToArray();
            }

            if (header is { cmsg_level: SocketLevel.IPPROTO_IPV6, cmsg_type: Ipv6Option.IPV6_PKTINFO } && value.Length >= 16)
            {
                return value[..16].ToArray();
            }

            control = control[Math.Min(control.Length, ((int)header.cmsg_len + 7) & ~7)..];
        }

        return null;
    }

    // ---- restore

    /// <summary>Lets the datagrams of a socket, which is bound, come in again.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static void Restore(RestoreContext context, InetSkEntry message, Fd socket)
    {
        long bytes = 0;
        foreach (ImageEntry entry in context.Files.State.Get<Waiting>().Of(context, message.Id))
        {
            var packet = (SkPacketEntry)entry.Message;
            InetAddress? source = Read(packet.Source.Span);
            byte[] to = packet.Destination.Length is 4 or 16
                ? packet.Destination.ToByteArray()
                : InetAddress.Of(message.SrcAddr, 0, 0).Bytes;
            if (source is null || message.SrcPort == 0)
            {
                throw new ImageFormatException(
                    "sk-queues.img", 0, "datagram-source",
                    $"has a datagram for the socket with the id {message.Id}, and not who has sent it");
            }

            bytes += entry.Payload.Length + 1024;
            SocketOptions.GrowReceiveBuffer(socket, (int)Math.Min(int.MaxValue / 2, (bytes * 2) + (1 << 16)));
            var destination = new InetAddress(to, (ushort)message.SrcPort, 0);
            Send(context, message.NsId, source.Value, destination, (byte)message.Proto, entry.Payload.Span);
        }

        if (bytes > 0)
        {
            SocketOptions.WriteBuffers(socket, message.Opts);
        }
    }

    private static InetAddress? Read(ReadOnlySpan<byte> name) => name.Length < 8 ? null
        : name[0] == (byte)SocketFamily.AF_INET ? new InetAddress(
            name[4..8].ToArray(), BinaryPrimitives.ReadUInt16BigEndian(name[2..]), 0)
        : name.Length >= 24 ? new InetAddress(name[8..24].ToArray(), BinaryPrimitives.ReadUInt16BigEndian(name[2..]), 0)
        : null;

    private static void Send(
        RestoreContext context, uint network, InetAddress source, InetAddress to, byte protocol, ReadOnlySpan<byte> data)
    {
        byte[] from = Unmapped(source.Bytes);
        byte[] dest = Unmapped(to.Bytes);
        bool isInet4 = from.Length == 4;
        if (dest.Length != from.Length || dest.AsSpan().IndexOfAnyExcept((byte)0) < 0)
        {
            // It was sent to some address of this machine: the loopback is one of all sockets at any address.
            dest = isInet4 ? IPAddress.Loopback.GetAddressBytes() : IPAddress.IPv6Loopback.GetAddressBytes();
        }

        byte[] packet = Packet(from, source.Port, dest, to.Port, protocol, data);
        Fd raw = context.Files.State.Get<RawSockets>().Of(network, isInet4);
        Sys.SendTo(raw.Number, packet, MessageFlags.None, Linux.SocketAddress.Inet(dest, 0))
            .OrThrow($"sendto({raw}): a datagram of {data.Length} bytes from {source}");
    }

    // Without a checksum over the data for UDP-Lite and IPv4, as RFC 3828 and 768 allow; IPv6 asks for one.
    private static byte[] Packet(byte[] from, ushort fromPort, byte[] to, ushort toPort, byte protocol, ReadOnlySpan<byte> data)
    {
        bool isInet4 = from.Length == 4;
        int start = isInet4 ? InetHeaderSize : Inet6HeaderSize;
        int size = UdpHeaderSize + data.Length;
        byte[] packet = new byte[start + size];
        if (isInet4)
        {
            packet[0] = 0x45;
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
            packet[8] = HopLimit;
            packet[9] = protocol;
            from.CopyTo(packet, 12);
            to.CopyTo(packet, 16);
        }
        else
        {
            packet[0] = 0x60;
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)size);
            packet[6] = protocol;
            packet[7] = HopLimit;
            from.CopyTo(packet, 8);
            to.CopyTo(packet, 24);
        }

        Span<byte> datagram = packet.AsSpan(start);
        BinaryPrimitives.WriteUInt16BigEndian(datagram, fromPort);
        BinaryPrimitives.WriteUInt16BigEndian(datagram[2..], toPort);
        BinaryPrimitives.WriteUInt16BigEndian(datagram[4..], (ushort)size);
        data.CopyTo(datagram[UdpHeaderSize..]);
        ushort sum = ForgedSegment.Checksum(from, to, (uint)size, protocol, datagram);
        BinaryPrimitives.WriteUInt16BigEndian(datagram[6..], sum == 0 ? ushort.MaxValue : sum);
        return packet;
    }

    /// <summary>Looks into a queue; what that changes of the socket is put back in the same call: <see cref="SocketScript"/>.</summary>
    private sealed class Looking(SocketScript script, Fd socket, SocketFamily family)
    {
        private const int AtOnce = 32;

        private readonly int offset = InetOptions.Get(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_PEEK_OFF);
        private readonly int info = InetOptions.Get(socket, SocketLevel.SOL_IP, IpOption.IP_PKTINFO);
        private readonly int info6 = family == SocketFamily.AF_INET6
            ? InetOptions.Get(socket, SocketLevel.IPPROTO_IPV6, Ipv6Option.IPV6_RECVPKTINFO)
            : -1;

        /// <summary>Some datagrams, from a position on; before them the head of the queue, if asked for.</summary>
        public List<SocketLook> Many(int position, bool withHead)
        {
            List<SocketLook> looks = [];
            SetInfo(1, 1);
            if (withHead)
            {
                SetOffset(-1);
                Look();
            }

            SetOffset(position);
            for (int i = 0; i < AtOnce; i++)
            {
                Look();
            }

            SetOffset(offset);
            SetInfo(info, info6);
            script.Run();
            return looks;

            void Look() => looks.Add(script.Peek(socket.Number, LongestDatagram, ControlSize, NameSize, MessageFlags.None));
        }

        private void SetOffset(int value) => script.Set(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PEEK_OFF, value);

        private void SetInfo(int value, int value6)
        {
            script.Set(socket.Number, SocketLevel.SOL_IP, IpOption.IP_PKTINFO, value);
            if (family == SocketFamily.AF_INET6)
            {
                script.Set(socket.Number, SocketLevel.IPPROTO_IPV6, Ipv6Option.IPV6_RECVPKTINFO, value6);
            }
        }
    }

    /// <summary>What waits in sockets, by the ids of these.</summary>
    private sealed class Waiting
    {
        private ILookup<uint, ImageEntry>? packets;

        public IEnumerable<ImageEntry> Of(RestoreContext context, uint id)
        {
            packets ??= context.Images.Entries(ImageKind.SkQueues).Concat(context.Images.Entries(ImageKind.SkLate))
                .ToLookup(entry => ((SkPacketEntry)entry.Message).IdFor);
            return packets[id];
        }
    }

    private static byte[] Unmapped(byte[] address)
        => address.Length == 16 && new IPAddress(address).IsIPv4MappedToIPv6 ? address[12..] : address;
}

/// <summary>The raw sockets by which a restore lets packets come in, made in the network namespace of the tree when first needed.</summary>
internal sealed class RawSockets : IDisposable
{
    private readonly Dictionary<(uint Network, bool IsInet4), Fd> sockets = [];

    /// <summary>That of a family, in a network namespace, which the thread is in when it asks for the first time.</summary>
    public Fd Of(uint network, bool isInet4)
    {
        if (!sockets.TryGetValue((network, isInet4), out Fd? socket))
        {
            sockets.Add((network, isInet4), socket = ForgedSegment.OpenSocket(isInet4));
        }

        return socket;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Fd socket in sockets.Values)
        {
            socket.Dispose();
        }
    }
}
