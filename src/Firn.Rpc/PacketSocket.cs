using System.Text;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Rpc.Messages;
using Google.Protobuf;

namespace Firn.Rpc;

/// <summary>
/// The socket of one conversation (unix(7), SOCK_SEQPACKET): each packet is one bare message, without a length before it.
/// </summary>
/// <param name="descriptor">The socket, which stays the caller's.</param>
internal sealed class PacketSocket(int descriptor)
{
    // An honest request is some kilobytes; what is larger than this is not read.
    private const int MostBytes = 1 << 20;

    // go-criu reads replies into two pages, runc into ten.
    private const int MostReplyBytes = 8000;

    /// <summary>Waits for a packet.</summary>
    /// <returns>Its bytes; null when the other side has closed the socket, or sends what can be no request.</returns>
    public byte[]? Receive()
    {
        while (true)
        {
            SysResult size = Sys.Receive(descriptor, default, MessageFlags.MSG_PEEK | MessageFlags.MSG_TRUNC);
            if (size.Errno == Errno.EINTR)
            {
                continue;
            }

            if (size.IsError || size.Int32 is 0 or > MostBytes)
            {
                return null;
            }

            byte[] packet = new byte[size.Int32];
            SysResult received = Sys.Receive(descriptor, packet, MessageFlags.MSG_TRUNC);
            if (received.Errno != Errno.EINTR)
            {
                return !received.IsError && received.Int32 == packet.Length ? packet : null;
            }
        }
    }

    /// <summary>Waits for a request.</summary>
    /// <returns>Null at the end of the conversation, and for a packet that is no whole request.</returns>
    public Request? ReceiveRequest()
    {
        if (Receive() is not { } packet)
        {
            return null;
        }

        try
        {
            Request request = Request.Parser.ParseFrom(packet);
            return Requests.IsWhole(request) ? request : null;
        }
        catch (InvalidProtocolBufferException)
        {
            return null;
        }
    }

    /// <summary>Sends a reply, with a descriptor if one is given.</summary>
    /// <returns>False if the other side has gone away.</returns>
    public bool Send(Reply reply, int attached = -1)
    {
        Shorten(reply);
        byte[] packet = reply.ToByteArray();
        while (true)
        {
            SysResult sent = attached < 0
                ? Sys.Send(descriptor, packet, MessageFlags.MSG_NOSIGNAL)
                : SendWith(packet, attached);
            if (sent.Errno != Errno.EINTR)
            {
                return !sent.IsError;
            }
        }
    }

    /// <summary>Who has made the socket pair, or has connected: a process by its id here.</summary>
    /// <exception cref="LinuxException">It is no unix socket.</exception>
    public Ucred Peer()
    {
        Sys.GetSocketOption(descriptor, SocketLevel.SOL_SOCKET, SocketOption.SO_PEERCRED, out Ucred peer)
            .OrThrow($"getsockopt({descriptor}, SO_PEERCRED)");
        return peer;
    }

    private SysResult SendWith(byte[] packet, int attached)
    {
        Span<byte> control = stackalloc byte[ControlMessages.Space(sizeof(int))];
        ReadOnlySpan<int> one = [attached];
        _ = ControlMessages.Write(
            control, SocketLevel.SOL_SOCKET, ControlMessageType.SCM_RIGHTS, System.Runtime.InteropServices.MemoryMarshal.AsBytes(one));
        return Sys.SendMessage(descriptor, packet, control, default, MessageFlags.MSG_NOSIGNAL);
    }

    // The one part that can be long is what went wrong.
    private static void Shorten(Reply reply)
    {
        if (!reply.HasCrErrmsg)
        {
            return;
        }

        string text = reply.CrErrmsg;
        int excess = reply.CalculateSize() - MostReplyBytes;
        if (excess > 0)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            int length = Math.Max(0, bytes.Length - excess - 1);
            while (length > 0 && (bytes[length] & 0xC0) == 0x80)
            {
                length--;
            }

            reply.CrErrmsg = Encoding.UTF8.GetString(bytes, 0, length) + "\n";
        }
    }
}
