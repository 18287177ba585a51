using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>The empty task that a restore grows: a new process with nothing in it but one page of code that it never runs.</summary>
/// <remarks>
/// clone3 with CLONE_VM into a few instructions that execute a static ELF of some 250 bytes out of a memfd: 58 µs, and no copy of Firn's
/// memory. The task inherits Firn's descriptors that are not close-on-exec. It is seized before it executes, with PTRACE_O_EXITKILL, so
/// that it dies with Firn; should Firn die before the seizing, the task finds its pipe closed, and the program it executes traps.
/// </remarks>
public static partial class Seed
{
    // Behind the instructions of the seed itself.
    private const int InitOffset = 16;

    private static RemotePtr SystemCall => new(TinyProgram.LoadAddress + TinyProgram.CodeOffset + 1);

    // int3; syscall; int3: run by no one but a tracer that sets rip behind the first.
    private static ReadOnlySpan<byte> ProgramCode => [0xcc, 0x0f, 0x05, 0xcc];

    // rbx: a child's pid. Waits for children (wait4 of any, __WALL) until there is none any more (ECHILD), then exits with the status of
    // that child, or with 128 and the signal that ended it.
    private static ReadOnlySpan<byte> InitCode =>
    [
        0x45, 0x31, 0xe4,
        0xb8, 0x3d, 0x00, 0x00, 0x00, 0xbf, 0xff, 0xff, 0xff, 0xff, 0x48, 0x8d, 0x74, 0x24, 0xf0, 0xba, 0x00, 0x00, 0x00, 0x40,
        0x45, 0x31, 0xd2, 0x0f, 0x05,
        0x39, 0xd8, 0x74, 0x0f,
        0x83, 0xf8, 0xf6, 0x75, 0xde,
        0x44, 0x89, 0xe7, 0xb8, 0xe7, 0x00, 0x00, 0x00, 0x0f, 0x05,
        0x8b, 0x4c, 0x24, 0xf0, 0x41, 0x89, 0xcc, 0x83, 0xe1, 0x7f, 0x74, 0x09,
        0x44, 0x8d, 0xa1, 0x80, 0x00, 0x00, 0x00, 0xeb, 0xbf,
        0x41, 0xc1, 0xec, 0x08, 0x41, 0x81, 0xe4, 0xff, 0x00, 0x00, 0x00, 0xeb, 0xb2,
    ];

    /// <summary>Makes the task.</summary>
    /// <param name="pid">The process id that it must have.</param>
    /// <param name="cloneFlags">Flags besides CLONE_VM and CLONE_CLEAR_SIGHAND.</param>
    /// <param name="scratch">The scratch, whose memfd is open across exec in Firn, and whose address is where it shall be mapped.</param>
    /// <param name="scratchFd">The descriptor of the scratch that the task inherits.</param>
    /// <param name="retry">Asked, when the pid is taken, whether to try again; it waits as it likes.</param>
    /// <param name="beforeExec">
    /// Told the process id, while the task waits in Firn's memory: a new user namespace gets its maps then, a time namespace its offsets.
    /// In a user namespace the task becomes its user and group 0 afterwards, so that it keeps all capabilities there when it executes.
    /// </param>
    /// <returns>The task with the scratch mapped; or -errno of clone3.</returns>
    public static (Tracee? Tracee, Errno Errno) Plant(
        int pid, CloneFlags cloneFlags, Scratch scratch, int scratchFd, Func<bool> retry, Action<int>? beforeExec = null)
    {
        using Fd program = TinyProgram.Make(
            "firn-seed", [.. ProgramCode, .. new byte[InitOffset - ProgramCode.Length], .. InitCode], isWritable: false);
        int dumpable = Sys.Prctl(PrctlOption.PR_GET_DUMPABLE).Int32;
        SysResult cloned;
        Fd gate;
        do
        {
            Signal exitSignal = (cloneFlags & CloneFlags.CLONE_PARENT) != 0 ? Signal.None : Signal.SIGCHLD;
            cloned = CloneInto(pid, cloneFlags, exitSignal, program.Number, out gate);
            if (cloned.IsError)
            {
                gate.Dispose();
            }
        }
        while (cloned.Errno == Errno.EEXIST && retry());
        if (cloned.IsError)
        {
            return (null, cloned.Errno);
        }

        const PtraceOptions Options = PtraceOptions.PTRACE_O_EXITKILL | PtraceOptions.PTRACE_O_TRACESYSGOOD;
        Tracee tracee;
        using (gate)
        {
            tracee = Tracee.TrySeize(cloned.Int32, Options | PtraceOptions.PTRACE_O_TRACEEXEC, out Errno seizeErrno)
                ?? throw new TraceeBusyException(cloned.Int32, $"PTRACE_SEIZE of a task just made: {seizeErrno}");
            try
            {
                beforeExec?.Invoke(cloned.Int32);
            }
            catch
            {
                _ = Sys.Kill(cloned.Int32, Signal.SIGKILL);
                _ = Sys.Wait4(cloned.Int32, out _, WaitOptions.__WALL);
                throw;
            }

            Sys.Write(gate.Number, [1]).OrThrow("write(gate)");
        }

        while (tracee.WaitForStop().Event != PtraceEvent.PTRACE_EVENT_EXEC)
        {
            tracee.Resume();
        }

        if ((cloneFlags & CloneFlags.CLONE_NEWUSER) != 0 && dumpable == 1)
        {
            // The change of ids was one of the memory that the task shared with Firn until now.
            Sys.Prctl(PrctlOption.PR_SET_DUMPABLE, dumpable).OrThrow("prctl(PR_SET_DUMPABLE)");
        }

        // That stop is inside execveat: go on to one on the way to user mode.
        tracee.SetOptions(Options);
        tracee.Interrupt();
        tracee.Resume();
        while (!tracee.WaitForStop().IsEventStop)
        {
            tracee.Resume();
        }

        long mapped = new SingleCall(
            tracee,
            tracee.GetRegisters(),
            SystemCall,
            RemotePtr.Null,
            ~0UL,
            Sysno.mmap,
            scratch.Address.Value,
            (ulong)scratch.Size,
            7,
            (ulong)(MapFlags.MAP_SHARED | MapFlags.MAP_FIXED_NOREPLACE),
            (ulong)scratchFd,
            0).Make();
        if (mapped != (long)scratch.Address.Value)
        {
            throw new RemoteCallException(tracee.Tid, $"mmap({scratch.Address}, {scratch.Size}, firn-scratch)", (Errno)(-mapped), "seed");
        }

        return (tracee, Errno.None);
    }

    /// <summary>Unmaps the scratch from tasks that are done: the last call that each makes for Firn, through its own vdso.</summary>
    /// <param name="tasks">The leaders, and where the vdso of each lies: null where it has none, and the scratch stays.</param>
    /// <param name="scratch">The scratch.</param>
    public static void Unmap(IReadOnlyList<(Remote Leader, RemotePtr Vdso)> tasks, Scratch scratch)
    {
        List<(Remote Leader, SingleCall Call)> calls = [];
        ulong? offset = null;
        foreach ((Remote leader, RemotePtr vdso) in tasks.Where(task => task.Vdso.Value != 0))
        {
            // One kernel gives all the same.
            offset ??= EntryPoints.FindSystemCall(leader.Tracee.Tid, vdso).Value - vdso.Value;
            var call = new SingleCall(
                leader.Tracee,
                leader.Tracee.GetRegisters(),
                vdso + offset.Value,
                RemotePtr.Null,
                null,
                Sysno.munmap,
                scratch.Address.Value,
                (ulong)scratch.Size);
            calls.Add((leader, call.Start()));
        }

        calls.ForEach(call => call.Call.PassEntry());
        foreach ((Remote leader, SingleCall call) in calls)
        {
            long result = call.Finish();
            if (result < 0)
            {
                throw new RemoteCallException(
                    leader.Tracee.Tid, $"munmap({scratch.Address}, {scratch.Size})", (Errno)(-result), "leave");
            }
        }
    }

    /// <summary>Lets a thread begin to exit (exit(2), which ends no other thread), by its own vdso: it needs nothing of Firn's.</summary>
    /// <param name="thread">The thread, stopped.</param>
    /// <param name="vdso">Where its vdso lies.</param>
    /// <param name="status">The low byte of its status.</param>
    public static void StartExit(Tracee thread, RemotePtr vdso, int status)
    {
        UserRegs registers = thread.GetRegisters();
        registers.rip = EntryPoints.FindSystemCall(thread.Tid, vdso).Value;
        registers.rax = (ulong)Sysno.exit;
        registers.rdi = (ulong)status;
        registers.orig_rax = ulong.MaxValue;
        thread.SetRegisters(registers);
        thread.Resume();
    }

    /// <summary>
    /// Makes a seed that is to stay one the init of a pid namespace: let go, it reaps whoever ends, and exits when no one is left.
    /// </summary>
    /// <param name="remote">The seed, with its scratch, which is unmapped.</param>
    /// <param name="child">The child whose exit status becomes its own.</param>
    /// <param name="scratch">The scratch.</param>
    public static void BecomeInit(Remote remote, int child, Scratch scratch)
    {
        UserRegs registers = remote.Home;
        long result = new SingleCall(
            remote.Tracee, registers, SystemCall, RemotePtr.Null, null, Sysno.munmap, scratch.Address.Value, (ulong)scratch.Size).Make();
        if (result < 0)
        {
            throw new RemoteCallException(remote.Tracee.Tid, $"munmap({scratch.Address}, {scratch.Size})", (Errno)(-result), "leave");
        }

        registers.rip = TinyProgram.LoadAddress + TinyProgram.CodeOffset + InitOffset;
        registers.rbx = (ulong)child;
        registers.orig_rax = ulong.MaxValue;
        remote.Tracee.SetSignalMask(0);
        remote.Tracee.SetRegisters(registers);
    }
}
