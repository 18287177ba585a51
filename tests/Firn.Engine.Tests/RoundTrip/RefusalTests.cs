using System.Globalization;
using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>What can't be saved is refused by name, by `check --pid` and by `dump` alike, and the program is none the worse for
/// it.</summary>
/// <remarks>tests/Targets/refused.c makes the objects. The names are those of docs/errors.md.</remarks>
public sealed class RefusalTests
{
    private const int SIGUSR1 = 10;
    private const int NotOffered = 77;

    public static TheoryData<string> Kinds { get; } =
    [
        "tcp-established", "udp-corked", "link-remap", "ghost-limit",
            "file-locks",
        "crypto-socket", "bpf-map", "perf-event", "seccomp-listener", "vsock-socket",
        "file-system-context", "userfaultfd", "io-uring", "landlock-ruleset", "memfd-secret",
        "process-group", "pidfd-outside", "thread-own-state", "syscall-user-dispatch", "shared-task-state",
    ];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Is_refused_by_name_and_unharmed(string kind)
    {
        using var space = new PidNamespace();
        string work = space.MakeDirectory("work");
        string images = space.MakeDirectory("images");
        int pid = space.Start([Programs.Target("refused"), kind, work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")) || !space.Pids.Contains(pid), $"{kind} is there");
        if (!space.Pids.Contains(pid))
        {
            Assert.Equal(NotOffered, space.Wait(pid).Status);
            Assert.Skip($"this kernel does not offer what {kind} is about");
        }

        string tree = pid.ToString(CultureInfo.InvariantCulture);
        Outcome examined = space.Firn(["check", "--pid", tree]);
        Assert.NotEqual(0, examined.Status);
        Assert.Contains($"[{kind}]", examined.Output + examined.Error, StringComparison.Ordinal);
        Outcome dumped = space.Firn(["dump", "-t", tree, "-D", images]);
        Assert.Equal(1, dumped.Status);
        Assert.Contains($"[{kind}]", dumped.Error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(images, "*.img"));
        string result = Path.Combine(work, "result");
        space.Kill(pid, SIGUSR1);
        PidNamespace.Until(() => File.Exists(result), "the target has checked itself");
        Assert.Equal("ok\n", File.ReadAllText(result));
    }
}
