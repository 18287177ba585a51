using System.Text;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Firn.Linux.Procfs;
using Xunit;

namespace Firn.Linux.Tests;

/// <summary>Sockets and what sock_diag says of them.</summary>
public class SocketTests
{
    private static Fd Make(SocketFamily family, SocketType type)
        => new(Sys.Socket(family, type | SocketType.SOCK_CLOEXEC).OrThrow("socket").Int32);

    private static ulong Inode(Fd fd)
    {
        Sys.Fstat(fd.Number, out FileStat stat).OrThrow("fstat");
        return stat.st_ino;
    }

    [Fact]
    public void Descriptors_travel_over_a_socket()
    {
        Sys.SocketPair(SocketFamily.AF_UNIX, SocketType.SOCK_STREAM, 0, out int first, out int second).OrThrow("socketpair");
        using var left = new Fd(first);
        using var right = new Fd(second);
        using Fd file = Sys.Open("/dev/null", OpenFlags.O_RDWR);
        Assert.Equal(1, Sys.SendFds(left.Number, [file.Number, file.Number]).Int32);

        Span<int> received = [-1, -1];
        Assert.Equal(2, Sys.ReceiveFds(right.Number, received).Int32);
        using var copy = new Fd(received[0]);
        using var other = new Fd(received[1]);
        Assert.Equal("/dev/null", FdList.ReadLink(Sys.GetPid(), copy.Number));
        Assert.Equal(1, Sys.Fcntl(other.Number, FcntlCommand.F_GETFD).Int32);

        Sys.Shutdown(left.Number, ShutdownHow.SHUT_WR).OrThrow("shutdown");
        Assert.Equal(0, Sys.ReceiveFds(right.Number, received).Int32);
    }

    [Fact]
    public void Descriptors_that_find_no_room_are_closed()
    {
        Sys.SocketPair(SocketFamily.AF_UNIX, SocketType.SOCK_STREAM, 0, out int first, out int second).OrThrow("socketpair");
        using var left = new Fd(first);
        using var right = new Fd(second);
        Sys.Pipe(out int r, out int w, OpenFlags.O_CLOEXEC).OrThrow("pipe2");
        using var read = new Fd(r);
        using (var write = new Fd(w))
        {
            Sys.SendFds(left.Number, [write.Number, write.Number]).OrThrow("sendmsg");
        }

        Span<int> small = [-1];
        Assert.Equal(Errno.EMSGSIZE, Sys.ReceiveFds(right.Number, small).Errno);

        // The end of the pipe comes when no descriptor of its write end is left.
        Assert.Equal(0, Sys.Read(read.Number, new byte[1]).Int32);
    }

    [Fact]
    public void A_peek_takes_nothing_away()
    {
        Sys.SocketPair(SocketFamily.AF_UNIX, SocketType.SOCK_DGRAM, 0, out int first, out int second).OrThrow("socketpair");
        using var left = new Fd(first);
        using var right = new Fd(second);
        Sys.Send(left.Number, "hello"u8, MessageFlags.None).OrThrow("send");
        Span<byte> data = stackalloc byte[16];
        for (int i = 0; i < 2; i++)
        {
            int length = Sys.Receive(right.Number, data, MessageFlags.MSG_PEEK | MessageFlags.MSG_DONTWAIT).OrThrow("recv").Int32;
            Assert.True(data[..length].SequenceEqual("hello"u8));
        }

        Span<Pollfd> poll = [new Pollfd { fd = right.Number, events = PollEvents.POLLIN }];
        Assert.Equal(1, Sys.Poll(poll, 0).Int32);
        Assert.Equal(PollEvents.POLLIN, poll[0].revents);
    }

    [Fact]
    public void Options_of_a_socket()
    {
        using Fd socket = Make(SocketFamily.AF_INET, SocketType.SOCK_STREAM);
        Sys.SetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_KEEPALIVE, 1).OrThrow("setsockopt");
        Sys.GetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_KEEPALIVE, out int keepAlive).OrThrow("getsockopt");
        Assert.Equal(1, keepAlive);
        Sys.GetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_LINGER, out Linger linger).OrThrow("getsockopt");
        Assert.Equal(0, linger.l_onoff);
        Assert.Equal(Errno.ENOPROTOOPT, Sys.GetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, 9999, out int _).Errno);
    }

    [Fact]
    public void Diag_of_unix_sockets_names_peers_and_pending_connections()
    {
        byte[] name = Encoding.UTF8.GetBytes($"\0firn-{Environment.ProcessId}-\u00e9");
        using Fd listener = Make(SocketFamily.AF_UNIX, SocketType.SOCK_STREAM);
        Sys.Bind(listener.Number, SocketAddress.Unix(name)).OrThrow("bind");
        Sys.Listen(listener.Number, 5).OrThrow("listen");
        using Fd client = Make(SocketFamily.AF_UNIX, SocketType.SOCK_STREAM);
        Sys.Connect(client.Number, SocketAddress.Unix(name)).OrThrow("connect");
        Sys.SocketPair(SocketFamily.AF_UNIX, SocketType.SOCK_SEQPACKET, 0, out int first, out int second).OrThrow("socketpair");
        using var left = new Fd(first);
        using var right = new Fd(second);
        Sys.Send(left.Number, "12345"u8, MessageFlags.None).OrThrow("send");
        Sys.Shutdown(left.Number, ShutdownHow.SHUT_RD).OrThrow("shutdown");

        using SockDiag diag = SockDiag.Open();
        Dictionary<ulong, UnixSocketInfo> sockets = diag.ReadUnix();
        UnixSocketInfo listening = sockets[Inode(listener)];
        Assert.Equal(name, listening.Name);
        Assert.Equal(TcpState.TCP_LISTEN, listening.State);
        Assert.Equal([Inode(client)], listening.PendingClients);
        Assert.Equal((1u, 5u), (listening.ReceiveQueue, listening.SendQueue));
        Assert.Null(listening.PeerInode);
        Assert.Equal(0UL, sockets[Inode(client)].PeerInode);

        UnixSocketInfo pair = sockets[Inode(right)];
        Assert.Equal(Inode(left), pair.PeerInode);
        Assert.Null(pair.Name);
        Assert.Equal(SocketType.SOCK_SEQPACKET, pair.Type);
        Assert.Equal(5u, pair.ReceiveQueue);
        Assert.Equal((1, 2), (sockets[Inode(left)].Shutdown, pair.Shutdown));
    }

    [Fact]
    public void Diag_of_a_bound_unix_socket_has_its_file()
    {
        string path = Path.Combine(Path.GetTempPath(), $"firn-{Environment.ProcessId}.sock");
        using Fd socket = Make(SocketFamily.AF_UNIX, SocketType.SOCK_DGRAM);
        Sys.Bind(socket.Number, SocketAddress.Unix(Encoding.UTF8.GetBytes(path))).OrThrow("bind");
        try
        {
            Sys.StatAt(At.AT_FDCWD, path, out FileStat stat).OrThrow("stat");
            using SockDiag diag = SockDiag.Open();
            UnixSocketInfo info = diag.ReadUnix()[Inode(socket)];
            Assert.Equal(path + "\0", Encoding.UTF8.GetString(info.Name!));
            Assert.Equal(stat.st_ino, info.FileInode);
        }
        finally
        {
            Sys.UnlinkAt(At.AT_FDCWD, path).OrThrow("unlink");
        }
    }

    [Fact]
    public void Diag_of_tcp_and_udp()
    {
        byte[] loopback6 = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        byte[] loopback = [127, 0, 0, 1];
        using Fd listener = Make(SocketFamily.AF_INET6, SocketType.SOCK_STREAM);
        Sys.SetSocketOption(listener.Number, SocketLevel.IPPROTO_IPV6, Ipv6Option.IPV6_V6ONLY, 1).OrThrow("setsockopt");
        Sys.Bind(listener.Number, SocketAddress.Inet(loopback6, 0)).OrThrow("bind");
        Sys.Listen(listener.Number, 7).OrThrow("listen");
        byte[] address = new byte[28];
        Sys.GetSockName(listener.Number, address, out int length).OrThrow("getsockname");
        Assert.Equal(28, length);
        ushort port = (ushort)((address[2] << 8) | address[3]);
        using Fd client = Make(SocketFamily.AF_INET6, SocketType.SOCK_STREAM);
        Sys.Connect(client.Number, SocketAddress.Inet(loopback6, port)).OrThrow("connect");
        Sys.Send(client.Number, "abc"u8, MessageFlags.None).OrThrow("send");
        using Fd udp = Make(SocketFamily.AF_INET, SocketType.SOCK_DGRAM);
        Sys.Bind(udp.Number, SocketAddress.Inet(loopback, 0)).OrThrow("bind");
        using Fd bound = Make(SocketFamily.AF_INET, SocketType.SOCK_STREAM);
        Sys.Bind(bound.Number, SocketAddress.Inet(loopback, 0)).OrThrow("bind");

        using SockDiag diag = SockDiag.Open();
        InetSockets sockets = diag.ReadInet();
        InetSocketInfo listening = sockets.ByInode[Inode(listener)];
        Assert.Equal((TcpState.TCP_LISTEN, port, true), (listening.State, listening.SourcePort, listening.V6Only));
        Assert.Equal(loopback6, listening.SourceAddress);
        Assert.Equal((1u, 7u), (listening.ReceiveQueue, listening.SendQueue));

        InetSocketInfo connected = sockets.ByInode[Inode(client)];
        Assert.Equal((TcpState.TCP_ESTABLISHED, port), (connected.State, connected.DestinationPort));
        InetSocketInfo waiting = Assert.Single(
            sockets.WithoutInode, info => info.DestinationPort == connected.SourcePort && info.SourcePort == port);
        Assert.Equal(3u, waiting.ReceiveQueue);

        InetSocketInfo datagrams = sockets.ByInode[Inode(udp)];
        Assert.Equal((SocketLevel.IPPROTO_UDP, SocketFamily.AF_INET), (datagrams.Protocol, datagrams.Family));
        Assert.Equal(loopback, datagrams.SourceAddress);
        Assert.True(sockets.ByInode.ContainsKey(Inode(bound)));
    }

    [Fact]
    public void A_family_that_the_kernel_has_no_module_for_is_an_error_and_not_an_exception()
    {
        using NetlinkSocket socket = NetlinkSocket.Open(NetlinkConstants.NETLINK_SOCK_DIAG);
        var request = new UnixDiagReq { sdiag_family = 33 };
        SysResult result = socket.Dump(DiagConstants.SOCK_DIAG_BY_FAMILY, in request, () => { }, _ => Assert.Fail("a message"));
        Assert.Equal(Errno.ENOENT, result.Errno);
    }
}
