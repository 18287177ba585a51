using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Google.Protobuf;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>Puts what was saved of a Unix socket's queue back into it, by sending it again.</summary>
internal static class UnixQueue
{
    /// <summary>Fills a queue.</summary>
    /// <param name="message">The socket.</param>
    /// <param name="socket">Its descriptor.</param>
    /// <param name="peer">The other end, where it has one.</param>
    /// <param name="queue">What to put there.</param>
    /// <param name="names">The names of Unix sockets.</param>
    /// <param name="named">Finds a datagram socket of the tree by name.</param>
    /// <exception cref="LinuxException">The kernel doesn't take it.</exception>
    public static void Fill(
        UnixSkEntry message,
        Fd socket,
        Fd? peer,
        List<(SkPacketEntry Message, ReadOnlyMemory<byte> Bytes)> queue,
        UnixNames names,
        Func<ByteString,
        Fd?> named)
    {
        foreach ((SkPacketEntry packet, ReadOnlyMemory<byte> bytes) in queue)
        {
            if (peer is not null)
            {
                Send(peer, bytes.Span, message, default);
            }
            else if (packet.HasSource && named(packet.Source) is { } sender)
            {
                names.WithAddress(message, address => Send(sender, bytes.Span, message, address));
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

                names.WithAddress(message, address => Send(passing, bytes.Span, message, address));
            }
        }
    }

    private static void Send(Fd sender, ReadOnlySpan<byte> bytes, UnixSkEntry message, ReadOnlySpan<byte> address)
    {
        const MessageFlags Flags = MessageFlags.MSG_DONTWAIT | MessageFlags.MSG_NOSIGNAL;
        bool isStream = message.Type == (uint)SocketType.SOCK_STREAM;
        bool hasGrown = false;
        do
        {
            SysResult sent = Sys.SendTo(sender.Number, bytes, Flags, address);
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
        }
        while (!bytes.IsEmpty);
    }
}
