using System.Text;
using Firn.Linux.Procfs;
using Xunit;

namespace Firn.Linux.Tests.Procfs;

/// <summary>stat, status and the other files of a task, recorded on Linux 6.18.</summary>
public class TaskTests
{
    private const string StatTail = " R 4328 4328 3159 34816 -1 4194304 3156 6588 2 0 5 1 5 4 20 0 1 0 106512 19054592 3725 "
        + "18446744073709551615 94124520357888 94124520358229 140730681379120 0 0 0 0 16781312 2 0 0 0 17 1 0 0 0 0 0 94124520369584 "
        + "94124520370200 94124894896128 140730681386997 140730681387045 140730681387045 140730681389007 256\n";

    [Theory]
    [InlineData("sleep")]
    [InlineData("a) R (b\n c")]
    [InlineData("((")]
    [InlineData("))")]
    [InlineData("")]
    public void Stat_finds_the_end_of_any_name(string name)
    {
        ProcStat stat = ProcStat.Parse(Encoding.UTF8.GetBytes($"4330 ({name}){StatTail}"));
        Assert.Equal(4330, stat.Pid);
        Assert.Equal(name, stat.Name);
        Assert.Equal(TaskState.Running, stat.State);
        Assert.Equal((4328, 4328, 3159), (stat.ParentPid, stat.ProcessGroup, stat.Session));
        Assert.Equal((34816, -1, 4194304u), (stat.TtyNumber, stat.TerminalProcessGroup, stat.Flags));
        Assert.Equal((5UL, 1UL), (stat.UserTicks, stat.SystemTicks));
        Assert.Equal((20, 0, 1, 106512UL), (stat.Priority, stat.Nice, stat.ThreadCount, stat.StartTime));
        Assert.Equal((94124520357888UL, 94124520358229UL, 140730681379120UL), (stat.StartCode, stat.EndCode, stat.StartStack));
        Assert.Equal((17, 1, 0u, 0u), (stat.ExitSignal, stat.Processor, stat.RealTimePriority, stat.Policy));
        Assert.Equal((94124520369584UL, 94124520370200UL, 94124894896128UL), (stat.StartData, stat.EndData, stat.StartBrk));
        Assert.Equal((140730681386997UL, 140730681387045UL), (stat.ArgStart, stat.ArgEnd));
        Assert.Equal((140730681387045UL, 140730681389007UL), (stat.EnvStart, stat.EnvEnd));
        Assert.Equal(256, stat.ExitCode);
    }

    [Theory]
    [InlineData("")]
    [InlineData("12 name R 1")]
    [InlineData("12 (name) R x")]
    public void Stat_of_anything_else_is_a_format_error(string text)
        => Assert.Throws<FormatException>(() => ProcStat.Parse(Encoding.UTF8.GetBytes(text)));

    [Fact]
    public void Status_has_ids_signals_and_capabilities()
    {
        ProcStatus status = ProcStatus.Parse(Texts.Lines(
            "Name:\ta) R (b\\n c", "Umask:\t0022", "State:\tt (tracing stop)", "Tgid:\t4330", "Ngid:\t0", "Pid:\t4331", "PPid:\t4328",
            "TracerPid:\t77", "Uid:\t0\t1\t2\t4294967294", "Gid:\t3\t4\t5\t6", "FDSize:\t256", "Groups:\t4 24 4294967294 ",
            "NStgid:\t4330\t1", "NSpid:\t4331\t2", "NSpgid:\t4328\t0", "NSsid:\t3159\t0", "Kthread:\t0", "VmPeak:\t   18608 kB",
            "VmRSS:\t   14988 kB", "RssAnon:\t    7852 kB", "HugetlbPages:\t       0 kB", "CoreDumping:\t0", "Threads:\t2",
            "SigQ:\t3/96365", "SigPnd:\t0000000000000200", "ShdPnd:\t0000000000000800", "SigBlk:\tfffffffe7ffbba07",
            "SigIgn:\t0000000001001000", "SigCgt:\t0000000000000002", "CapInh:\t0000000000000000", "CapPrm:\t000001fffeffffff",
            "CapEff:\t000001fffeffffff", "CapBnd:\t000001fffefffffe", "CapAmb:\t0000000000000001", "NoNewPrivs:\t1", "Seccomp:\t2",
            "Seccomp_filters:\t3", "Speculation_Store_Bypass:\tvulnerable", "Mems_allowed_list:\t0"));
        Assert.Equal(18u, status.Umask);
        Assert.Equal(TaskState.TracingStop, status.State);
        Assert.Equal((4330, 4331, 4328, 77), (status.Tgid, status.Pid, status.PPid, status.TracerPid));
        Assert.Equal([0u, 1u, 2u, 4294967294u], status.Uid);
        Assert.Equal([3u, 4u, 5u, 6u], status.Gid);
        Assert.Equal([4u, 24u, 4294967294u], status.Groups);
        Assert.Equal([4330, 1], status.NStgid);
        Assert.Equal([4331, 2], status.NSpid);
        Assert.Equal([4328, 0], status.NSpgid);
        Assert.Equal([3159, 0], status.NSsid);
        Assert.Equal((14988UL * 1024, 7852UL * 1024), (status.VmRSS, status.RssAnon));
        Assert.Equal((2, 3), (status.Threads, status.QueuedSignals));
        Assert.Equal((0x200UL, 0x800UL), (status.SigPnd, status.ShdPnd));
        Assert.Equal((0xfffffffe7ffbba07UL, 0x1001000UL, 2UL), (status.SigBlk, status.SigIgn, status.SigCgt));
        Assert.Equal((0UL, 0x1fffeffffffUL, 0x1fffeffffffUL), (status.CapInh, status.CapPrm, status.CapEff));
        Assert.Equal((0x1fffefffffeUL, 1UL), (status.CapBnd, status.CapAmb));
        Assert.True(status.NoNewPrivs);
        Assert.Equal((2, 3), (status.Seccomp, status.SeccompFilters));
    }

    [Fact]
    public void Status_of_a_zombie_has_no_groups_and_no_memory()
    {
        ProcStatus status = ProcStatus.Parse(Texts.Lines("State:\tZ (zombie)", "Groups:\t ", "Threads:\t1"));
        Assert.Equal(TaskState.Zombie, status.State);
        Assert.Empty(status.Groups);
        Assert.Equal(0UL, status.VmRSS);
    }

    [Fact]
    public void Children_are_numbers_with_a_space_behind_each()
    {
        var children = new List<int>();
        Children.Parse("4250 4251 "u8, children);
        Children.Parse(""u8, children);
        Assert.Equal([4250, 4251], children);
    }

    [Fact]
    public void Timers_of_every_kind_of_notification()
    {
        List<TaskTimer> timers = TaskTimers.Parse(Texts.Lines(
            "ID: 2", "signal: 12/0000000000000007", "notify: signal/tid.4209", "ClockID: 0",
            "ID: 1", "signal: 0/0000000000000000", "notify: none/pid.4209", "ClockID: 0",
            "ID: 0", "signal: 10/1122334455667788", "notify: signal/pid.4209", "ClockID: -6"));
        Assert.Equal(
            [
                new TaskTimer(2, 12, 7, TimerNotification.Signal, ToThread: true, 4209, 0),
                new TaskTimer(1, 0, 0, TimerNotification.None, ToThread: false, 4209, 0),
                new TaskTimer(0, 10, 0x1122334455667788, TimerNotification.Signal, ToThread: false, 4209, -6),
            ],
            timers);
        Assert.Empty(TaskTimers.Parse(""u8));
    }

    [Fact]
    public void Links_of_namespaces_have_a_type_and_a_number()
    {
        Assert.True(NamespaceIds.TryParse("net:[4026531833]"u8, out ReadOnlySpan<byte> type, out ulong inode));
        Assert.True(type.SequenceEqual("net"u8));
        Assert.Equal(4026531833UL, inode);
        Assert.False(NamespaceIds.TryParse("/tmp/x:[12]y"u8, out _, out _));
        Assert.False(NamespaceIds.TryParse("anon_inode:[eventfd]"u8, out _, out _));
        Assert.False(NamespaceIds.TryParse("net:[]"u8, out _, out _));
    }

    [Fact]
    public void Auxv_is_pairs_of_words()
    {
        byte[] bytes = new byte[48];
        bytes[0] = 33;
        bytes[8] = 0x20;
        bytes[16] = 6;
        bytes[25] = 0x10;
        ulong[] vector = Auxv.Parse(bytes);
        Assert.Equal(6, vector.Length);
        Assert.Equal(4096UL, Auxv.Find(vector, 6));
        Assert.Null(Auxv.Find(vector, 99));
    }
}
