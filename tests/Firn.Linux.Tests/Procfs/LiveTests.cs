using System.Diagnostics;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Xunit;

namespace Firn.Linux.Tests.Procfs;

/// <summary>The readers on real processes: a child that sleeps, and this one.</summary>
public sealed class LiveTests : IDisposable
{
    private readonly Process child = Process.Start("/bin/sleep", "60");

    public LiveTests() => SpinWait.SpinUntil(
        () => ProcStat.Read(child.Id) is { Name: "sleep", State: TaskState.Sleeping }, TimeSpan.FromSeconds(10));

    public void Dispose()
    {
        child.Kill();
        child.WaitForExit();
        child.Dispose();
    }

    [Fact]
    public void The_mappings_of_a_child_include_program_stack_and_vdso()
    {
        List<Mapping> mappings = Maps.Read(child.Id);
        Assert.Contains(mappings, mapping => mapping.Name.EndsWith("/sleep", StringComparison.Ordinal) && mapping.HasFile);
        Assert.Contains(mappings, mapping => mapping.IsNamed("[stack]"));
        Assert.Contains(mappings, mapping => mapping.IsNamed("[vdso]"));
        Assert.True(mappings.Zip(mappings.Skip(1)).All(pair => pair.First.End <= pair.Second.Start));
    }

    [Theory]
    [InlineData(700)]
    [InlineData(4096)]
    [InlineData(5000)]
    public void Pages_that_lie_apart_are_found_once_each(int count)
    {
        using var memory = MappedMemory.Anonymous(2L * count * Kernel.PageSize);
        for (int i = 0; i < count; i++)
        {
            memory.Slice(2L * i * Kernel.PageSize, 1)[0] = 1;
        }

        // One more behind them, as the stack of a program is.
        ulong start = (ulong)memory.Address;
        var found = new List<ScannedPages>();
        using Pagemap map = Pagemap.Open(Environment.ProcessId);
        map.Scan(start, 0x7ffffffff000, found);
        Assert.Equal(
            Enumerable.Range(0, count).Select(i => start + (ulong)(2L * i * Kernel.PageSize)),
            found.Take(count).Select(run => run.Start));
        Assert.True(found.Zip(found.Skip(1)).All(pair => pair.First.End <= pair.Second.Start));
    }

    [Fact]
    public void The_flags_in_smaps_agree_with_maps()
    {
        List<Mapping> mappings = Maps.Read(child.Id);
        List<MappingFlags> flags = Smaps.Read(child.Id);
        Assert.Equal(mappings.Select(mapping => (mapping.Start, mapping.End)), flags.Select(mapping => (mapping.Start, mapping.End)));
        Assert.Equal(
            mappings.Select(mapping => mapping.Protection.HasFlag(ProtectionFlags.PROT_WRITE)),
            flags.Select(mapping => mapping.Flags.HasFlag(VmFlags.Write)));
        Assert.DoesNotContain(flags, mapping => mapping.Flags.HasFlag(VmFlags.Unknown));
    }

    [Fact]
    public void Stat_status_and_namespaces_of_a_child()
    {
        ProcStat stat = ProcStat.Read(child.Id);
        ProcStatus status = ProcStatus.Read(child.Id, child.Id);
        Assert.Equal((child.Id, Sys.GetPid()), (stat.Pid, stat.ParentPid));
        Assert.Equal((child.Id, Sys.GetPid()), (status.Pid, status.PPid));
        Assert.Equal(4, status.Uid.Length);
        Assert.Equal(1, status.Threads);
        Assert.True(stat.StartBrk > 0 && stat.ArgStart < stat.ArgEnd && status.VmRSS > 0);
        Assert.Equal(NamespaceIds.Read(Sys.GetPid()), NamespaceIds.Read(child.Id));
        Assert.NotEqual(0UL, NamespaceIds.Read(child.Id).Network);
    }

    [Fact]
    public void Threads_descriptors_and_children()
    {
        Assert.Equal([child.Id], TaskList.Read(child.Id));
        Assert.Contains(1, FdList.Read(child.Id));
        Assert.True(TaskList.Read(Sys.GetPid()).Count > 1);
        List<int> children = [.. TaskList.Read(Sys.GetPid()).SelectMany(tid => Children.Read(Sys.GetPid(), tid))];
        Assert.Contains(child.Id, children);
    }

    [Fact]
    public void Auxv_mounts_timers_and_locks()
    {
        Assert.Equal((ulong)Kernel.PageSize, Auxv.Find(Auxv.Read(child.Id), 6));
        Assert.Contains(MountInfo.Read(child.Id), mount => string.Equals(mount.MountPoint, "/proc", StringComparison.Ordinal));
        Assert.Empty(TaskTimers.Read(child.Id));
        Assert.NotNull(Locks.Read());
    }

    [Fact]
    public void A_process_that_is_gone_is_an_error_and_not_an_exception()
    {
        const int Nobody = 1 << 22;
        Assert.Equal(Errno.ENOENT, ProcStat.TryRead(Nobody, out ProcStat? stat).Errno);
        Assert.Null(stat);
        Assert.Equal(Errno.ENOENT, ProcStatus.TryRead(Nobody, out _).Errno);
        Assert.Equal(Errno.ENOENT, TaskList.TryRead(Nobody, []).Errno);
        Assert.Equal(Errno.ENOENT, FdInfo.TryRead(Nobody, 0, out _).Errno);
        Assert.Equal(Errno.ENOENT, Assert.Throws<LinuxException>(() => Maps.Read(Nobody)).Errno);
    }

    [Fact]
    public void Fdinfo_and_link_of_this_process()
    {
        using Fd file = Sys.Open("/proc/self/exe", OpenFlags.O_RDONLY);
        Sys.Lseek(file.Number, 100, 0).OrThrow("lseek");
        FdInfo info = FdInfo.Read(Sys.GetPid(), file.Number);
        Assert.Equal(100, info.Position);
        Assert.True(info.Flags.HasFlag(OpenFlags.O_CLOEXEC));
        Sys.Fstat(file.Number, out FileStat stat).OrThrow("fstat");
        Assert.Equal(stat.st_ino, info.Inode);
        Assert.StartsWith("/", FdList.ReadLink(Sys.GetPid(), file.Number), StringComparison.Ordinal);
    }
}
