using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>System V segments in the ipc namespace that Firn is in: what becomes of them between dump and restore.</summary>
public sealed class SegmentTests
{
    [Fact]
    public void A_segment_that_others_have_attached_is_refused_by_name()
    {
        using var space = new PidNamespace();
        var target = new TargetRun(space, "sysv_outside");
        var other = new TargetRun(space, "sysv_outside");
        Outcome outcome = space.Firn("dump", "-t", target.PidText, "-D", space.MakeDirectory("images"));
        Assert.Equal(1, outcome.Status);
        Assert.Contains("[sysv-shm]", outcome.Error, StringComparison.Ordinal);
        space.Kill(other.Pid, 9);
        PidNamespace.Until(() => !space.Pids.Contains(other.Pid), "the other has ended");
        string images = target.Dump(2);
        space.FirnMust("restore", "-D", images, "-d");
        target.CheckItself();
    }

    [Fact]
    public void A_segment_that_is_still_there_gets_its_content_back()
    {
        using var space = new PidNamespace();
        var target = new TargetRun(space, "sysv_outside");
        string images = target.Dump(0);
        var other = new TargetRun(space, "sysv_outside", "scribble");
        Outcome outcome = space.Firn("restore", "-D", images, "-d");
        Assert.Equal(1, outcome.Status);
        Assert.Contains("other processes have attached it", outcome.Error, StringComparison.Ordinal);
        Assert.Equal([other.Pid], space.Pids);
        space.Kill(other.Pid, 9);
        space.UntilEmpty();
        space.FirnMust("restore", "-D", images, "-d");
        target.CheckItself();
    }

    [Fact]
    public void A_segment_that_was_removed_is_made_again_and_one_in_its_place_is_a_conflict()
    {
        using var space = new PidNamespace();
        var target = new TargetRun(space, "sysv_outside");
        string images = target.Dump(0);
        Assert.Equal(0, space.Run("ipcrm", "-M", "0x46495201").Status);

        // The first of the namespace had the id 0.
        Assert.Equal(0, space.Run("sh", "-c", "echo 0 > /proc/sys/kernel/shm_next_id").Status);
        Outcome made = space.Run("ipcmk", "-M", "4096");
        Assert.Equal(0, made.Status);
        string id = made.Output.Trim().Split(' ')[^1];
        Outcome outcome = space.Firn("restore", "-D", images, "-d");
        Assert.Equal(1, outcome.Status);
        Assert.Contains("its id is another segment's by now", outcome.Error, StringComparison.Ordinal);
        Assert.Empty(space.Pids);
        Assert.Equal(0, space.Run("ipcrm", "-m", id).Status);
        Outcome segments = space.Run("ipcs", "-m");
        Assert.DoesNotContain("0x46495201", segments.Output, StringComparison.Ordinal);
        space.FirnMust("restore", "-D", images, "-d");
        target.CheckItself();
    }
}
