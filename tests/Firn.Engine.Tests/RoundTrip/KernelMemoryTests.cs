using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>What the kernel does with the memory of a target when the machine lets it: swaps pages out, or puts a probe in.</summary>
[Collection(AloneCollection.Name)]
public sealed class KernelMemoryTests
{
    [Fact]
    public void Pages_that_are_swapped_out_are_saved()
    {
        using var space = new PidNamespace();
        string file = Path.Combine(space.Directory, "swap");
        Outcome made = space.Run(
            "sh", "-c", $"dd if=/dev/zero of={file} bs=1M count=64 status=none && chmod 600 {file} && mkswap {file} && swapon {file}");
        if (made.Status != 0)
        {
            throw Programs.Skipped($"no swap can be made here: {made.Error.Trim()}");
        }

        try
        {
            string work = space.MakeDirectory("work");
            int pid = space.Start([Programs.Target("swapped_pages"), work]);
            Await(space, pid, work);
            space.FirnMust("dump", "-t", $"{pid}", "-D", space.MakeDirectory("left"), "-R");
            string images = space.MakeDirectory("images");
            space.FirnMust("dump", "-t", $"{pid}", "-D", images);
            space.UntilEmpty();
            space.FirnMust("restore", "-D", images, "-d");
            CheckItself(space, pid, work);
        }
        finally
        {
            Outcome off = space.Run("swapoff", file);
            Assert.True(off.Status == 0, off.Error);
        }
    }

    [Fact]
    public void A_task_with_a_user_space_probe_is_refused_by_name_and_unharmed()
    {
        using var space = new PidNamespace();
        string work = space.MakeDirectory("work");
        string traces = space.MakeDirectory("traces");
        if (space.Run("mount", "-t", "tracefs", "none", traces).Status != 0)
        {
            throw Programs.Skipped("tracefs can't be mounted here");
        }

        string program = Programs.Target("probed_function");
        string probe = $"firn_{Environment.ProcessId}";
        int pid = space.Start([program, work]);
        string offset = Path.Combine(work, "offset");
        PidNamespace.Until(() => File.Exists(offset), "the target tells where its function is");
        string set = $"echo 'p:{probe} {program}:0x{File.ReadAllText(offset)}' >> {traces}/uprobe_events "
            + $"&& echo 1 > {traces}/events/uprobes/{probe}/enable";
        Outcome probed = space.Run("sh", "-c", set);
        if (probed.Status != 0)
        {
            throw Programs.Skipped($"no probe can be set here: {probed.Error.Trim()}");
        }

        try
        {
            File.WriteAllText(Path.Combine(work, "go"), string.Empty);
            Await(space, pid, work);
            string images = space.MakeDirectory("images");
            Outcome outcome = space.Firn("dump", "-t", $"{pid}", "-D", images);
            Assert.Equal(1, outcome.Status);
            Assert.Contains("[uprobes]", outcome.Error, StringComparison.Ordinal);
            Assert.Empty(Directory.GetFiles(images, "*.img"));
            CheckItself(space, pid, work);
        }
        finally
        {
            Outcome gone = space.Run(
                "sh", "-c", $"echo 0 > {traces}/events/uprobes/{probe}/enable; echo '-:{probe}' >> {traces}/uprobe_events");
            Assert.True(gone.Status == 0, gone.Error);
        }
    }

    private static void Await(PidNamespace space, int pid, string work)
    {
        string skipped = Path.Combine(work, "skipped");
        PidNamespace.Until(
            () => File.Exists(Path.Combine(work, "ready")) || File.Exists(skipped) || !space.Pids.Contains(pid), "the target is ready");
        if (File.Exists(skipped))
        {
            throw Programs.Skipped(File.ReadAllText(skipped));
        }
    }

    private static void CheckItself(PidNamespace space, int pid, string work)
    {
        string result = Path.Combine(work, "result");
        space.Kill(pid, 10);
        PidNamespace.Until(() => File.Exists(result) || !space.Pids.Contains(pid), "the target has checked itself");
        Assert.True(File.Exists(result), "the target ended before it had checked itself");
        Assert.Equal("ok\n", File.ReadAllText(result));
    }
}
