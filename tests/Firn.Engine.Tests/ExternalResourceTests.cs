using Xunit;

namespace Firn.Engine.Tests;

public sealed class ExternalResourceTests
{
    [Theory]
    [InlineData("mnt[/etc/hosts]:hosts", "mnt", "/etc/hosts", "hosts")]
    [InlineData("mnt[hosts]:/srv/a]:b", "mnt", "hosts", "/srv/a]:b")]
    [InlineData("mnt[]", "mnt", "", null)]
    [InlineData("mnt[]:ms", "mnt", "", "ms")]
    [InlineData("net[4026532177]:extRootNetNS", "net", "4026532177", "extRootNetNS")]
    [InlineData("file[17:2a]", "file", "17:2a", null)]
    [InlineData("tty[8803:17]", "tty", "8803:17", null)]
    [InlineData("unix[123]", "unix", "123", null)]
    [InlineData("dev[8/1]:disk", "dev", "8/1", "disk")]
    [InlineData("veth[eth0]:veth1@br0", "veth", "eth0", "veth1@br0")]
    [InlineData("macvlan[eth1]:eth0", "macvlan", "eth1", "eth0")]
    [InlineData("pipe:[99]", "pipe", "99", null)]
    public void Every_form_of_the_grammar_is_understood(string text, string type, string id, string? value)
    {
        Assert.True(ExternalResource.TryParse(text, out ExternalResource? resource));
        Assert.Equal(new ExternalResource(type, id, value), resource);
    }

    [Theory]
    [InlineData("")]
    [InlineData("mnt")]
    [InlineData("mnt[")]
    [InlineData("mnt[a")]
    [InlineData("[a]:b")]
    [InlineData("mnt[a]b")]
    [InlineData("a b[c]")]
    public void Anything_else_is_not(string text) => Assert.False(ExternalResource.TryParse(text, out _));

    [Fact]
    public void The_last_of_two_with_one_key_wins()
    {
        ExternalResources all = ExternalResources.None.With(
            [new("mnt", "/dev/null", "a"), new("mnt", "/dev/null", "b"), new("mnt", "", "m")]);
        Assert.Equal("b", all.Find("mnt", "/dev/null")!.Value);
        Assert.True(all.FindsMounts && all.AllowsMasterMounts && !all.AllowsSharedMounts);
        Assert.False(all.Contains("net", "/dev/null"));
    }
}
