using System.Globalization;
using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>A limit of memory just above what a program uses: dump and restore do not get it killed.</summary>
[Collection(AloneCollection.Name)]
public sealed class MemoryLimitTests(ITestOutputHelper output)
{
    private const int SIGUSR1 = 10;
    private const long Spare = 512 << 10;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_program_near_its_memory_limit_outlives_dump_and_restore(bool imagesOnTmpfs)
    {
        using var space = new PidNamespace();
        using var group = new TestCgroup("memory");
        string work = space.MakeDirectory("work");
        string images = space.MakeDirectory("images");
        if (imagesOnTmpfs)
        {
            images = $"/dev/shm/{group.Name}";
            Directory.CreateDirectory(images);
        }

        try
        {
            string script = $"echo $$ > {group.Path}/cgroup.procs; exec {Programs.Target("mem_near_limit")} {work}";
            int pid = space.Start(["sh", "-c", script]);
            PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "the target is ready");
            long limit = Number(group, "memory.usage_in_bytes") + Spare;
            File.WriteAllText(Path.Combine(group.Path, "memory.limit_in_bytes"), $"{limit}");
            for (int time = 1; time <= 3; time++)
            {
                space.FirnMust("dump", "-t", $"{pid}", "-D", images, "--manage-cgroups", "-R");
            }

            output.WriteLine($"limit hit {Number(group, "memory.failcnt")} times by three dumps");
            space.FirnMust("dump", "-t", $"{pid}", "-D", images, "--manage-cgroups");
            space.UntilEmpty();
            MustNotHaveKilled(group);

            // Into the group as it is, with its limit from the start; then into one that is made anew.
            space.FirnMust("restore", "-D", images, "-d", "--manage-cgroups");
            output.WriteLine($"limit hit {Number(group, "memory.failcnt")} times after a restore");
            MustNotHaveKilled(group);
            space.TryKill(pid, 9);
            space.UntilEmpty();
            group.Dispose();
            space.FirnMust("restore", "-D", images, "-d", "--manage-cgroups");
            Assert.Equal(limit & ~0xFFF, Number(group, "memory.limit_in_bytes"));
            space.Kill(pid, SIGUSR1);
            string result = Path.Combine(work, "result");
            PidNamespace.Until(() => File.Exists(result) || !space.Pids.Contains(pid), "the target has checked itself");
            MustNotHaveKilled(group);
            Assert.Equal("ok\n", File.ReadAllText(result));
        }
        finally
        {
            if (imagesOnTmpfs)
            {
                Directory.Delete(images, recursive: true);
            }
        }
    }

    private static long Number(TestCgroup group, string file)
        => long.Parse(File.ReadAllText(Path.Combine(group.Path, file)), CultureInfo.InvariantCulture);

    private static void MustNotHaveKilled(TestCgroup group)
        => Assert.Contains("oom_kill 0", File.ReadAllText(Path.Combine(group.Path, "memory.oom_control")), StringComparison.Ordinal);
}
