using Firn.Engine.Hooks;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Rpc.Messages;
using Google.Protobuf;

namespace Firn.Rpc.Tests;

/// <summary>
/// Packets that no honest client sends: cut, changed, oversized, out of order. Each is answered, or the conversation closed.
/// </summary>
public sealed class FuzzTests
{
    private const int Rounds = 20_000;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(100);

    public static TheoryData<int> Seeds => [1, 2, 3];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Changed_packets_never_hang_or_crash(int seed)
    {
        var random = new Random(seed);
        byte[][] honest = [.. Fixture.All.SelectMany(fixture => fixture.Packets).Select(packet => packet.Bytes)];
        var host = new Refusing();
        var watch = System.Diagnostics.Stopwatch.StartNew();
        int answers = 0;
        for (int round = 0; round < Rounds && watch.Elapsed < Patience; round++)
        {
            byte[][] packets = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => Change(random, honest[random.Next(honest.Length)]))];

            // A check looks at the whole kernel each time.
            if (packets.Any(packet => packet is [8, 3, ..]))
            {
                continue;
            }

            answers += Send(host, packets).Count;
        }

        Assert.InRange(answers, 100, int.MaxValue);
    }

    [Theory]
    [InlineData("")]
    [InlineData("08")]
    [InlineData("10")]
    [InlineData("1000")]
    [InlineData("0801120208")]
    [InlineData("08011202")]
    [InlineData("080112001a")]
    [InlineData("ffffffffffffffffffff01")]
    [InlineData("0a0a0a0a")]
    [InlineData("080112021000")]
    public void What_is_no_whole_request_closes_the_conversation(string hex)
        => Assert.Empty(Send(new Refusing(), [Convert.FromHexString(hex)]));

    [Theory]
    [InlineData(RequestType.Empty)]
    [InlineData(RequestType.Dump)]
    [InlineData(RequestType.Restore)]
    [InlineData(RequestType.Notify)]
    [InlineData(RequestType.CpuinfoDump)]
    [InlineData(RequestType.CpuinfoCheck)]
    [InlineData(RequestType.FeatureCheck)]
    [InlineData((RequestType)14)]
    [InlineData((RequestType)(-1))]
    public void What_lacks_what_it_needs_or_comes_out_of_order_is_answered(RequestType type)
    {
        Reply reply = Assert.Single(Send(new Refusing(), [new Request { Type = type }.ToByteArray()]));
        Assert.Equal((RequestType.Empty, false), (reply.Type, reply.Success));
        Assert.StartsWith("Error (", reply.CrErrmsg, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(RequestType.PreDump)]
    [InlineData(RequestType.SinglePreDump)]
    [InlineData(RequestType.PageServer)]
    [InlineData(RequestType.PageServerChld)]
    public void What_is_not_there_says_so_under_its_own_name(RequestType type)
    {
        Reply reply = Assert.Single(Send(new Refusing(), [new Request { Type = type, Opts = new Opts { ImagesDirFd = 0 } }.ToByteArray()]));
        Assert.Equal((type, false, (int)Errno.EOPNOTSUPP), (reply.Type, reply.Success, reply.CrErrno));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(uint.MaxValue)]
    [InlineData(1u)]
    public void To_wait_for_what_is_no_child_is_refused(uint pid)
        => Assert.False(Assert.Single(Send(new Refusing(), [new Request { Type = RequestType.WaitPid, Pid = pid }.ToByteArray()])).Success);

    [Fact]
    public void A_packet_of_a_megabyte_closes_the_conversation()
    {
        byte[] packet = [0x08, 0x0a, .. new Request { Opts = new Opts { LogFile = new string('a', (1 << 20) + 1) } }.ToByteArray()];
        Assert.Empty(Send(new Refusing(), [packet]));
    }

    [Fact]
    public void Descriptors_that_a_client_sends_are_not_kept()
    {
        (Fd client, Fd server) = MakePair();
        using (client)
        using (server)
        {
            int before = Directory.GetFiles("/proc/self/fd").Length;
            Sys.SendFds(client.Number, [0, 0, 0]).OrThrow("sendmsg");
            _ = Sys.Shutdown(client.Number, ShutdownHow.SHUT_WR);
            Assert.Equal(1, Conversation.Run(server.Number, new Refusing(), isService: false));
            Assert.Equal(before, Directory.GetFiles("/proc/self/fd").Length);
        }
    }

    [Theory]
    [InlineData("08061801", true)]
    [InlineData("08061800", false)]
    [InlineData("0806", false)]
    [InlineData("080a", false)]
    [InlineData("08011801", false)]
    [InlineData("0806180", false)]
    [InlineData("", false)]
    public void Only_a_whole_yes_to_a_notification_is_one(string answer, bool isYes)
    {
        (Fd clientEnd, Fd serverEnd) = MakePair();
        using Fd client = clientEnd;
        using Fd server = serverEnd;
        byte[] bytes = answer.Length % 2 == 0 ? Convert.FromHexString(answer) : [0x08, 0x06, 0x18, 0x80];
        Sys.Send(client.Number, bytes, MessageFlags.MSG_NOSIGNAL).OrThrow("send");
        _ = Sys.Shutdown(client.Number, ShutdownHow.SHUT_WR);
        var notifier = new Notifier(new PacketSocket(server.Number));
        HookException? no = Record.Exception(() => notifier.Call(new HookCall(HookNames.PostRestore, 42, "/"))) as HookException;
        Assert.Equal(isYes, no is null);
        byte[] packet = new byte[100];
        int length = Sys.Receive(client.Number, packet, 0).OrThrow("recv").Int32;
        Assert.Equal("080610012a100a0c706f73742d726573746f7265102a", Convert.ToHexStringLower(packet.AsSpan(0, length)));
    }

    private static (Fd Client, Fd Server) MakePair()
    {
        const SocketType Type = SocketType.SOCK_SEQPACKET | SocketType.SOCK_CLOEXEC;
        Sys.SocketPair(SocketFamily.AF_UNIX, Type, 0, out int first, out int second).OrThrow("socketpair");
        return (new Fd(first), new Fd(second));
    }

    private static List<Reply> Send(IRequestHost host, byte[][] packets)
    {
        (Fd clientEnd, Fd server) = MakePair();
        using Fd client = clientEnd;
        Task<int> serving = Task.Run(() =>
        {
            using (server)
            {
                return Conversation.Run(server.Number, host, isService: false);
            }
        });
        foreach (byte[] packet in packets)
        {
            // One that is too large for the socket, or comes after the end, is not sent.
            _ = Sys.Send(client.Number, packet, MessageFlags.MSG_NOSIGNAL);
        }

        _ = Sys.Shutdown(client.Number, ShutdownHow.SHUT_WR);
        List<Reply> replies = [];
        byte[] room = new byte[1 << 16];
        while (Sys.Receive(client.Number, room, 0) is { IsError: false, Int32: > 0 and int length })
        {
            Assert.InRange(length, 1, 8191);
            replies.Add(Reply.Parser.ParseFrom(room, 0, length));
        }

        Assert.True(serving.Wait(Patience), $"hangs at {string.Join(' ', packets.Select(Convert.ToHexString))}");
        return replies;
    }

    private static byte[] Change(Random random, byte[] packet)
    {
        List<byte> bytes = [.. packet];
        for (int changes = random.Next(0, 4); changes > 0 && bytes.Count > 0; changes--)
        {
            int at = random.Next(bytes.Count);
            switch (random.Next(5))
            {
                case 0:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes.Insert(at, (byte)random.Next(256));
                    break;
                case 3:
                    bytes.RemoveAt(at);
                    break;
                default:
                    bytes.AddRange(bytes[at..]);
                    break;
            }
        }

        return [.. bytes];
    }

    // Understands every option, and does nothing.
    private sealed class Refusing : IRequestHost
    {
        public IRequestWork Open(string verb, IReadOnlyList<RequestOption> options, string? configurationFile)
            => throw new RequestException($"{verb} with {options.Count} options");
    }
}
