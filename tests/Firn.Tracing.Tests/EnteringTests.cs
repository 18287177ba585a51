using System.Diagnostics;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Xunit;

namespace Firn.Tracing.Tests;

public sealed class EnteringTests
{
    [Fact]
    public void A_sleeping_process_makes_calls_and_is_left_as_it_was_found()
    {
        int pid = StartOrphan("sleep 1000");
        try
        {
            WaitUntilAsleep(pid);
            string before = File.ReadAllText($"/proc/{pid}/maps");
            (int, int, string) seen = TracerThread.Run(() =>
            {
                Tracee tracee = Tracee.TrySeize(pid, PtraceOptions.PTRACE_O_TRACESYSGOOD, out _)!;
                tracee.Interrupt();
                tracee.WaitForStop();
                tracee.Capture();
                using Fd pidFd = new(Sys.PidfdOpen(pid).OrThrow("pidfd_open").Int32);
                RemoteProcess process = RemoteProcess.Enter(
                    [
                        new EntryRequest(
                            pid, pidFd, Maps.Read(pid), [ProcStatus.Read(pid)], [new EntryThread(tracee, pid, pid, true)], []),
                    ])[0];
                RemoteBatch batch = process.Threads[0].Batch;
                Slot self = batch.Call(Sysno.getpid);
                Slot duplicate = batch.Call(Sysno.dup, 0);
                batch.Call(Sysno.close, duplicate);
                batch.Run("test");
                int first = self.Int32;
                Assert.Throws<RemoteCallException>(() =>
                {
                    batch.Call(Sysno.close, 999);
                    batch.Run("failing");
                });
                Slot tid = batch.Call(Sysno.gettid);
                batch.Run("test");
                process.Leave();
                tracee.Detach();
                return (first, tid.Int32, File.ReadAllText($"/proc/{pid}/maps"));
            });
            Assert.Equal(pid, seen.Item1);
            Assert.Equal(pid, seen.Item2);
            Assert.Equal(before, seen.Item3);
            WaitUntilAsleep(pid);
        }
        finally
        {
            Sys.Kill(pid, Signal.SIGKILL);
        }
    }

    [Fact]
    public void A_seed_is_planted_with_its_pid_and_makes_calls()
    {
        int pid = TracerThread.Run(() =>
        {
            using var scratch = Scratch.Create(1 << 20, new RemotePtr(0x1000_0000_0000));
            int inherited = Sys.Fcntl(scratch.Descriptor.Number, FcntlCommand.F_DUPFD, 500).OrThrow("dup").Int32;
            (Tracee? seed, Errno errno) = Seed.Plant(0, 0, scratch, inherited, () => false);
            Assert.Equal(Errno.None, errno);
            Sys.Close(inherited);
            Remote remote = Remote.ForNewTask(seed!, scratch, 64 << 10, seed!.Tid, seed.Tid);
            Slot self = remote.Batch.Call(Sysno.getpid);
            remote.Batch.Run("test");
            Sys.Kill(seed.Tid, Signal.SIGKILL);
            Sys.Wait4(seed.Tid, out _, WaitOptions.__WALL);
            Assert.Equal(seed.Tid, self.Int32);
            return self.Int32;
        });
        Assert.NotEqual(0, pid);
    }

    // Not a child of this process: the runtime's own Process class takes ptrace stops of its children for exits.
    private static int StartOrphan(string command)
    {
        var start = new ProcessStartInfo(
            "/bin/sh", ["-c", $"{command} </dev/null >/dev/null 2>&1 & echo $!"])
        { RedirectStandardOutput = true };
        using Process shell = Process.Start(start)!;
        int pid = int.Parse(shell.StandardOutput.ReadToEnd(), System.Globalization.CultureInfo.InvariantCulture);
        shell.WaitForExit();
        return pid;
    }

    private static void WaitUntilAsleep(int pid)
    {
        while (!File.ReadAllText($"/proc/{pid}/stat").Contains(") S ", StringComparison.Ordinal))
        {
            Thread.Sleep(1);
        }
    }
}
