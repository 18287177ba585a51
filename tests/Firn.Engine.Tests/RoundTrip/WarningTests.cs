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

    private static (int Pid, string Work, string Images) Dump(PidNamespace space)
    {
        string work = space.MakeDirectory("work");
        string images = space.MakeDirectory("images");
        int pid = space.Start([Programs.Target("task_zombie"), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "the target is ready");
        space.FirnMust("dump", "-t", pid.ToString(CultureInfo.InvariantCulture), "-D", images);
        space.UntilEmpty();
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
