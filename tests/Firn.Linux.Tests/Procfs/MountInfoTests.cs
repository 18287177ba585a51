using Firn.Linux.Procfs;
using Xunit;

namespace Firn.Linux.Tests.Procfs;

/// <summary>mountinfo, recorded on Linux 6.18.</summary>
public class MountInfoTests
{
    [Fact]
    public void Names_are_unescaped_and_tags_are_read()
    {
        List<MountEntry> mounts = MountInfo.Parse(Texts.Lines(
            "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard,resv_strict,resuid=65534,resgid=65534",
            "42 27 0:39 /a\\012b /tmp/rec/m\\040t#\\134\\134x rw,relatime shared:1 - tmpfs no\\040ne\\043 rw,size=4k",
            "43 27 0:4 net:[4026531833] /run/ns rw master:3 propagate_from:2 unbindable - nsfs  rw",
            "44 27 0:5 /gone//deleted /mnt rw - fuse.sshfs host: rw,lowerdir=/a\\054b"));
        Assert.Equal((27, 1, 254u, 0u), (mounts[0].Id, mounts[0].ParentId, mounts[0].DevMajor, mounts[0].DevMinor));
        Assert.Equal(("/", "/", "rw,relatime"), (mounts[0].Root, mounts[0].MountPoint, mounts[0].Options));
        Assert.Equal(("ext4", "/dev/vda"), (mounts[0].FileSystemType, mounts[0].Source));
        Assert.Equal("rw,discard,resv_strict,resuid=65534,resgid=65534", mounts[0].SuperOptions);

        Assert.Equal(("/a\nb", "/tmp/rec/m t#\\\\x", "no ne#"), (mounts[1].Root, mounts[1].MountPoint, mounts[1].Source));
        Assert.Equal((1, 0), (mounts[1].Shared, mounts[1].Master));

        Assert.Equal((0, 3, 2, true), (mounts[2].Shared, mounts[2].Master, mounts[2].PropagateFrom, mounts[2].Unbindable));
        Assert.Equal(("nsfs", string.Empty, "rw"), (mounts[2].FileSystemType, mounts[2].Source, mounts[2].SuperOptions));

        Assert.Equal("/gone//deleted", mounts[3].Root);
        Assert.Equal("rw,lowerdir=/a\\054b", mounts[3].SuperOptions);
        Assert.Equal("/a,b", MountInfo.Unescape("/a\\054b"u8));
    }

    [Theory]
    [InlineData("27 1 254:0 / / rw,relatime shared:1")]
    [InlineData("x")]
    public void Anything_else_is_a_format_error(string text)
        => Assert.Throws<FormatException>(() => MountInfo.Parse(Texts.Lines(text)));
}
