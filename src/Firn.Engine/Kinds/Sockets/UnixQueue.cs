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
internal static partial class UnixQueue
{
    private const int LongestAddress = 110;
    private const int FirstRoom = 256 * 1024;
    private const int ControlSize = 8192;
    private const int ScmPidFd = 4;
    private const uint NoId = 65534;

    // ---- dump

    /// <summary>Saves a queue.</summary>
    /// <exception cref="LinuxException">It can't be peeked at.</exception>
    public static void Dump(DumpContext context, OpenFile file)
    {
        foreach ((SkPacketEntry packet, ReadOnlyMemory<byte> bytes) in Packets(context, file))
        {
            context.Images.Add(ImageKind.SkQueues, 0, packet, bytes);
        }
    }

    /// <summary>What is in a queue, as images have it.</summary>
    /// <exception cref="LinuxException">It can't be peeked at.</exception>
    public static IEnumerable<(SkPacketEntry Packet, ReadOnlyMemory<byte> Bytes)> Packets(DumpContext context, OpenFile file)
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

            yield return (packet, message.Bytes);
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

        var looking = new Looking(context, file);
        if (isStream)
        {
            ReadStream(looking, messages, (poll.revents & PollEvents.POLLPRI) != 0);
        }
        else
        {
            ReadPackets(looking, messages);
        }

        return messages;
    }

    // Exactly what is there: to look further would take a pending error.
    private static void ReadStream(Looking looking, List<QueuedMessage> messages, bool hasMark)
    {
        OpenFile file = looking.File;
        int rest = 0;
        Sys.Ioctl(looking.Socket, SocketIoctl.SIOCINQ, ref rest).OrThrow($"ioctl(SIOCINQ) of {file.Resource}");
        bool isInline = SocketTables.Option(file, SocketOption.SO_OOBINLINE) != 0;
        int first = 0;
        if (hasMark && !isInline && IsAtMark(file))
        {
            // A peek passes it over, and counts from behind it.
            messages.Add(new QueuedMessage(new[] { MarkByte(file) }, null, [], null, true));
            hasMark = false;
            first = 1;
        }

        int position = 0;
        while (position < rest - first)
        {
            Peeked peeked = looking.Once(position, rest - first - position);
            if (peeked.Length == 0)
            {
                throw new CheckpointException($"{file.Resource}: {rest - position} bytes of its queue can't be peeked at")
                {
                    Pid = file.Owner.Pid,
                };
            }

            int begin = peeked.Rights.Count == 0 ? 0 : BeginOfLastBuffer(looking, position, peeked.Length);
            if (begin > 0)
            {
                messages.Add(new QueuedMessage(peeked.Bytes.AsMemory(0, begin), null, [], peeked.Sender, false));
            }

            messages.Add(new QueuedMessage(peeked.Bytes.AsMemory(begin), null, peeked.Rights, peeked.Sender, false));
            position += peeked.Length;
        }

        if (hasMark)
        {
            FindMark(looking, messages, isInline);
        }
    }

    // The mark is a buffer of one byte at which a peek has ended; so it is the beginning of a message here.
    private static void FindMark(Looking looking, List<QueuedMessage> messages, bool isInline)
    {
        OpenFile file = looking.File;
        var found = new List<int>();
        int position = 0;
        for (int i = 0; i < messages.Count; i++)
        {
            bool isLikely = (i > 0 || IsAtMark(file)) && (isInline || messages[i].Bytes.Span[0] == MarkByte(file));
            if (isLikely && looking.WholeBuffers(position, 1).Raw == 1)
            {
                found.Add(i);
            }

            position += messages[i].Bytes.Length;
        }

        if (found is not [int index])
        {
            looking.Context.Files.State.Get<Queues>().Ambiguous.Add(file);
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

    private static int BeginOfLastBuffer(Looking looking, int position, int length)
    {
        SysResult whole = looking.WholeBuffers(position, length - 1);
        return whole.Errno == Errno.EFAULT ? 0 : whole.OrThrow($"recvmsg(MSG_PEEK) of {looking.File.Resource}").Int32;
    }

    // A packet without data is seen from SO_PEEK_OFF on once only (skb_set_peeked()), but from the queue's head at any time; so the head is
    // looked at first, and the walk that follows passes over it where it has no data.
    private static void ReadPackets(Looking looking, List<QueuedMessage> messages)
    {
        int position = 0;
        for (bool isFirst = true; ; isFirst = false)
        {
            List<Peeked> seen = looking.Many(position, isFirst);
            if (isFirst && seen[0] is { Length: > 0 })
            {
                seen.RemoveAt(0);
            }

            int rest = 0;
            foreach (Peeked peeked in seen)
            {
                if (peeked.IsEnd)
                {
                    return;
                }

                // A packet that was longer than there was room goes on in the next look.
                bool goesOn = rest > 0;
                rest = peeked.Length - peeked.Bytes.Length;
                if (goesOn)
                {
                    continue;
                }

                byte[] bytes = peeked.Bytes.Length == peeked.Length ? peeked.Bytes : looking.Once(position, peeked.Length).Bytes;
                messages.Add(new QueuedMessage(bytes, peeked.Source, peeked.Rights, peeked.Sender, false));
                position += peeked.Length;
            }
        }
    }

    /// <summary>Looks into one queue; what that changes of the socket is put back in the same call: <see cref="SocketScript"/>.</summary>
    private sealed class Looking
    {
        private const int AtOnce = 32;
        private const MessageFlags Flags = MessageFlags.MSG_TRUNC | MessageFlags.MSG_CMSG_CLOEXEC;

        private readonly SocketScript script;
        private readonly bool isDatagram;
        private readonly int offset;
        private readonly int hasCredentials;

        public Looking(DumpContext context, OpenFile file)
        {
            Context = context;
            File = file;
            Socket = file.Taken.Number;
            script = context.Files.State.Get<SocketScript>();
            isDatagram = SocketTables.Option(file, SocketOption.SO_TYPE) == (int)SocketType.SOCK_DGRAM;
            offset = SocketTables.Option(file, SocketOption.SO_PEEK_OFF);
            hasCredentials = SocketTables.Option(file, SocketOption.SO_PASSCRED);
        }

        public DumpContext Context { get; }

        public OpenFile File { get; }

        public int Socket { get; }

        /// <summary>One message, or a stretch of a stream, from a position on.</summary>
        public Peeked Once(int position, int room)
        {
            Begin(position);
            SocketLook look = script.Peek(Socket, room, ControlSize, LongestAddress, Flags);
            End();
            return Take(look);
        }

        /// <summary>How much of a stream lies in whole buffers that fit into some room.</summary>
        public SysResult WholeBuffers(int position, int room)
        {
            Begin(position);
            SocketLook look = script.Peek(Socket, room, 0, 0, MessageFlags.None, wholeBuffers: true);
            End();
            return look.Result;
        }

        /// <summary>Some packets, from a position on; before them the head of the queue, if asked for.</summary>
        public List<Peeked> Many(int position, bool withHead)
        {
            List<SocketLook> looks = [];
            Begin(withHead ? -1 : position);
            if (withHead)
            {
                looks.Add(script.Peek(Socket, FirstRoom, ControlSize, LongestAddress, Flags));
                SetOption(SocketOption.SO_PEEK_OFF, position);
            }

            // Descriptors come anew with each look: not too many at once.
            for (int i = 0; i < (File.Info.QueuedFds > 0 ? 1 : AtOnce); i++)
            {
                looks.Add(script.Peek(Socket, FirstRoom, ControlSize, LongestAddress, Flags));
            }

            End();

            // All of them: the descriptors that came are open here.
            return [.. looks.Select(Take)];
        }

        private void Begin(int position)
        {
            SetOption(SocketOption.SO_PASSCRED, 1);
            SetOption(SocketOption.SO_PEEK_OFF, position);
        }

        private void End()
        {
            SetOption(SocketOption.SO_PEEK_OFF, offset);
            SetOption(SocketOption.SO_PASSCRED, hasCredentials);
            script.Run();
        }

        private void SetOption(int option, int value) => script.Set(Socket, SocketLevel.SOL_SOCKET, option, value);

        private Peeked Take(SocketLook look)
        {
            if (look.Result.Errno == Errno.EAGAIN)
            {
                return new Peeked([], 0, null, [], null, true);
            }

            int length = look.Result.OrThrow($"recvmsg(MSG_PEEK) of {File.Resource}").Int32;
            var rights = new List<OpenFile>();
            Ucred? sender = null;
            foreach (ControlMessage part in new ControlMessages(look.Control))
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
                            rights.Add(Context.Files.AddInFlight(File, new Fd(fd)));
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

            if (look.Received.Flags.HasFlag(MessageFlags.MSG_CTRUNC))
            {
                throw new CheckpointException(
                    $"{File.Resource}: not all descriptors in its queue can be taken; raise the hard limit of open files (ulimit -Hn)")
                {
                    Pid = File.Owner.Pid,
                };
            }

            // What a queue that is shut for reading gives at its end.
            bool isEnd = length == 0 && sender is null;
            bool isNobody = sender is { pid: 0, uid: NoId, gid: NoId };
            ByteString? source = isDatagram && look.Received.AddressLength > sizeof(ushort)
                ? ByteString.CopyFrom(look.Address[sizeof(ushort)..])
                : null;
            return new Peeked(look.Data.ToArray(), length, source, rights, isNobody ? null : sender, isEnd);
        }
    }

    private sealed class Queues
    {
        public Dictionary<OpenFile, List<QueuedMessage>> ByFile { get; } = [];

        public HashSet<OpenFile> Ambiguous { get; } = [];
    }

    // Of a packet that is longer than there was room, the bytes are fewer than the length says.
    private sealed record Peeked(byte[] Bytes, int Length, ByteString? Source, List<OpenFile> Rights, Ucred? Sender, bool IsEnd);
}

/// <summary>A message in a queue, or a part of a stream.</summary>
/// <param name="Bytes">Its bytes.</param>
/// <param name="Source">The name of a datagram's sender.</param>
/// <param name="Rights">The files that come with it.</param>
/// <param name="Sender">Who has sent it, where that is kept.</param>
/// <param name="IsOutOfBand">Whether it is the out-of-band byte.</param>
internal sealed record QueuedMessage(
    ReadOnlyMemory<byte> Bytes, ByteString? Source, IReadOnlyList<OpenFile> Rights, Ucred? Sender, bool IsOutOfBand);
