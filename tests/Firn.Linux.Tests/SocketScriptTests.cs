using System.Text;
using Firn.Linux.Abi;
using Xunit;

namespace Firn.Linux.Tests;

/// <summary>Scripts for sockets: what they see and leave, as one call and as many.</summary>
public class SocketScriptTests
{
    public static IEnumerable<TheoryDataRow<bool>> Ways => [new(true), new(false)];

    private static (Fd First, Fd Second) Pair(SocketType type)
    {
        Sys.SocketPair(SocketFamily.AF_UNIX, type | SocketType.SOCK_CLOEXEC, 0, out int first, out int second).OrThrow("socketpair");
        return (new Fd(first), new Fd(second));
    }

    private static int Option(Fd socket, int option)
    {
        Sys.GetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, option, out int value).OrThrow("getsockopt");
        return value;
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void Packets_are_seen_one_after_the_other_and_stay(bool oneCall)
    {
        using var script = new SocketScript(oneCall);
        (Fd first, Fd second) = Pair(SocketType.SOCK_SEQPACKET);
        using (first)
        using (second)
        {
            Sys.Send(first.Number, "one"u8, MessageFlags.None).OrThrow("send");
            Sys.Send(first.Number, "second"u8, MessageFlags.None).OrThrow("send");
            for (int time = 0; time < 3; time++)
            {
                script.Set(second.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PASSCRED, 1);
                script.Set(second.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PEEK_OFF, 0);
                SocketLook one = script.Peek(second.Number, 100, 100, 0, MessageFlags.None);
                SocketLook two = script.Peek(second.Number, 4, 0, 0, MessageFlags.MSG_TRUNC);
                SocketLook rest = script.Peek(second.Number, 100, 100, 0, MessageFlags.None);
                SocketLook none = script.Peek(second.Number, 100, 100, 0, MessageFlags.None);
                script.Set(second.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PEEK_OFF, -1);
                script.Set(second.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PASSCRED, 0);
                script.Run();
                Assert.Equal("one", Encoding.UTF8.GetString(one.Data));
                Assert.Equal(6, two.Result.Int32);
                Assert.Equal("seco", Encoding.UTF8.GetString(two.Data));
                Assert.Equal("nd", Encoding.UTF8.GetString(rest.Data));
                Assert.Equal(Errno.EAGAIN, none.Result.Errno);
                ControlMessages parts = new(one.Control);
                Assert.True(parts.MoveNext());
                Assert.Equal(ControlMessageType.SCM_CREDENTIALS, parts.Current.Type);
                Assert.Equal(-1, Option(second, SocketOption.SO_PEEK_OFF));
                Assert.Equal(0, Option(second, SocketOption.SO_PASSCRED));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void Of_a_stream_whole_buffers_are_told(bool oneCall)
    {
        using var script = new SocketScript(oneCall);
        (Fd first, Fd second) = Pair(SocketType.SOCK_STREAM);
        using (first)
        using (second)
        {
            Sys.Send(first.Number, "four"u8, MessageFlags.None).OrThrow("send");
            Sys.Send(first.Number, "seventh"u8, MessageFlags.None).OrThrow("send");
            SocketLook most = script.Peek(second.Number, 10, 0, 0, MessageFlags.None, wholeBuffers: true);
            SocketLook none = script.Peek(second.Number, 3, 0, 0, MessageFlags.None, wholeBuffers: true);
            script.Run();
            Assert.Equal(4, most.Result.Int32);
            Assert.Equal(Errno.EFAULT, none.Result.Errno);
        }
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void A_setting_that_is_refused_is_told_after_all_others_were_made(bool oneCall)
    {
        using var script = new SocketScript(oneCall);
        (Fd first, Fd second) = Pair(SocketType.SOCK_STREAM);
        using (first)
        using (second)
        {
            script.Set(first.Number, SocketLevel.IPPROTO_TCP, TcpOption.TCP_REPAIR, 1);
            script.Set(first.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PASSCRED, 1);
            LinuxException refused = Assert.Throws<LinuxException>(script.Run);
            Assert.Equal(Errno.EOPNOTSUPP, refused.Errno);
            Assert.Equal(1, Option(first, SocketOption.SO_PASSCRED));
            script.Run();
        }
    }

    [Fact]
    public void There_is_room_for_so_many_steps_and_no_more()
    {
        using var script = new SocketScript();
        (Fd first, Fd second) = Pair(SocketType.SOCK_STREAM);
        using (first)
        using (second)
        {
            for (int step = 0; step < SocketScript.MostSteps; step++)
            {
                script.Set(first.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PASSCRED, step % 2);
            }

            Assert.Throws<InvalidOperationException>(
                () => script.Set(first.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PASSCRED, 0));
            script.Run();
            Assert.Equal(1, Option(first, SocketOption.SO_PASSCRED));
        }
    }
}
