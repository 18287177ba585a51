using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>A netlink socket that asks for lists, and makes changes (netlink(7)).</summary>
/// <remarks>It sees the network namespace that it was made in, wherever its owner goes afterwards. One thread at a time.</remarks>
public sealed class NetlinkSocket : IDisposable
{
    private const int BufferSize = 64 * 1024;
    private const int HeaderSize = 16;
    private const int MostAttempts = 5;

    private readonly Fd socket;
    private readonly byte[] buffer = new byte[BufferSize];
    private uint sequence;
    private bool handsOverHeaders;

    /// <summary>Takes over a netlink socket, maybe one that was made in another namespace.</summary>
    public NetlinkSocket(Fd socket) => this.socket = socket;

    /// <summary>Gets the payload of one message of a list.</summary>
    public delegate void MessageHandler(ReadOnlySpan<byte> payload);

    /// <summary>Makes a socket in the caller's network namespace.</summary>
    /// <param name="protocol">NETLINK_*.</param>
    /// <exception cref="LinuxException">It can't be made.</exception>
    public static NetlinkSocket Open(int protocol)
        => new(new Fd(Sys.Socket(SocketFamily.AF_NETLINK, SocketType.SOCK_RAW | SocketType.SOCK_CLOEXEC, protocol)
            .OrThrow($"socket(AF_NETLINK, {protocol})").Int32));

    /// <summary>Asks for a list and hands its messages over, one by one.</summary>
    /// <param name="type">nlmsg_type of the request.</param>
    /// <param name="request">The request.</param>
    /// <param name="restart">Called before a list begins, once or, when it changed under way, again: what came before is void.</param>
    /// <param name="message">Called for each message.</param>
    /// <returns>0, or -errno as the kernel answered: -ENOENT of sock_diag for a family without a module.</returns>
    /// <exception cref="LinuxException">The list changed too often under way (EAGAIN), or came in an unknown form (EPROTO).</exception>
    public SysResult Dump<T>(ushort type, in T request, Action restart, MessageHandler message)
        where T : unmanaged
        => DumpBytes(type, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in request)), restart, message);

    /// <inheritdoc cref="Dump"/>
    public SysResult DumpBytes(ushort type, ReadOnlySpan<byte> request, Action restart, MessageHandler message)
    {
        ArgumentNullException.ThrowIfNull(restart);
        ArgumentNullException.ThrowIfNull(message);
        ReadOnlySpan<byte> payload = request;
        byte[] bytes = new byte[HeaderSize + payload.Length];
        payload.CopyTo(bytes.AsSpan(HeaderSize));
        for (int attempt = 0; attempt < MostAttempts; attempt++)
        {
            Nlmsghdr header = new()
            {
                nlmsg_len = (uint)bytes.Length,
                nlmsg_type = type,
                nlmsg_flags = NetlinkConstants.NLM_F_REQUEST | NetlinkConstants.NLM_F_DUMP,
                nlmsg_seq = ++sequence,
            };
            MemoryMarshal.Write(bytes, in header);
            SysResult sent = Sys.Send(socket.Number, bytes, MessageFlags.None);
            if (sent.IsError)
            {
                return sent;
            }

            restart();
            SysResult result = Receive(message, out bool changed);
            if (!changed)
            {
                return result;
            }
        }

        throw new LinuxException("netlink list, which changed each time that it was read", Errno.EAGAIN);
    }

    /// <summary>The same with whole messages: their headers, too.</summary>
    /// <inheritdoc cref="Dump"/>
    public SysResult DumpWhole<T>(ushort type, in T request, Action restart, MessageHandler message)
        where T : unmanaged
    {
        handsOverHeaders = true;
        try
        {
            return Dump(type, in request, restart, message);
        }
        finally
        {
            handsOverHeaders = false;
        }
    }

    /// <summary>Makes a request that changes something, and waits until it is done.</summary>
    /// <param name="request">The request.</param>
    /// <returns>0, or -errno.</returns>
    /// <exception cref="LinuxException">The answer came in an unknown form (EPROTO).</exception>
    public SysResult Request(NetlinkMessage request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return Ask(request, static _ => { });
    }

    /// <summary>Makes a request that is answered by messages, and waits until it is done.</summary>
    /// <param name="request">The request.</param>
    /// <param name="answer">Called for each message.</param>
    /// <returns>0, or -errno.</returns>
    /// <exception cref="LinuxException">The answer came in an unknown form (EPROTO).</exception>
    public SysResult Ask(NetlinkMessage request, MessageHandler answer)
    {
        ArgumentNullException.ThrowIfNull(request);
        SysResult sent = Sys.Send(socket.Number, request.Finish(++sequence, NetlinkConstants.NLM_F_ACK), MessageFlags.None);
        return sent.IsError ? sent : Receive(answer, out _);
    }

    /// <summary>Makes a request of several messages between a first and a last one, which is done as a whole or not at all.</summary>
    /// <param name="first">What begins it: NFNL_MSG_BATCH_BEGIN.</param>
    /// <param name="changes">The changes, at least one.</param>
    /// <param name="last">What ends it: NFNL_MSG_BATCH_END.</param>
    /// <returns>0, or -errno of the first change that failed.</returns>
    /// <remarks>
    /// nfnetlink answers when all is done, message by message in their order, and with the number of the first one if the whole fails
    /// (net/netfilter/nfnetlink.c, nfnetlink_rcv_batch). So the last change asks for an answer.
    /// </remarks>
    /// <exception cref="LinuxException">The answer came in an unknown form (EPROTO).</exception>
    public SysResult RequestTogether(NetlinkMessage first, IReadOnlyList<NetlinkMessage> changes, NetlinkMessage last)
    {
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(changes);
        ArgumentNullException.ThrowIfNull(last);
        uint begin = ++sequence;
        var bytes = new List<byte>();
        bytes.AddRange(first.Finish(begin, 0));
        for (int i = 0; i < changes.Count; i++)
        {
            bytes.AddRange(changes[i].Finish(++sequence, i == changes.Count - 1 ? NetlinkConstants.NLM_F_ACK : (ushort)0));
        }

        uint end = sequence;
        bytes.AddRange(last.Finish(++sequence, 0));
        SysResult sent = Sys.Send(socket.Number, CollectionsMarshal.AsSpan(bytes), MessageFlags.None);
        return sent.IsError ? sent : ReceiveAnswers(begin, end);
    }

    /// <inheritdoc/>
    public void Dispose() => socket.Dispose();

    private SysResult ReceiveAnswers(uint begin, uint end)
    {
        SysResult result = default;
        while (true)
        {
            SysResult received = Sys.Receive(socket.Number, buffer, MessageFlags.MSG_TRUNC);
            if (received.Errno == Errno.EINTR)
            {
                continue;
            }

            if (received.IsError)
            {
                return received;
            }

            ReadOnlySpan<byte> rest = buffer.AsSpan(0, Math.Min(received.Int32, buffer.Length));
            while (rest.Length >= HeaderSize + sizeof(int))
            {
                Nlmsghdr header = MemoryMarshal.Read<Nlmsghdr>(rest);
                if (header.nlmsg_len < HeaderSize + sizeof(int) || header.nlmsg_type != NetlinkConstants.NLMSG_ERROR)
                {
                    throw new LinuxException($"netlink answer of the type {header.nlmsg_type}", Errno.EPROTO);
                }

                if (header.nlmsg_seq >= begin && header.nlmsg_seq <= end)
                {
                    var answer = new SysResult(MemoryMarshal.Read<int>(rest[HeaderSize..]));
                    result = result.IsError ? result : answer;
                    if (header.nlmsg_seq == begin || header.nlmsg_seq == end)
                    {
                        return result;
                    }
                }

                rest = rest[Math.Min(rest.Length, Align((int)header.nlmsg_len))..];
            }
        }
    }

    private SysResult Receive(MessageHandler message, out bool changed)
    {
        changed = false;
        while (true)
        {
            SysResult received = Sys.Receive(socket.Number, buffer, MessageFlags.MSG_TRUNC);
            if (received.Errno == Errno.EINTR)
            {
                continue;
            }

            if (received.IsError)
            {
                return received;
            }

            if (received.Int32 > buffer.Length || received.Int32 == 0)
            {
                throw new LinuxException($"recv from netlink of {received.Int32} bytes", Errno.EPROTO);
            }

            ReadOnlySpan<byte> rest = buffer.AsSpan(0, received.Int32);
            while (rest.Length >= HeaderSize)
            {
                Nlmsghdr header = MemoryMarshal.Read<Nlmsghdr>(rest);
                if (header.nlmsg_len < HeaderSize || header.nlmsg_len > rest.Length)
                {
                    throw new LinuxException("netlink message of a wrong length", Errno.EPROTO);
                }

                ReadOnlySpan<byte> whole = rest[..(int)header.nlmsg_len];
                ReadOnlySpan<byte> payload = whole[HeaderSize..];
                rest = rest[Math.Min(rest.Length, Align((int)header.nlmsg_len))..];
                if (header.nlmsg_seq != sequence)
                {
                    continue;
                }

                changed |= (header.nlmsg_flags & NetlinkConstants.NLM_F_DUMP_INTR) != 0;
                switch (header.nlmsg_type)
                {
                    case NetlinkConstants.NLMSG_NOOP:
                        break;
                    case NetlinkConstants.NLMSG_DONE or NetlinkConstants.NLMSG_ERROR:
                        return new SysResult(payload.Length >= sizeof(int) ? MemoryMarshal.Read<int>(payload) : 0);
                    default:
                        message(handsOverHeaders ? whole : payload);
                        break;
                }
            }
        }
    }

    private static int Align(int length) => (length + 3) & ~3;
}
