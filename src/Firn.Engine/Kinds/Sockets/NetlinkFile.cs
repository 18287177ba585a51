using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Google.Protobuf.Collections;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>Netlink sockets: port, multicast groups, destination, options.</summary>
/// <remarks>
/// Kernel: net/netlink/af_netlink.c, diag.c; netlink(7). Messages that wait in the queue can't be put back, since they come from the
/// kernel, whose port no one else may send by; neither can a list that the kernel has not come to the end of. Both are refused.
/// </remarks>
internal sealed class NetlinkFile : FileKind
{
    private const int NETLINK_ADD_MEMBERSHIP = 1;
    private const int MostGroupBytes = 128;
    private const int GroupsInAddress = 32;

    // NETLINK_PKTINFO, BROADCAST_ERROR, NO_ENOBUFS, LISTEN_ALL_NSID, CAP_ACK, EXT_ACK, GET_STRICT_CHK (include/uapi/linux/netlink.h).
    private static readonly int[] Switches = [3, 4, 5, 8, 10, 11, 12];

    // NETLINK_CONNECTED and NETLINK_UNCONNECTED of sock_diag.
    private const uint Connected = 1;
    private const uint Unconnected = 0;

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Netlinksk;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => SocketTables.IsSocket(file) && SocketTables.FamilyOf(file) == SocketFamily.AF_NETLINK;

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        var poll = new Pollfd { fd = file.Taken.Number, events = PollEvents.POLLIN };
        Sys.Poll(new Span<Pollfd>(ref poll), 0).OrThrow($"poll of pid {file.Owner.Pid} fd {file.Number}");
        if (!SocketTables.IsInOwnNamespace(context, file))
        {
            return;
        }

        bool isWaiting = poll.revents.HasFlag(PollEvents.POLLIN);
        if (isWaiting || context.Files.State.Get<SocketTables>().NetlinkLists.Contains(file.Stat.st_ino))
        {
            context.Problems.Add(
                "netlink-queue",
                file.Owner.Pid,
                $"fd {file.Number}: netlink socket of the protocol {SocketTables.Option(file, SocketOption.SO_PROTOCOL)}",
                isWaiting ? "messages wait in its queue" : "the kernel has not come to the end of a list that it was asked for",
                "let the program read them, and dump again");
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        Fd socket = file.Taken;
        string who = $"pid {file.Owner.Pid} fd {file.Number}";
        var source = default(SockaddrNl);
        var destination = default(SockaddrNl);
        Sys.GetSockName(socket.Number, MemoryMarshal.AsBytes(new Span<SockaddrNl>(ref source)), out _).OrThrow($"getsockname of {who}");
        Sys.GetPeerName(
            socket.Number, MemoryMarshal.AsBytes(new Span<SockaddrNl>(ref destination)), out _).OrThrow($"getpeername of {who}");
        entry.Nlsk = new NetlinkSkEntry
        {
            Id = file.Id,
            Ino = (uint)file.Stat.st_ino,
            Protocol = (uint)SocketTables.Option(file, SocketOption.SO_PROTOCOL),
            State = destination.nl_pid != 0 || destination.nl_groups != 0 ? Connected : Unconnected,
            Flags = (uint)file.Flags,
            Portid = source.nl_pid,
            DstPortid = destination.nl_pid,
            DstGroup = destination.nl_groups,
            Fown = FileOwner.Dump(context, file),
            Opts = SocketOptions.Read(socket, SocketFamily.AF_NETLINK),
            NsId = SocketTables.NamespaceOf(context, file),
            Type = (uint)SocketTables.Option(file, SocketOption.SO_TYPE),
        };
        foreach (int option in Switches)
        {
            if (!Sys.GetSocketOption(socket.Number, SocketLevel.SOL_NETLINK, option, out int value).IsError && value != 0)
            {
                entry.Nlsk.Options |= 1u << option;
            }
        }

        byte[] groups = new byte[MostGroupBytes];
        Sys.GetSocketOption(socket.Number, SocketLevel.SOL_NETLINK, NetlinkConstants.NETLINK_LIST_MEMBERSHIPS, groups, out int length)
            .OrThrow($"getsockopt(NETLINK_LIST_MEMBERSHIPS) of {who}");
        entry.Nlsk.Groups.Add(Trim(MemoryMarshal.Cast<byte, uint>(groups.AsSpan(0, Math.Min(length, groups.Length)))));
    }

    /// <summary>Leaves out the groups beyond the last one that is joined.</summary>
    internal static uint[] Trim(ReadOnlySpan<uint> groups) => groups.TrimEnd(0u).ToArray();

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        NetlinkSkEntry message = entry.Nlsk;
        SocketType type = message.HasType ? (SocketType)message.Type : SocketType.SOCK_RAW;
        var socket = new Fd(Sys.Socket(SocketFamily.AF_NETLINK, type | SocketType.SOCK_CLOEXEC, (int)message.Protocol)
            .OrThrow($"socket(AF_NETLINK, {message.Protocol}) of file {entry.Id}").Int32);
        SocketOptions.Write(socket, message.Opts);
        foreach (int option in Switches.Where(option => (message.Options & (1u << option)) != 0))
        {
            Sys.SetSocketOption(socket.Number, SocketLevel.SOL_NETLINK, option, 1)
                .OrThrow($"setsockopt(SOL_NETLINK, {option}) of file {entry.Id}");
        }

        uint first = message.Groups.Count > 0 ? message.Groups[0] : 0;
        if (message.Portid != 0 || first != 0)
        {
            var source = new SockaddrNl { nl_family = (ushort)SocketFamily.AF_NETLINK, nl_pid = message.Portid, nl_groups = first };
            SysResult bound = Sys.Bind(socket.Number, MemoryMarshal.AsBytes(new ReadOnlySpan<SockaddrNl>(in source)));
            if (bound.Errno == Errno.EADDRINUSE)
            {
                throw new RestoreConflictException(
                    $"file {entry.Id}: the netlink port {message.Portid} is in use; stop the program that uses it");
            }

            bound.OrThrow($"bind of netlink port {message.Portid}, groups 0x{first:x}, of file {entry.Id}");
        }

        foreach (int group in GroupsBeyondAddress(message.Groups))
        {
            Sys.SetSocketOption(
                socket.Number,
                SocketLevel.SOL_NETLINK,
                NETLINK_ADD_MEMBERSHIP,
                group).OrThrow($"setsockopt(NETLINK_ADD_MEMBERSHIP, {group}) of file {entry.Id}");
        }

        if (message.State == Connected)
        {
            var destination =
                new SockaddrNl { nl_family = (ushort)SocketFamily.AF_NETLINK, nl_pid = message.DstPortid, nl_groups = message.DstGroup };
            Sys.Connect(
                socket.Number,
                MemoryMarshal.AsBytes(new ReadOnlySpan<SockaddrNl>(in destination))).OrThrow($"connect of netlink file {entry.Id}");
        }

        FileOwner.RestoreFlags(socket, message.Flags);
        return socket;
    }

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd) => FileOwner.Arm(context, entry.Nlsk.Fown, fd, fd.ToString());

    private static IEnumerable<int> GroupsBeyondAddress(RepeatedField<uint> groups)
        => Enumerable.Range(GroupsInAddress, Math.Max(0, (groups.Count * GroupsInAddress) - GroupsInAddress))
            .Where(bit => (groups[bit / GroupsInAddress] & (1u << (bit % GroupsInAddress))) != 0)
            .Select(bit => bit + 1);
}
