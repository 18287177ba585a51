using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>
/// What goes wrong from outside: one clear error, the target unharmed, no half image set, nothing left of a failed restore.
/// </summary>
public sealed class FailureTests
{
    private const int Times = 10;

    [Fact]
    public void A_missing_images_directory_is_named()
    {
        using var space = new PidNamespace();
        var target = new SelfChecking(space);
        string missing = Path.Combine(space.Directory, "no-such-directory");
        MustFail(space.Firn("dump", "-t", target.PidText, "-D", missing), missing);
        MustFail(space.Firn("restore", "-D", missing), missing);
        target.MustGoOn();
    }

    [Theory]
    [InlineData("-R")]
    [InlineData("-v2")]
    public void A_read_only_images_directory_is_named(string option)
    {
        using var space = new PidNamespace();
        var target = new SelfChecking(space);
        string images = space.MakeDirectory("images");
        MustFail(
            InMounts(
                space,
                images,
                $"mount --bind {images} {images} && mount -o remount,ro,bind {images}",
                "dump", "-t", target.PidText, "-D", images, option),
            images);
        Assert.Empty(Directory.GetFileSystemEntries(images));
        target.MustGoOn();
    }

    // The sizes let the disk be full at the pages, at the links of shared pages, and at the messages.
    [Theory]
    [InlineData(4, "-R")]
    [InlineData(4, "-v2")]
    [InlineData(64, "-v2")]
    [InlineData(200, "-R")]
    [InlineData(300, "-v2")]
    [InlineData(340, "-R")]
    [InlineData(360, "-v2")]
    [InlineData(380, "-R")]
    public void A_full_disk_leaves_no_half_image_set(int kibibytes, string option)
    {
        using var space = new PidNamespace();
        var target = new SelfChecking(space);
        string images = space.MakeDirectory("images");
        Outcome outcome = InMounts(
            space, images, $"mount -t tmpfs -o size={kibibytes}k none {images}", "dump", "-t", target.PidText, "-D", images, option);
        MustFail(outcome, images);
        Assert.Contains("ENOSPC", outcome.Error, StringComparison.Ordinal);
        Assert.Equal(string.Empty, outcome.Output);
        target.MustGoOn();
    }

    [Fact]
    public void A_failed_dump_takes_back_the_names_that_it_gave_to_files()
    {
        using var space = new PidNamespace();
        string work = space.MakeDirectory("work");
        string images = space.MakeDirectory("images");
        int pid = space.Start([Programs.Target("file_linkremap"), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "the target is ready");
        string[] before = Directory.GetFileSystemEntries(work, "*", SearchOption.AllDirectories);
        Outcome outcome = InMounts(
            space, images, $"mount -t tmpfs -o size=4k none {images}", "dump", "-t", $"{pid}", "-D", images, "-R", "--link-remap");
        MustFail(outcome, images);
        string[] after = Directory.GetFileSystemEntries(work, "*", SearchOption.AllDirectories);
        Assert.Equal(before.Order(StringComparer.Ordinal), after.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Threads_and_processes_that_appear_meanwhile_are_caught()
    {
        using var space = new PidNamespace();
        var target = new SelfChecking(space, "restless");
        for (int time = 1; time <= Times; time++)
        {
            space.FirnMust("dump", "-t", target.PidText, "-D", space.MakeDirectory($"images-{time}"), "-R");
            target.MustGoOn();
        }

        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", target.PidText, "-D", images);
        space.UntilEmpty();
        space.FirnMust("restore", "-D", images, "-d");
        target.MustGoOn();
    }

    [Fact]
    public void A_pid_that_is_taken_is_named_with_its_holder()
    {
        using var space = new PidNamespace();
        var target = new SelfChecking(space);
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", target.PidText, "-D", images, "-R");
        IReadOnlyList<int> before = space.Pids;
        MustFail(space.Firn("restore", "-D", images, "-d"), $"pid {target.Pid} is taken by checking");
        Assert.Equal(before, space.Pids);
        target.MustGoOn();
    }

    [Fact]
    public void A_pid_of_a_child_that_is_taken_leaves_nothing_of_the_rest()
    {
        using var space = new PidNamespace();
        var target = new SelfChecking(space, "checking", "restored");
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", target.PidText, "-D", images);
        space.UntilEmpty();

        // Pids are given in turn: some process of many will have the child's, and not the root's, which is taken again and let go.
        string script = $"echo {target.Pid} > /proc/sys/kernel/ns_last_pid; exec sleep 1000 & echo $!";
        Outcome holder = space.Run("sh", "-c", script);
        Assert.Equal($"{target.Pid + 1}", holder.Output.Trim());
        MustFail(space.Firn("restore", "-D", images, "-d"), $"pid {target.Pid + 1} is taken by sleep");
        Assert.Equal([target.Pid + 1], space.Pids);
    }

    // Firn behind a command that mounts, which is seen only here: the launcher has made a mount namespace too. The output is what is left
    // in the images directory.
    private static Outcome InMounts(PidNamespace space, string images, string prepare, params string[] arguments)
        => space.Run(
        [
            "sh", "-c", $"{prepare} || exit 99; \"$@\"; status=$?; ls -A {images}; exit $status", "sh", Programs.Firn, .. arguments,
        ]);

    private static void MustFail(Outcome outcome, string mention)
    {
        Assert.True(outcome.Status == 1, $"status {outcome.Status}\n{outcome.Output}\n{outcome.Error}");
        string line = Assert.Single(outcome.Error.TrimEnd('\n').Split('\n'));
        Assert.Contains(mention, line, StringComparison.Ordinal);
    }
}
