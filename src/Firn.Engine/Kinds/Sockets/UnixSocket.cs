using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using Firn.Engine.Kinds.Files;
using Firn.Engine.Kinds.Namespaces.Mounts;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Google.Protobuf;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>Unix sockets: pairs, listeners, connections, datagrams; with names, queues and options.</summary>
/// <remarks>
/// <para>Kernel: net/unix/af_unix.c, unix(7), sock_diag(7).</para>
/// <para>
/// Queues are peeked at, never read. What can only be had by taking it, early data of a connection that wasn't accepted, is read when the
/// tree is killed, and refused where it isn't: <see cref="EarlyData"/>.
/// </para>
/// </remarks>
internal sealed class UnixSocket : FileKind
{
    private const string Deleted = " (deleted)";

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Unixsk;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => SocketTables.IsSocket(file) && SocketTables.FamilyOf(file) == SocketFamily.AF_UNIX;

    /// <inheritdoc/>
    public override void CollectInner(DumpContext context, OpenFile file)
    {
        if (file.Info.QueuedFds > 0 && SocketTables.Option(file, SocketOption.SO_ACCEPTCONN) == 0)
        {
            UnixQueue.Read(context, file);
        }
    }

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        SocketTables tables = context.Files.State.Get<SocketTables>();
        if (!SocketTables.IsInOwnNamespace(context, file))
        {
            return;
        }

        if (!tables.Unix.TryGetValue(file.Stat.st_ino, out UnixSocketInfo? info))
        {
            Refuse(context, file, null, "socket-unknown", "the kernel's list doesn't have it", "try again");
            return;
        }

        var poll = new Pollfd { fd = file.Taken.Number, events = PollEvents.POLLPRI };
        Sys.Poll(new Span<Pollfd>(ref poll), 0).OrThrow($"poll of pid {file.Owner.Pid} fd {file.Number}");
        if (poll.revents.HasFlag(PollEvents.POLLPRI) && !UnixQueue.IsMarkClear(context, file))
        {
            Refuse(
                context,
                file,
                info,
                "unix-out-of-band",
                "an out-of-band byte waits in its queue, and which byte of the queue it is can't be told",
                "let the program receive it before the dump");
        }

        if (poll.revents.HasFlag(PollEvents.POLLERR) && !CanHaveError(file, info)
            && (info.Type == SocketType.SOCK_DGRAM || !context.Files.State.Get<EarlyData>().AddBehindError(context, file)))
        {
            Refuse(
                context,
                file,
                info,
                "unix-error-pending",
                "an error waits to be reported, and to look into the queue would take it away",
                info.Type == SocketType.SOCK_DGRAM
                    ? "let the program read from it before the dump"
                    : "let the program read from it before the dump; a dump that kills the tree saves it, unless descriptors wait, too");
        }

        ExaminePeers(context, file, info, tables);
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        SocketTables tables = context.Files.State.Get<SocketTables>();
        UnixSocketInfo info = tables.Unix[file.Stat.st_ino];
        UnixSkEntry message = entry.Usk = Message(
            file.Id, info, (uint)file.Flags, FileOwner.Dump(context, file), SocketOptions.Read(file.Taken, SocketFamily.AF_UNIX));
        message.NsId = SocketTables.NamespaceOf(context, file);
        if (info is { Type: SocketType.SOCK_DGRAM, PeerInode: null })
        {
            // To connect to it makes the kernel call both ends established (unix_dgram_connect).
            message.State = (uint)TcpState.TCP_CLOSE;
        }

        if (info is { State: TcpState.TCP_ESTABLISHED, PeerInode: 0 or null })
        {
            // Not accepted yet: the listener stands for the peer.
            message.Peer = (uint)tables.ListenerOf(info.Inode);
        }

        if (info.Shutdown != 0)
        {
            message.Shutdown = (SkShutdown)info.Shutdown;
        }

        message.Early.Add(context.Files.State.Get<EarlyData>().PlacesOf(file));
        if (info.PendingClients.Length > 1 || info.PendingClients.Contains(0UL) || message.Early.Count > 0)
        {
            message.Pending.Add(info.PendingClients.Select(inode => (uint)inode));
        }

        Sys.GetSocketOption(file.Taken.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PEERCRED, out Ucred peer)
            .OrThrow($"getsockopt({file.Resource}, SO_PEERCRED)");
        if (peer.pid != 0)
        {
            if (context.FindTask(peer.pid) is { PidDepth: > 0 })
            {
                context.Log.LogWarning(
                    "pid {Pid} {Resource}: its peer {Peer} is in a pid namespace below that of the tree's root; in there SO_PEERCRED will "
                        + "show 0",
                    file.Owner.Pid,
                    file.Resource,
                    peer.pid);
            }

            message.PeerCredentials = new SkCredentialsEntry { Pid = InnerPeer(context, file, peer.pid), Uid = peer.uid, Gid = peer.gid };
        }

        if (info.Name is [not 0, ..])
        {
            DumpPath(context, file, info, message);
        }

        if (IsService(context, info))
        {
            message.State = (uint)TcpState.TCP_CLOSE;
            message.Peer = 0;
            message.Uflags = UnixSocketMaker.Service;
            return;
        }

        DumpExternalPeer(context, file, info, tables);
        if (info.Type == SocketType.SOCK_DGRAM || info.State == TcpState.TCP_ESTABLISHED)
        {
            DumpError(file, message);
            UnixQueue.Dump(context, file);
            if (context.Files.State.Get<EarlyData>().IsLate(file))
            {
                message.IsLate = true;
            }
        }
    }

    // The id of a process that is gone, as it was within the tree's pid namespace, only a task in there is told.
    private static int InnerPeer(DumpContext context, OpenFile file, int outer)
    {
        int inner = context.InnerId(outer);
        if (inner != 0 || file.Via is not null || file.Owner.PidDepth > 0 || file.Owner.Leader.Remote is not { } remote)
        {
            return inner;
        }

        Ucred peer = default;
        RemoteBuffer answer = remote.Batch.Allocate(Unsafe.SizeOf<Ucred>());
        RemoteBuffer length = remote.Batch.Data(Unsafe.SizeOf<Ucred>());
        remote.Batch.Call(Sysno.getsockopt, file.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PEERCRED, answer, length);
        remote.Batch.Then(() => peer = answer.As<Ucred>()[0]);
        remote.Batch.Run("ask for a peer's credentials");
        return peer.pid;
    }

    // A peer that closes with unread data resets the connection; of connected sockets there is no other error.
    private static void DumpError(OpenFile file, UnixSkEntry message)
    {
        var poll = new Pollfd { fd = file.Taken.Number };
        Sys.Poll(new Span<Pollfd>(ref poll), 0).OrThrow($"poll of {file.Resource}");
        if (poll.revents.HasFlag(PollEvents.POLLERR))
        {
            message.Error = (uint)Errno.ECONNRESET;
        }
    }

    /// <summary>A name as people write it: abstract ones with an @.</summary>
    internal static string NameText(ReadOnlySpan<byte> name)
        => name.IsEmpty ? "unnamed"
            : name[0] == 0 ? "@" + Encoding.UTF8.GetString(name[1..])
            : Encoding.UTF8.GetString(name.TrimEnd((byte)0));

    private static void Refuse(DumpContext context, OpenFile file, UnixSocketInfo? info, string identifier, string reason, string remedy)
        => context.Problems.Add(identifier, file.Owner.Pid, $"fd {file.Number}: unix socket {NameText(info?.Name)}", reason, remedy);

    // The task waits at it for the answer to its own request: the restore gives it.
    private static bool IsService(DumpContext context, UnixSocketInfo info)
        => context.Options.ServiceSocket != 0 && info.PeerInode == context.Options.ServiceSocket;

    // Of a stream it is known how much to look at; of packets, only that there are none.
    private static bool CanHaveError(OpenFile file, UnixSocketInfo info)
    {
        int waiting = 0;
        return info.Type == SocketType.SOCK_STREAM
            || (info.Type == SocketType.SOCK_SEQPACKET
                && !Sys.Ioctl(file.Taken.Number, SocketIoctl.SIOCINQ, ref waiting).IsError && waiting == 0);
    }

    private static void ExaminePeers(DumpContext context, OpenFile file, UnixSocketInfo info, SocketTables tables)
    {
        EarlyData early = context.Files.State.Get<EarlyData>();
        for (int place = 0; place < info.PendingClients.Length; place++)
        {
            ulong client = info.PendingClients[place];
            string? reason = client == 0 ? early.AddOfGone(context, file, place)
                : tables.Find(context, client) is null ? "comes from outside of the tree"
                : tables.Unix[client].SendQueue > 0 ? early.Add(context, file, place)
                : null;
            if (reason is not null)
            {
                Refuse(
                    context,
                    file,
                    info,
                    "unix-pending",
                    $"a connection waits to be accepted, and {reason}",
                    "let the program accept it before the dump");
            }
        }

        if (!IsService(context, info) && info.PeerInode is not (null or 0) and ulong peer && tables.Find(context, peer) is null)
        {
            UnixSocketInfo? other = tables.Unix.GetValueOrDefault(peer);
            bool canBeExternal = info.Type == SocketType.SOCK_DGRAM && other?.Name is { Length: > 0 };
            bool isNamed = context.Options.External.Contains("unix", peer.ToString(CultureInfo.InvariantCulture));
            if (!isNamed && (!canBeExternal || !context.Options.ExternalUnixSockets))
            {
                Refuse(
                    context, file, info, "unix-external", $"connected to {NameText(other?.Name)}, a socket outside the tree",
                    canBeExternal
                        ? "allow with --ext-unix-sk"
                        : $"dump a tree that holds both ends; or --external unix[{peer}], and --inherit-fd fd[N]:socket:[{info.Inode}] "
                            + "at the restore");
            }
        }
    }

    private static UnixSkEntry Message(uint id, UnixSocketInfo info, uint flags, FownEntry owner, SkOptsEntry options)
        => new()
        {
            Id = id,
            Ino = (uint)info.Inode,
            Type = (uint)info.Type,
            State = (uint)info.State,
            Flags = flags,
            Uflags = 0,
            Backlog = info.SendQueue,
            Peer = (uint)(info.PeerInode ?? 0),
            Fown = owner,
            Opts = options,
            Name = ByteString.CopyFrom(info.Name ?? []),
        };

    // The path as it is now, which the name alone doesn't tell: relative, renamed, unlinked.
    private static void DumpPath(DumpContext context, OpenFile file, UnixSocketInfo info, UnixSkEntry message)
    {
        SysResult opened = Sys.Ioctl(file.Taken.Number, SocketIoctl.SIOCUNIXFILE);
        if (opened.IsError)
        {
            message.Deleted = true;
            return;
        }

        using var fd = new Fd(opened.Int32);
        Sys.Fstat(fd.Number, out FileStat stat).OrThrow($"fstat({NameText(info.Name)})");
        string path = Sys.ReadLink(NamespaceVisit.PathOf(fd.Number), out _) ?? string.Empty;
        string name = NameText(info.Name);
        MountViews views = context.Files.State.Get<MountViews>();
        int mount = -1;
        if (views.All.Count > 0)
        {
            message.MntId = mount = FdInfo.Read(Sys.GetPid(), fd.Number).MountId;
        }

        message.FilePerms = new FilePermsEntry { Mode = stat.st_mode, Uid = stat.st_uid, Gid = stat.st_gid };
        if (path.EndsWith(Deleted, StringComparison.Ordinal))
        {
            path = path[..^Deleted.Length];
            message.Deleted = true;
        }

        string bound = name;
        if (!name.StartsWith('/'))
        {
            message.NameDir = DirectoryOf(path, name);
            bound = $"{message.NameDir.TrimEnd('/')}/{name}";
        }

        if (message.Deleted || path == bound || IsFile(views.PrefixFor(mount), bound, stat))
        {
            return;
        }

        if (IsFile(views.PrefixFor(mount), path, stat))
        {
            message.RenamedTo = ByteString.CopyFromUtf8(path);
            return;
        }

        context.Log.LogWarning(
            "pid {Pid} fd {Fd}: unix socket {Name} was renamed since, to where it can't be found; it will be restored under its first name",
            file.Owner.Pid,
            file.Number,
            name);
    }

    private static bool IsFile(string prefix, string path, FileStat stat)
        => !Sys.StatAt(At.AT_FDCWD, prefix + path, out FileStat found, At.AT_SYMLINK_NOFOLLOW).IsError
            && found.st_ino == stat.st_ino && found.st_dev == stat.st_dev;

    /// <summary>The directory in which a relative name was bound, from the path that came of it.</summary>
    internal static string DirectoryOf(string path, string name)
    {
        string plain = name;
        while (plain.StartsWith("./", StringComparison.Ordinal))
        {
            plain = plain[2..].TrimStart('/');
        }

        return path.EndsWith("/" + plain, StringComparison.Ordinal) && path.Length > plain.Length + 1
            ? path[..^(plain.Length + 1)]
            : Path.GetDirectoryName(path) ?? "/";
    }

    // CRIU saves what a socket is connected to outside as an entry of its own, for its name.
    private static void DumpExternalPeer(DumpContext context, OpenFile file, UnixSocketInfo info, SocketTables tables)
    {
        if (info.PeerInode is null or 0
            || tables.Find(context, info.PeerInode.Value) is not null
            || !context.Files.State.Get<ExternalPeers>().Add(info.PeerInode.Value))
        {
            return;
        }

        uint id = context.Files.NextId();
        UnixSkEntry message = Message(
            id,
            tables.Unix[info.PeerInode.Value],
            0,
            new FownEntry { Uid = 0, Euid = 0, Signum = 0, PidType = 0, Pid = 0 },
            SocketOptions.Read(file.Taken, SocketFamily.AF_UNIX));
        message.Uflags = UnixSocketMaker.External;
        message.NsId = SocketTables.NamespaceOf(context, file);
        context.Images.Add(ImageKind.Files, 0, new FileEntry { Type = FdTypes.Unixsk, Id = id, Usk = message });
    }

    // ---- restore

    /// <inheritdoc/>
    /// <remarks>The first call makes all of the set: pairs, listeners and connections need each other in an order of their own.</remarks>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        if (!context.Files.IsProvided(entry.Id))
        {
            UnixSocketMaker maker = context.Files.State.Get<Making>().Maker = new UnixSocketMaker(context);
            maker.MakeAll();
        }

        return null;
    }

    /// <inheritdoc/>
    public override void Complete(RestoreContext context) => context.Files.State.Get<Making>().Maker?.Complete(false);

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd)
    {
        context.Files.State.Get<Making>().Maker?.Complete(true);
        FileOwner.Arm(context, entry.Usk.Fown, fd, fd.ToString());
    }

    private sealed class Making : IDisposable
    {
        public UnixSocketMaker? Maker { get; set; }

        public void Dispose() => Maker?.Dispose();
    }

    private sealed class ExternalPeers : HashSet<ulong>
    {
    }
}
