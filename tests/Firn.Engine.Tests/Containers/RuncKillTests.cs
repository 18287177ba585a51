using Firn.Engine.Tests.RoundTrip;
using Xunit;

namespace Firn.Engine.Tests.Containers;

/// <summary>Firn killed at random moments while runc waits for it.</summary>
public sealed class RuncKillTests(ITestOutputHelper output)
{
    private const int Rounds = 40;
    private const int LongestDelay = 45;
    private static readonly string Counting = "sleep 100000 & " + CountedLog.Script(">> /tmp/log");

    [Fact]
    public void A_container_runs_on_or_its_images_are_whole()
    {
        using var container = new RuncContainer(Counting);
        var random = new Random(1);
        container.Start();
        int running = 0;
        for (int round = 1; round <= Rounds; round++)
        {
            container.Log.MustGoOn();
            bool isKilled = Kill(container.Space, container.StartCheckpoint(), random);
            if (container.Status == "running")
            {
                Assert.True(isKilled, container.Said());
                Assert.False(File.Exists(Path.Combine(container.Images, "stats-dump")), "it runs, and is said to be saved");
                running++;
            }
            else
            {
                // The signal came too late, or between the last image and the end of the tasks: what is saved is all there.
                if (container.Status.Length > 0)
                {
                    container.Command("delete");
                }

                container.Restore();
            }
        }

        container.Log.MustGoOn();
        output.WriteLine($"killed in time: {running} of {Rounds}");
        Assert.InRange(running, 1, Rounds);
    }

    [Fact]
    public void Nothing_is_left_of_a_container_that_was_not_restored_whole()
    {
        using var container = new RuncContainer(Counting);
        var random = new Random(2);
        container.Start();
        container.Log.MustGoOn();
        container.Checkpoint();
        string mounts = container.Space.Run("cat", "/proc/self/mountinfo").Output;
        string log = Path.Combine(container.RootFileSystem, "tmp/log");
        string written = File.ReadAllText(log);
        int gone = 0;
        for (int round = 1; round <= Rounds; round++)
        {
            _ = Kill(container.Space, container.StartRestore(), random);
            if (container.Status == "running")
            {
                container.Log.MustGoOn();
                container.Checkpoint();
                written = File.ReadAllText(log);
            }
            else
            {
                // All of it may have been let go already when the signal came, and runc have heard nothing of that any more.
                int said = container.Log.Length;
                PidNamespace.Until(() => container.Space.Pids.Count == 0 || container.Log.Length > said, "all or nothing is left");
                if (container.Space.Pids.Count > 0)
                {
                    container.Log.MustGoOn();
                    End(container);
                }

                Assert.Equal(mounts, container.Space.Run("cat", "/proc/self/mountinfo").Output);
                Assert.Empty(container.Groups);

                // What it wrote after the images were made, the next one has not written.
                File.WriteAllText(log, written);
                gone++;
            }
        }

        container.Restore();
        container.Log.MustGoOn();
        output.WriteLine($"killed in time: {gone} of {Rounds}");
        Assert.InRange(gone, 1, Rounds);
    }

    private static void End(RuncContainer container)
    {
        container.Space.Kill(container.Space.Pids.First(pid => Has(container.Space, pid, "sh\0-c\0" + Counting + "\0")), 9);
        container.Space.UntilEmpty();
        foreach (string group in container.Groups)
        {
            TestCgroup.Remove(group);
        }
    }

    // Waits until runc has started the one that does the work, and a moment more.
    private static bool Kill(PidNamespace space, int runc, Random random)
    {
        int delay = random.Next(LongestDelay);
        int firn = 0;
        PidNamespace.Until(() => (firn = Find(space)) != 0 || Has(space, runc, "Z"), "runc has started firn, or has ended");
        if (firn != 0)
        {
            Thread.Sleep(delay);
            space.TryKill(firn, 9);
        }

        return space.Wait(runc).Status != 0;
    }

    // The first that it starts only says its version.
    private static int Find(PidNamespace space) => space.Pids.FirstOrDefault(pid => Has(space, pid, "criu\0swrk\03\0"));

    private static bool Has(PidNamespace space, int pid, string what)
    {
        try
        {
            return what == "Z"
                ? File.ReadAllText(space.Proc(pid, "stat")).Contains(") Z ", StringComparison.Ordinal)
                : File.ReadAllText(space.Proc(pid, "cmdline")) == what;
        }
        catch (IOException)
        {
            // It is gone by now.
            return what == "Z";
        }
    }
}
