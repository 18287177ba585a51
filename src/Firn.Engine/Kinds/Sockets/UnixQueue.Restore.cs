using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Google.Protobuf;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>The restore half.</summary>
internal static partial class UnixQueue
{
    // ---- restore

    /// <summary>Fills a queue.</summary>
    /// <param name="message">The socket.</param>
    /// <param name="peer">The other end, where it has one.</param>
    /// <param name="queue">What to put there.</param>
    /// <param name="names">The names of Unix sockets.</param>
    /// <param name="named">Finds a datagram socket of the tree by name.</param>
    /// <param name="cargo">Makes the control messages that go with a packet.</param>
    /// <exception cref="LinuxException">The kernel doesn't take it.</exception>
    public static void Fill(
        UnixSkEntry message,
        Fd? peer,
        List<(SkPacketEntry Message, ReadOnlyMemory<byte> Bytes)> queue,
        UnixNames names,
        Func<ByteString, Fd?> named,
        UnixCargo cargo)
    {
        foreach ((SkPacketEntry packet, ReadOnlyMemory<byte> bytes) in queue)
        {
            using UnixCargo.Load load = cargo.Of(packet);
            if (peer is not null)
            {
                Send(peer, bytes.Span, message, packet, load, default);
            }
            else if (packet.HasSource && named(packet.Source) is { } sender)
            {
                names.WithAddress(message, address => Send(sender, bytes.Span, message, packet, load, address));
            }
            else
            {
                // From a socket that is gone; its name, where it had one, can be had for a moment.
                using var passing = new Fd(
                    Sys.Socket(
                        SocketFamily.AF_UNIX,
                        SocketType.SOCK_DGRAM | SocketType.SOCK_CLOEXEC).OrThrow("socket(AF_UNIX, SOCK_DGRAM)").Int32);
                if (packet.HasSource)
                {
                    names.BindForAMoment(passing, new UnixSkEntry { Name = packet.Source });
                }

                names.WithAddress(message, address => Send(passing, bytes.Span, message, packet, load, address));
            }
        }
    }

    private static void Send(
        Fd sender, ReadOnlySpan<byte> bytes, UnixSkEntry message, SkPacketEntry packet, UnixCargo.Load load, ReadOnlySpan<byte> address)
    {
        MessageFlags flags = MessageFlags.MSG_DONTWAIT | MessageFlags.MSG_NOSIGNAL | (packet.OutOfBand ? MessageFlags.MSG_OOB : 0);
        bool isStream = message.Type == (uint)SocketType.SOCK_STREAM;
        bool hasGrown = false;
        ReadOnlySpan<byte> control = load.Control;
        do
        {
            SysResult sent = Sys.SendMessage(sender.Number, bytes, control, address, flags);
            if (!hasGrown && sent.Errno is Errno.EAGAIN or Errno.EMSGSIZE)
            {
                // The options come later, and set the size that it had.
                hasGrown = true;
                SocketOptions.GrowSendBuffer(sender, (2 * bytes.Length) + (64 * 1024));
                continue;
            }

            int length = sent.OrThrow(
                $"send of {bytes.Length} bytes into the queue of unix socket {UnixSocket.NameText(message.Name.Span)} (file "
                    + $"{message.Id})").Int32;
            bytes = isStream ? bytes[length..] : default;
            control = load.Later;
        }
        while (!bytes.IsEmpty);
    }
}
