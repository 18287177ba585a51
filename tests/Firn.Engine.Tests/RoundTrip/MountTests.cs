namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Mounts from outside of a mount namespace, and what is left when its restore fails.</summary>
public sealed class MountTests : IDisposable
{
    private const int SIGKILL = 9;
    private const int SIGUSR1 = 10;

    private readonly PidNamespace space = new();
    private readonly string work;
    private readonly int pid;

    public MountTests()
    {
        work = space.MakeDirectory("work");
        pid = space.Start([Programs.Target("outside_mount"), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "the target is ready");
    }

    public void Dispose() => space.Dispose();

    [Fact]
    public void A_mount_from_outside_is_refused_by_name()
    {
        string images = space.MakeDirectory("images");
        Outcome outcome = space.Firn("dump", "-t", $"{pid}", "-D", images);
        Assert.Equal(1, outcome.Status);
        Assert.Contains("mount /mnt (tmpfs)", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("--external mnt[/mnt]:KEY", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("[mount-external]", outcome.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(images, "*.img"));
        Assert.Equal("part", Wake());
    }

    [Fact]
    public void A_mount_that_was_named_is_where_the_restore_is_told()
    {
        string images = Dump("--external", "mnt[/mnt]:volume");
        space.FirnMust("restore", "-D", images, "-d", "--external", $"mnt[volume]:{work}/outside/other");
        Assert.Contains(" /other /mnt rw,nosuid,nodev,relatime ", Mounts(), StringComparison.Ordinal);
        Assert.Equal("other", Wake());
    }

    [Fact]
    public void A_mount_map_says_the_same()
    {
        string images = Dump("-M", "/mnt:volume");
        space.FirnMust("restore", "-D", images, "-d", "-M", $"volume:{work}/outside/other");
        Assert.Equal("other", Wake());
    }

    [Fact]
    public void Mounts_are_found_by_themselves()
    {
        string images = Dump("--external", "mnt[]");
        space.FirnMust("restore", "-D", images, "-d", "--external", "mnt[]");
        Assert.Equal("part", Wake());
    }

    [Fact]
    public void A_mount_that_is_skipped_is_not_there()
    {
        string images = Dump("--skip-mnt", "/mnt");
        space.FirnMust("restore", "-D", images, "-d");
        Assert.DoesNotContain(" /mnt ", Mounts(), StringComparison.Ordinal);
        Assert.Contains(" /srv ", Mounts(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_dump_leaves_the_mounts_as_they_are()
    {
        string before = Mounts();
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{pid}", "-D", images, "-R", "--external", "mnt[/mnt]:volume");
        Assert.Equal(before, Mounts());
        Assert.Equal("part", Wake());
    }

    [Theory]
    [InlineData("mnt[volume]:/no/such/directory", "/no/such/directory")]
    [InlineData("mnt[another]:/tmp", "--external mnt[KEY]:PATH")]
    public void A_restore_without_the_mount_says_so_and_leaves_nothing(string external, string expected)
    {
        string images = Dump("--external", "mnt[/mnt]:volume");
        MustFail(images, expected, "--external", external);
    }

    [Fact]
    public void A_root_that_is_not_there_is_said()
        => MustFail(
            Dump("--external", "mnt[/mnt]:volume"), "--root", "--root", "/no/such/root", "--external", $"mnt[volume]:{work}/outside/other");

    [Fact]
    public void A_damaged_archive_is_said_and_nothing_is_left()
    {
        string images = Dump("--external", "mnt[/mnt]:volume");
        string archive = Directory.GetFiles(images, "tmpfs-dev-*.tar.gz.img").MaxBy(path => new FileInfo(path).Length)!;
        byte[] bytes = File.ReadAllBytes(archive);
        File.WriteAllBytes(archive, bytes[..(bytes.Length / 4)]);
        MustFail(images, "tmpfs-archive", "--external", $"mnt[volume]:{work}/outside/other");
    }

    private string Dump(params string[] options)
    {
        string images = space.MakeDirectory("images");
        space.FirnMust(["dump", "-t", $"{pid}", "-D", images, .. options]);
        space.UntilEmpty();
        return images;
    }

    private void MustFail(string images, string expected, params string[] options)
    {
        string before = OutsideMounts();
        Outcome outcome = space.Firn(["restore", "-D", images, "-d", .. options]);
        Assert.Equal(1, outcome.Status);
        Assert.Contains(expected, outcome.Error, StringComparison.Ordinal);
        space.UntilEmpty();
        Assert.Equal(before, OutsideMounts());
    }

    private string Mounts() => File.ReadAllText(space.Proc(pid, "mountinfo"));

    private string OutsideMounts() => File.ReadAllText(space.Proc(1, "mountinfo"));

    private string Wake()
    {
        string result = Path.Combine(work, "result");
        space.Kill(pid, SIGUSR1);
        PidNamespace.Until(() => File.Exists(result) || !space.Pids.Contains(pid), "the target has looked");
        space.TryKill(pid, SIGKILL);
        return File.ReadAllText(result);
    }
}
