using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Google.Protobuf;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>The rings of a packet socket: their shape, what they hold, and where the kernel stands in them.</summary>
/// <remarks>
/// <para>
/// Kernel: net/packet/af_packet.c; Documentation/networking/packet_mmap.rst. Firn maps the rings through its own descriptor, the one to
/// receive first. The kernel tells nobody which frame it fills next: of the receiving ring the times in the frames' heads do, and the
/// numbers of blocks in version 3; of the sending ring what waits to be sent does, or what was never used.
/// </para>
/// <para>
/// Made again, a ring is brought to where it stood by packets of a protocol for experiments (IEEE 802) over the loopback, before it is
/// bound to what it listens to; then it gets what it held.
/// </para>
/// </remarks>
internal sealed class PacketRings
{
    private const uint Version1 = 0;
    private const uint Version3 = 2;
    private const int MostBytes = 48 << 20;
    private const int PageSize = 4096;

    // ETH_P_* for experiments, 0x88B5, in the order of the network.
    private const ushort Experimental = 0xB588;
    private const int FrameLength = 64;
    private const int StepMilliseconds = 1;
    private const int MostSteps = 5000;

    // struct tpacket_block_desc (include/uapi/linux/if_packet.h).
    private const int BlockStatus = 8;
    private const int BlockPackets = 12;
    private const int BlockNumber = 24;

    private readonly uint version;
    private readonly PacketDiagRing? receiving;
    private readonly PacketDiagRing? sending;

    private PacketRings(uint version, PacketDiagRing? receiving, PacketDiagRing? sending)
    {
        this.version = version;
        this.receiving = receiving;
        this.sending = sending;
    }

    /// <summary>The length of both, as they are mapped: in bytes.</summary>
    public ulong Length => LengthOf(receiving) + LengthOf(sending);

    /// <summary>The rings of a socket, or null.</summary>
    public static PacketRings? Of(PacketSocketInfo info)
        => info.Receiving is null && info.Sending is null ? null : new PacketRings(info.Info.pdi_version, info.Receiving, info.Sending);

    // ---- dump

    /// <summary>Why they can't be saved, or null.</summary>
    public string? Objection(Fd socket)
    {
        using MappedMemory memory = Map(socket);
        return sending is { } ring && SentFrames(memory, ring) is null
            ? "frames have passed through its ring for sending, and the kernel doesn't tell which is the next"
            : Pages(memory).Sum(page => (long)page.Length) > MostBytes
                ? $"its rings hold more than {MostBytes >> 20} MiB"
                : null;
    }

    /// <summary>Adds shape, place and content to the message.</summary>
    public void Dump(Fd socket, PacketSockEntry entry)
    {
        using MappedMemory memory = Map(socket);
        var content = new PacketRingContent();
        if (receiving is { } rx)
        {
            entry.RxRing = ToMessage(rx);
            content.Received = version == Version3 ? ClosedBlocks(memory, rx) : ReceivedFrames(memory, rx);
        }

        if (sending is { } tx)
        {
            entry.TxRing = ToMessage(tx);
            content.Sent = SentFrames(memory, tx) ?? 0;
        }

        foreach (Range page in Pages(memory).Select(page => page.Range))
        {
            content.Parts.Add(new PacketRingPart
            {
                Offset = (ulong)page.Start.Value,
                Bytes = ByteString.CopyFrom(memory.Span[page]),
            });
        }

        entry.Content = content;
    }

    // Runs of pages that aren't empty.
    private static List<(Range Range, int Length)> Pages(MappedMemory memory)
    {
        List<(Range, int)> runs = [];
        int start = -1;
        for (int at = 0; at <= memory.Length; at += PageSize)
        {
            bool isUsed = at < memory.Length && memory.Slice(at, PageSize).ContainsAnyExcept((byte)0);
            if (isUsed && start < 0)
            {
                start = at;
            }
            else if (!isUsed && start >= 0)
            {
                runs.Add((start..at, at - start));
                start = -1;
            }
        }

        return runs;
    }

    // The next frame is the one behind the newest.
    private uint ReceivedFrames(MappedMemory memory, PacketDiagRing ring)
    {
        uint newest = 0;
        (uint Seconds, uint Fraction) latest = default;
        for (uint frame = 0; frame < ring.pdr_frame_nr; frame++)
        {
            ReadOnlySpan<byte> head = memory.Slice(OffsetOf(ring, frame), FrameLength / 2);
            int times = version == Version1 ? 20 : 16;
            (uint, uint) time = (Number(head[times..]), Number(head[(times + 4)..]));
            if (time.CompareTo(latest) > 0 || (time == latest && time != default && frame == newest))
            {
                latest = time;
                newest = frame + 1;
            }
        }

        return newest % ring.pdr_frame_nr;
    }

    // A block that isn't closed is the one that is filled. If all are closed, the oldest is waited for.
    private static uint ClosedBlocks(MappedMemory memory, PacketDiagRing ring)
    {
        uint newest = 0;
        ulong number = 0;
        for (uint block = 0; block < ring.pdr_block_nr; block++)
        {
            ulong its = BinaryPrimitives.ReadUInt64LittleEndian(memory.Slice((block * (long)ring.pdr_block_size) + BlockNumber, 8));
            if (its > number)
            {
                number = its;
                newest = block;
            }
        }

        // One that has packets is closed when its time is over, however still the tree is.
        ReadOnlySpan<byte> head = memory.Slice(newest * (long)ring.pdr_block_size, PageSize);
        for (int step = 0; step < MostSteps && Number(head[BlockStatus..]) == PacketConstants.TP_STATUS_KERNEL
            && Number(head[BlockPackets..]) > 0; step++)
        {
            Sys.Poll([], StepMilliseconds).OrThrow("poll(1 ms)");
        }

        bool isClosed = Number(head[BlockStatus..]) != PacketConstants.TP_STATUS_KERNEL;
        return isClosed ? ((newest + 1) % ring.pdr_block_nr) + ring.pdr_block_nr : newest;
    }

    // What waits to be sent begins with the next; else the next is the first that was never used.
    private uint? SentFrames(MappedMemory memory, PacketDiagRing ring)
    {
        uint? unused = null;
        uint? waiting = null;
        bool wasWaiting = IsWaiting(memory, ring, ring.pdr_frame_nr - 1);
        for (uint frame = 0; frame < ring.pdr_frame_nr; frame++)
        {
            bool isWaiting = IsWaiting(memory, ring, frame);
            waiting ??= isWaiting && !wasWaiting ? frame : null;
            wasWaiting = isWaiting;
            unused ??= Number(memory.Slice(SendingOffset(ring, frame) + LengthOffset, 4)) == 0 ? frame : null;
        }

        return waiting ?? (wasWaiting ? null : unused);
    }

    private bool IsWaiting(MappedMemory memory, PacketDiagRing ring, uint frame)
        => Number(memory.Slice(SendingOffset(ring, frame) + StatusOffset, 4)) == PacketConstants.TP_STATUS_SEND_REQUEST;

    private static PacketRing ToMessage(PacketDiagRing ring) => new()
    {
        BlockSize = ring.pdr_block_size,
        BlockNr = ring.pdr_block_nr,
        FrameSize = ring.pdr_frame_size,
        FrameNr = ring.pdr_frame_nr,
        RetireTmo = ring.pdr_retire_tmo,
        SizeofPriv = ring.pdr_sizeof_priv,
        Features = ring.pdr_features,
    };

    // ---- restore

    /// <summary>Makes the rings of a socket that isn't bound, and brings them to where they stood.</summary>
    public static void Restore(RestoreContext context, Fd socket, PacketSockEntry entry)
    {
        var rings = new PacketRings(entry.Version, Shape(entry.RxRing), Shape(entry.TxRing));
        if (rings.receiving is { } rx)
        {
            rings.Set(socket, PacketConstants.PACKET_RX_RING, rx);
        }

        if (rings.sending is { } tx)
        {
            rings.Set(socket, PacketConstants.PACKET_TX_RING, tx);
        }

        if (rings.Length > 0 && entry.Content is { } content)
        {
            using MappedMemory memory = rings.Map(socket);
            rings.Advance(socket, memory, content);
            rings.Fill(memory, content, entry.Id);
        }
    }

    private static PacketDiagRing? Shape(PacketRing? ring) => ring is null or { BlockNr: 0 } or { FrameNr: 0 }
        ? null
        : new PacketDiagRing
        {
            pdr_block_size = ring.BlockSize,
            pdr_block_nr = ring.BlockNr,
            pdr_frame_size = ring.FrameSize,
            pdr_frame_nr = ring.FrameNr,
            pdr_retire_tmo = ring.RetireTmo,
            pdr_sizeof_priv = ring.SizeofPriv,
            pdr_features = ring.Features,
        };

    private void Set(Fd socket, int option, PacketDiagRing ring)
    {
        var request = new TpacketReq3
        {
            tp_block_size = ring.pdr_block_size,
            tp_block_nr = ring.pdr_block_nr,
            tp_frame_size = ring.pdr_frame_size,
            tp_frame_nr = ring.pdr_frame_nr,
        };

        // A ring for sending has no blocks to be closed, and the kernel refuses what is of those.
        if (version == Version3 && option == PacketConstants.PACKET_RX_RING)
        {
            request.tp_retire_blk_tov = ring.pdr_retire_tmo;
            request.tp_sizeof_priv = ring.pdr_sizeof_priv;
            request.tp_feature_req_word = ring.pdr_features;
        }

        const int SizeBeforeVersion3 = 16;
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<TpacketReq3>(in request));
        Sys.SetSocketOption(socket.Number, SocketLevel.SOL_PACKET, option, version == Version3 ? bytes : bytes[..SizeBeforeVersion3])
            .OrThrow($"setsockopt({socket}, SOL_PACKET, {option}, {ring.pdr_block_nr} blocks of {ring.pdr_block_size} bytes)");
    }

    private void Advance(Fd socket, MappedMemory memory, PacketRingContent content)
    {
        uint sent = sending is { } tx ? content.Sent % tx.pdr_frame_nr : 0;
        uint received = receiving is { } rx ? content.Received % (2 * Math.Max(rx.pdr_frame_nr, rx.pdr_block_nr)) : 0;
        if (sent == 0 && received == 0)
        {
            return;
        }

        // The loopback must be up for that moment; in a new namespace it may be down.
        using RouteNetlink network = RouteNetlink.Open();
        LinkInfo loopback = network.ReadLinks().Find(link => link.IsLoopback)
            ?? throw new CheckpointException("a packet socket's ring can't be brought to its place without a loopback") { Phase = "files" };
        if (!loopback.IsUp)
        {
            network.SetFlags(loopback.Index, RouteConstants.IFF_UP, RouteConstants.IFF_UP);
        }

        try
        {
            var to = new SockaddrLl
            {
                sll_family = (ushort)SocketFamily.AF_PACKET,
                sll_protocol = Experimental,
                sll_ifindex = loopback.Index,
            };
            Send(socket, memory, to, sent);
            Receive(socket, memory, to, received);
        }
        finally
        {
            if (!loopback.IsUp)
            {
                network.SetFlags(loopback.Index, 0, RouteConstants.IFF_UP);
            }
        }
    }

    private void Send(Fd socket, MappedMemory memory, SockaddrLl to, uint frames)
    {
        for (uint frame = 0; frame < frames; frame++)
        {
            long offset = SendingOffset(sending!.Value, frame);
            BinaryPrimitives.WriteUInt32LittleEndian(memory.Slice(offset + LengthOffset, 4), FrameLength);
            BinaryPrimitives.WriteUInt32LittleEndian(memory.Slice(offset + StatusOffset, 4), PacketConstants.TP_STATUS_SEND_REQUEST);
            Sys.SendTo(socket.Number, [], MessageFlags.None, MemoryMarshal.AsBytes(new ReadOnlySpan<SockaddrLl>(in to)))
                .OrThrow($"sendto({socket}, ring)");
        }
    }

    private void Receive(Fd socket, MappedMemory memory, SockaddrLl to, uint steps)
    {
        if (steps == 0)
        {
            return;
        }

        PacketDiagRing ring = receiving!.Value;
        bool hasBlocks = version == Version3;
        uint count = hasBlocks ? ring.pdr_block_nr : ring.pdr_frame_nr;
        using var sender = new Fd(Sys.Socket(SocketFamily.AF_PACKET, SocketType.SOCK_DGRAM | SocketType.SOCK_CLOEXEC, 0)
            .OrThrow("socket(AF_PACKET, SOCK_DGRAM)").Int32);
        PacketSocket.Bind(socket, to.sll_ifindex, Experimental);
        byte[] packet = new byte[FrameLength];
        for (uint step = 0; step < steps; step++)
        {
            uint at = step % count;
            long status = hasBlocks ? (at * (long)ring.pdr_block_size) + BlockStatus : OffsetOf(ring, at);
            BinaryPrimitives.WriteUInt32LittleEndian(memory.Slice(status, 4), PacketConstants.TP_STATUS_KERNEL);
            Sys.SendTo(sender.Number, packet, MessageFlags.None, MemoryMarshal.AsBytes(new ReadOnlySpan<SockaddrLl>(in to)))
                .OrThrow("sendto(loopback, a packet to bring a ring forward)");
            Await(memory, status);
        }

        PacketSocket.Bind(socket, 0, 0);
        _ = Sys.GetSocketOption(socket.Number, SocketLevel.SOL_PACKET, PacketConstants.PACKET_STATISTICS, new byte[12], out _);
    }

    // The kernel closes a block when its time is over.
    private static void Await(MappedMemory memory, long status)
    {
        for (int step = 0; Number(memory.Slice(status, 4)) == PacketConstants.TP_STATUS_KERNEL; step++)
        {
            if (step == MostSteps)
            {
                throw new CheckpointException("the loopback gave no packet to bring a packet socket's ring to its place")
                {
                    Phase = "files",
                };
            }

            Sys.Poll([], StepMilliseconds).OrThrow("poll(1 ms)");
        }
    }

    private void Fill(MappedMemory memory, PacketRingContent content, uint id)
    {
        // Where the kernel fills a block, it has its own idea of what is in it already.
        long kept = version == Version3 && receiving is { } ring && content.Received < ring.pdr_block_nr
            ? content.Received * (long)ring.pdr_block_size
            : -1;
        byte[] head = kept < 0 ? [] : memory.Slice(kept, PageSize).ToArray();
        memory.Span.Clear();
        foreach (PacketRingPart part in content.Parts)
        {
            if (part.Offset > (ulong)memory.Length || (ulong)part.Bytes.Length > (ulong)memory.Length - part.Offset)
            {
                throw new ImageFormatException(
                    "files.img", -1, "packet-ring", $"the ring of file {id} holds more than fits; the image is damaged: dump again");
            }

            part.Bytes.Span.CopyTo(memory.Slice((long)part.Offset, part.Bytes.Length));
        }

        if (kept >= 0 && Number(head.AsSpan(BlockStatus)) == PacketConstants.TP_STATUS_KERNEL)
        {
            head.AsSpan(0, BlockNumber + sizeof(ulong)).CopyTo(memory.Slice(kept, PageSize));
        }

        // What was on its way then has been sent since.
        for (uint frame = 0; sending is { } tx && frame < tx.pdr_frame_nr; frame++)
        {
            Span<byte> status = memory.Slice(SendingOffset(tx, frame) + StatusOffset, 4);
            if (Number(status) == PacketConstants.TP_STATUS_SENDING)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(status, PacketConstants.TP_STATUS_AVAILABLE);
            }
        }
    }

    // ---- both

    private int StatusOffset => version == Version3 ? 20 : 0;

    private int LengthOffset => version switch { Version1 => 8, Version3 => 16, _ => 4 };

    private MappedMemory Map(Fd socket)
        => MappedMemory.Map(
            socket.Number, 0, checked((long)Length), ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE, MapFlags.MAP_SHARED);

    private long SendingOffset(PacketDiagRing ring, uint frame) => (long)LengthOf(receiving) + OffsetOf(ring, frame);

    // A block holds whole frames (packet_mmap.rst).
    private static long OffsetOf(PacketDiagRing ring, uint frame)
    {
        uint each = Math.Max(1, ring.pdr_block_size / Math.Max(1, ring.pdr_frame_size));
        return (frame / each * (long)ring.pdr_block_size) + (frame % each * (long)ring.pdr_frame_size);
    }

    private static ulong LengthOf(PacketDiagRing? ring) => ring is { } shape ? (ulong)shape.pdr_block_size * shape.pdr_block_nr : 0;

    private static uint Number(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt32LittleEndian(bytes);
}
