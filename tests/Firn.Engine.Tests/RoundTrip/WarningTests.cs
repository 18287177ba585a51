using System.Globalization;
using Firn.Images;
using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>What a machine refuses to a restored task, and the task can do without: a warning says so, and the task runs.</summary>
public sealed class WarningTests
{
    private const int SIGUSR1 = 10;
    private const int CapabilitySysResource = 24;

    [Fact]
    public void A_processor_that_is_not_there_is_a_warning()
    {
        using var space = new PidNamespace();
        (int pid, string work, string images) = Dump(space);
        string path = Path.Combine(images, ImageKind.Core.FileName((ulong)pid));
        IReadOnlyList<ImageEntry> entries = ImageFile.Decode(ImageKind.Core, File.ReadAllBytes(path), path);
        ThreadCoreEntry core = ((CoreEntry)entries[0].Message).ThreadCore;
        core.ClearAnyCpu();
        core.CpuAffinity.Clear();
        core.CpuAffinity.AddRange(new ulong[15]);
        core.CpuAffinity.Add(1UL << 63);
        File.WriteAllBytes(path, ImageFile.Encode(ImageKind.Core, entries));
        space.FirnMust("restore", "-D", images, "-d", "-v4", "-o", "restore.log");
        Assert.Contains("its CPU affinity was refused", File.ReadAllText(Path.Combine(images, "restore.log")), StringComparison.Ordinal);
        MustBeWhole(space, pid, work);
    }

    [Fact]
    public void A_hard_limit_that_can_not_be_raised_is_a_warning()
    {
        string line = File.ReadLines("/proc/self/status").First(text => text.StartsWith("CapEff:", StringComparison.Ordinal));
        ulong capabilities = ulong.Parse(line.AsSpan(7).Trim(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
        Assert.SkipWhen((capabilities & (1UL << CapabilitySysResource)) != 0, "with CAP_SYS_RESOURCE a limit can be raised");
        using var space = new PidNamespace();
        (int pid, string work, string images) = Dump(space);
        Outcome restored = space.Run(
            "prlimit", "--msgqueue=4096:4096", Programs.Firn, "restore", "-D", images, "-d", "-v4", "-o", "restore.log");
        Assert.Equal(0, restored.Status);
        Assert.Contains("RLIMIT_MSGQUEUE", File.ReadAllText(Path.Combine(images, "restore.log")), StringComparison.Ordinal);
        MustBeWhole(space, pid, work);
    }

    [Theory]
    [InlineData("unix_gone", "whose client is closed")]
    [InlineData("inet_udp_error", "an error waits in a UDP socket and is lost, and with it what waits behind it")]
    public void What_only_a_dump_that_kills_saves_is_a_warning_where_the_tree_runs_on(string target, string warning)
    {
        using var space = new PidNamespace();
        (int pid, _, string images) = Start(space, target);
        space.FirnMust("dump", "-t", pid.ToString(CultureInfo.InvariantCulture), "-D", images, "-R", "-v4", "-o", "dump.log");
        Assert.Contains(warning, File.ReadAllText(Path.Combine(images, "dump.log")), StringComparison.Ordinal);
    }

    private static (int Pid, string Work, string Images) Dump(PidNamespace space)
    {
        (int pid, string work, string images) = Start(space, "task_zombie");
        space.FirnMust("dump", "-t", pid.ToString(CultureInfo.InvariantCulture), "-D", images);
        space.UntilEmpty();
        return (pid, work, images);
    }

    private static (int Pid, string Work, string Images) Start(PidNamespace space, string target)
    {
        string work = space.MakeDirectory("work");
        string images = space.MakeDirectory("images");
        int pid = space.Start([Programs.Target(target), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "the target is ready");
        return (pid, work, images);
    }

    private static void MustBeWhole(PidNamespace space, int pid, string work)
    {
        string result = Path.Combine(work, "result");
        space.Kill(pid, SIGUSR1);
        PidNamespace.Until(() => File.Exists(result) || !space.Pids.Contains(pid), "the target has checked itself");
        Assert.Equal("ok\n", File.ReadAllText(result));
    }
}
