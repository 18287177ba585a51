using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Google.Protobuf;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>What waits in a Unix socket's queue: read without taking it, and put back by sending it again.</summary>
/// <remarks>
/// <para>Kernel: net/unix/af_unix.c, unix_stream_read_generic(), __unix_dgram_recvmsg(), manage_oob(); net/core/scm.c.</para>
/// <para>
/// A peek goes from SO_PEEK_OFF on. Of a stream it ends where the sender changes, behind the buffer that brings descriptors, and before the
/// out-of-band mark. Where the buffer with the descriptors begins it doesn't say; but a peek into memory that ends one byte too early
/// ends there.
/// </para>
/// </remarks>
internal static class UnixQueue
{
    private const int LongestAddress = 110;
    private const int FirstBuffer = 256 * 1024;
    private const int ControlSize = 8192;
    private const int ScmPidFd = 4;
    private const uint NoId = 65534;

    // ---- dump

    /// <summary>Saves a queue.</summary>
    /// <exception cref="LinuxException">It can't be peeked at.</exception>
    public static void Dump(DumpContext context, OpenFile file)
    {
        foreach (QueuedMessage message in Read(context, file))
        {
            var packet = new SkPacketEntry { IdFor = file.Id, Length = (uint)message.Bytes.Length };
            if (message.Source is not null)
            {
                packet.Source = message.Source;
            }

            if (message.IsOutOfBand)
            {
                packet.OutOfBand = true;
            }

            if (message.Rights.Count > 0)
            {
                var rights = new ScmEntry { Type = ControlMessageType.SCM_RIGHTS };
                rights.Rights.AddRange(message.Rights.Select(right => right.Id));
                packet.Scm.Add(rights);
            }

            if (message.Sender is { } sender)
            {
                if (sender.pid != 0 && context.InnerId(sender.pid) == 0)
                {
                    context.Log.LogWarning(
                        "pid {Pid} {Resource}: a message of a process that is gone, {Sender}, waits; within the pid namespace it will have "
                            + "another id",
                        file.Owner.Pid,
                        file.Resource,
                        sender.pid);
                }

                packet.Credentials = new SkCredentialsEntry { Pid = context.InnerId(sender.pid), Uid = sender.uid, Gid = sender.gid };
            }

            context.Images.Add(ImageKind.SkQueues, 0, packet, message.Bytes);
        }
    }

    /// <summary>Whether it can be told which byte of a queue is the out-of-band one.</summary>
    /// <exception cref="LinuxException">It can't be peeked at.</exception>
    public static bool IsMarkClear(DumpContext context, OpenFile file)
    {
        Read(context, file);
        return !context.Files.State.Get<Queues>().Ambiguous.Contains(file);
    }

    /// <summary>Reads a queue, once for a dump: what is in flight in it becomes known to the table of files by that.</summary>
    /// <exception cref="LinuxException">It can't be peeked at.</exception>
    public static IReadOnlyList<QueuedMessage> Read(DumpContext context, OpenFile file)
    {
        Dictionary<OpenFile, List<QueuedMessage>> known = context.Files.State.Get<Queues>().ByFile;
        if (known.TryGetValue(file, out List<QueuedMessage>? messages))
        {
            return messages;
        }

        known.Add(file, messages = []);
        int socket = file.Taken.Number;
        var poll = new Pollfd { fd = socket, events = PollEvents.POLLIN | PollEvents.POLLPRI };
        Sys.Poll(new Span<Pollfd>(ref poll), 0).OrThrow($"poll of {file.Resource}");
        bool isStream = SocketTables.Option(file, SocketOption.SO_TYPE) == (int)SocketType.SOCK_STREAM;
        bool hasError = (poll.revents & PollEvents.POLLERR) != 0;
        if ((poll.revents & (PollEvents.POLLIN | PollEvents.POLLPRI)) == 0 || (hasError && !isStream))
        {
            // A look at packets would take the error; where it waits, there are none (Examine).
            return messages;
        }

        int offset = SocketTables.Option(file, SocketOption.SO_PEEK_OFF);
        int hasCredentials = SocketTables.Option(file, SocketOption.SO_PASSCRED);
        try
        {
            SetOption(socket, SocketOption.SO_PASSCRED, 1);
            if (isStream)
            {
                ReadStream(context, file, messages, (poll.revents & PollEvents.POLLPRI) != 0);
            }
            else
            {
                ReadPackets(context, file, messages);
            }
        }
        finally
        {
            SetOption(socket, SocketOption.SO_PASSCRED, hasCredentials);
            SetOption(socket, SocketOption.SO_PEEK_OFF, offset);
        }

        return messages;
    }

    // Exactly what is there: to look further would take a pending error.
    private static void ReadStream(DumpContext context, OpenFile file, List<QueuedMessage> messages, bool hasMark)
    {
        int socket = file.Taken.Number;
        int rest = 0;
        Sys.Ioctl(socket, SocketIoctl.SIOCINQ, ref rest).OrThrow($"ioctl(SIOCINQ) of {file.Resource}");
        bool isInline = SocketTables.Option(file, SocketOption.SO_OOBINLINE) != 0;
        int first = 0;
        if (hasMark && !isInline && IsAtMark(file))
        {
            // A peek passes it over, and counts from behind it.
            messages.Add(new QueuedMessage(new[] { MarkByte(file) }, null, [], null, true));
            hasMark = false;
            first = 1;
        }

        byte[] buffer = new byte[rest];
        int position = 0;
        while (position < rest - first)
        {
            Peeked peeked = Peek(context, file, position, buffer, default);
            if (peeked.Length == 0)
            {
                throw new CheckpointException($"{file.Resource}: {rest - position} bytes of its queue can't be peeked at")
                {
                    Pid = file.Owner.Pid,
                };
            }

            int begin = peeked.Rights.Count == 0 ? 0 : BeginOfLastBuffer(socket, position, peeked.Length);
            if (begin > 0)
            {
                messages.Add(new QueuedMessage(buffer.AsSpan(0, begin).ToArray(), null, [], peeked.Sender, false));
            }

            messages.Add(
                new QueuedMessage(buffer.AsSpan(begin, peeked.Length - begin).ToArray(), null, peeked.Rights, peeked.Sender, false));
            position += peeked.Length;
        }

        if (hasMark)
        {
            FindMark(context, file, messages, isInline);
        }
    }

    // The mark is a buffer of one byte at which a peek has ended; so it is the beginning of a message here.
    private static void FindMark(DumpContext context, OpenFile file, List<QueuedMessage> messages, bool isInline)
    {
        int socket = file.Taken.Number;
        var found = new List<int>();
        int position = 0;
        Span<byte> one = stackalloc byte[1];
        for (int i = 0; i < messages.Count; i++)
        {
            bool isLikely = (i > 0 || IsAtMark(file)) && (isInline || messages[i].Bytes.Span[0] == MarkByte(file));
            if (isLikely)
            {
                SetOption(socket, SocketOption.SO_PEEK_OFF, position);
                if (Sys.PeekWholeBuffers(socket, one).Raw == 1)
                {
                    found.Add(i);
                }
            }

            position += messages[i].Bytes.Length;
        }

        if (found is not [int index])
        {
            context.Files.State.Get<Queues>().Ambiguous.Add(file);
            return;
        }

        QueuedMessage whole = messages[index];
        messages[index] = whole with { Bytes = whole.Bytes[..1], IsOutOfBand = true, Rights = whole.Bytes.Length == 1 ? whole.Rights : [] };
        if (whole.Bytes.Length > 1)
        {
            messages.Insert(index + 1, whole with { Bytes = whole.Bytes[1..] });
        }
    }

    private static bool IsAtMark(OpenFile file)
    {
        int isThere = 0;
        Sys.Ioctl(file.Taken.Number, SocketIoctl.SIOCATMARK, ref isThere).OrThrow($"ioctl(SIOCATMARK) of {file.Resource}");
        return isThere != 0;
    }

    private static byte MarkByte(OpenFile file)
    {
        Span<byte> one = stackalloc byte[1];
        Sys.Receive(file.Taken.Number, one, MessageFlags.MSG_PEEK | MessageFlags.MSG_OOB | MessageFlags.MSG_DONTWAIT)
            .OrThrow($"recv(MSG_OOB) of {file.Resource}");
        return one[0];
    }

    private static int BeginOfLastBuffer(int socket, int position, int length)
    {
        SetOption(socket, SocketOption.SO_PEEK_OFF, position);
        SysResult whole = Sys.PeekWholeBuffers(socket, new byte[length - 1]);
        return whole.Errno == Errno.EFAULT ? 0 : whole.OrThrow($"recvmsg(MSG_PEEK) of fd {socket}").Int32;
    }

    private static void ReadPackets(DumpContext context, OpenFile file, List<QueuedMessage> messages)
    {
        int socket = file.Taken.Number;
        bool isDatagram = SocketTables.Option(file, SocketOption.SO_TYPE) == (int)SocketType.SOCK_DGRAM;
        byte[] buffer = new byte[FirstBuffer];
        Span<byte> address = stackalloc byte[LongestAddress];
        int offset = 0;
        SetOption(socket, SocketOption.SO_PEEK_OFF, 0);
        while (true)
        {
            Peeked peeked = Peek(context, file, -1, buffer, address);
            if (peeked.IsEnd)
            {
                return;
            }

            if (peeked.Length > buffer.Length)
            {
                buffer = new byte[peeked.Length];
                SetOption(socket, SocketOption.SO_PEEK_OFF, offset);
                continue;
            }

            offset += peeked.Length;
            ByteString? source = isDatagram && peeked.AddressLength > sizeof(ushort)
                ? ByteString.CopyFrom(address[sizeof(ushort)..peeked.AddressLength])
                : null;
            messages.Add(new QueuedMessage(buffer.AsSpan(0, peeked.Length).ToArray(), source, peeked.Rights, peeked.Sender, false));
        }
    }

    // A position of -1 is where the last peek has ended.
    private static Peeked Peek(DumpContext context, OpenFile file, int position, byte[] buffer, Span<byte> address)
    {
        const MessageFlags Flags =
            MessageFlags.MSG_PEEK | MessageFlags.MSG_DONTWAIT | MessageFlags.MSG_TRUNC | MessageFlags.MSG_CMSG_CLOEXEC;
        int socket = file.Taken.Number;
        if (position >= 0)
        {
            SetOption(socket, SocketOption.SO_PEEK_OFF, position);
        }

        Span<byte> control = stackalloc byte[ControlSize];
        SysResult result = Sys.ReceiveMessage(socket, buffer, control, address, Flags, out ReceivedMessage received);
        if (result.Errno == Errno.EAGAIN)
        {
            return new Peeked(0, 0, [], null, true);
        }

        int length = result.OrThrow($"recvmsg(MSG_PEEK) of {file.Resource}").Int32;
        var rights = new List<OpenFile>();
        Ucred? sender = null;
        foreach (ControlMessage part in new ControlMessages(control[..received.ControlLength]))
        {
            if (part.Level != SocketLevel.SOL_SOCKET)
            {
                continue;
            }

            switch (part.Type)
            {
                case ControlMessageType.SCM_RIGHTS:
                    foreach (int fd in MemoryMarshal.Cast<byte, int>(part.Data))
                    {
                        rights.Add(context.Files.AddInFlight(file, new Fd(fd)));
                    }

                    break;
                case ControlMessageType.SCM_CREDENTIALS:
                    sender = MemoryMarshal.Read<Ucred>(part.Data);
                    break;
                case ScmPidFd when MemoryMarshal.Read<int>(part.Data) is >= 0 and int pidfd:
                    Sys.Close(pidfd);
                    break;
            }
        }

        if (received.Flags.HasFlag(MessageFlags.MSG_CTRUNC))
        {
            throw new CheckpointException(
                $"{file.Resource}: not all descriptors in its queue can be taken; raise the hard limit of open files (ulimit -Hn)")
            {
                Pid = file.Owner.Pid,
            };
        }

        // What a queue that is shut for reading gives at its end.
        bool isEnd = length == 0 && sender is null;
        bool isNobody = sender is { pid: 0, uid: NoId, gid: NoId };
        return new Peeked(length, received.AddressLength, rights, isNobody ? null : sender, isEnd);
    }

    private static void SetOption(int socket, int option, int value)
        => Sys.SetSocketOption(socket, SocketLevel.SOL_SOCKET, option, value).OrThrow($"setsockopt(fd {socket}, {option}, {value})");

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

    private sealed class Queues
    {
        public Dictionary<OpenFile, List<QueuedMessage>> ByFile { get; } = [];

        public HashSet<OpenFile> Ambiguous { get; } = [];
    }

    private sealed record Peeked(int Length, int AddressLength, List<OpenFile> Rights, Ucred? Sender, bool IsEnd);
}

/// <summary>A message in a queue, or a part of a stream.</summary>
/// <param name="Bytes">Its bytes.</param>
/// <param name="Source">The name of a datagram's sender.</param>
/// <param name="Rights">The files that come with it.</param>
/// <param name="Sender">Who has sent it, where that is kept.</param>
/// <param name="IsOutOfBand">Whether it is the out-of-band byte.</param>
internal sealed record QueuedMessage(
    ReadOnlyMemory<byte> Bytes, ByteString? Source, IReadOnlyList<OpenFile> Rights, Ucred? Sender, bool IsOutOfBand);
