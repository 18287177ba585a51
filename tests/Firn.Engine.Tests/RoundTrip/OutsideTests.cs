namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Trees that are joined to what is outside of them: the terminal of the caller's session, pipes to another program.</summary>
public sealed class OutsideTests
{
    [Theory]
    [InlineData("shell_job.py")]
    [InlineData("outside_pipes.py")]
    [InlineData("outside_sockets.py")]
    [InlineData("outside_datagrams.py")]
    [InlineData("outside_files.py")]
    [InlineData("outside_proc.py")]
    [InlineData("outside_terminal.py")]
    [InlineData("outside_slave.py")]
    [InlineData("tmux_session.py")]
    [InlineData("orphan_terminal.py")]
    public void What_is_outside_of_the_tree_is_joined_again(string script)
    {
        using var space = new PidNamespace();
        string images = space.MakeDirectory("images");
        Outcome outcome = space.Run(Programs.Command("/usr/bin/python3"), Programs.Data(script), Programs.Firn, images);
        Assert.True(outcome.Status == 0, outcome.Error);
    }

    [Theory]
    [InlineData("tcp_redis.py", "loopback")]
    [InlineData("tcp_redis.py", "loopback6")]
    [InlineData("tcp_redis.py", "veth")]
    [InlineData("tcp_waiting.py", "loopback")]
    [InlineData("tcp_waiting.py", "loopback6")]
    [InlineData("tcp_waiting.py", "veth")]
    [InlineData("tcp_waiting.py", "booted")]
    [InlineData("tcp_waiting.py", "again")]
    [InlineData("tcp_across.py", "veth")]
    [InlineData("tcp_servers.py", "nginx")]
    [InlineData("tcp_servers.py", "memcached")]
    [InlineData("tcp_servers.py", "inside")]
    public void Connections_go_on_and_their_peers_notice_nothing(string script, string where)
    {
        foreach (string needed in (string[])
            ["/usr/bin/redis-server", "/usr/sbin/nft", "/usr/bin/nsenter", "/usr/sbin/nginx", "/usr/bin/memcached"])
        {
            _ = Programs.Command(needed);
        }

        using var space = new PidNamespace();
        string images = space.MakeDirectory("images");
        Outcome outcome = space.Run(
            Programs.Command("/usr/bin/unshare"), "--net", Programs.Command("/usr/bin/python3"), Programs.Data(script), Programs.Firn,
            images, where);
        Assert.True(outcome.Status == 0, outcome.Error);
    }
}
