using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Tracing;

public static unsafe partial class Seed
{
    // rbx: {gate to close, gate to read, its buffer, program, "", argv, envp}. close; read one byte; execveat(AT_EMPTY_PATH); exit(99).
    private static ReadOnlySpan<byte> ChildCode =>
    [
        0xb8, 0x03, 0x00, 0x00, 0x00, 0x48, 0x8b, 0x3b, 0x0f, 0x05,
        0x31, 0xc0, 0x48, 0x8b, 0x7b, 0x08, 0x48, 0x8b, 0x73, 0x10, 0xba, 0x01, 0x00, 0x00, 0x00, 0x0f, 0x05,
        0xb8, 0x42, 0x01, 0x00, 0x00, 0x48, 0x8b, 0x7b, 0x18, 0x48, 0x8b, 0x73, 0x20, 0x48, 0x8b, 0x53, 0x28,
        0x4c, 0x8b, 0x53, 0x30, 0x41, 0xb8, 0x00, 0x10, 0x00, 0x00, 0x0f, 0x05,
        0xbf, 0x63, 0x00, 0x00, 0x00, 0xb8, 0x3c, 0x00, 0x00, 0x00, 0x0f, 0x05,
    ];

    // As above, with setgroups(0, 0), setresgid(0, 0, 0) and setresuid(0, 0, 0) before the execveat.
    private static ReadOnlySpan<byte> UserNamespaceChildCode =>
    [
        0xb8, 0x03, 0x00, 0x00, 0x00, 0x48, 0x8b, 0x3b, 0x0f, 0x05,
        0x31, 0xc0, 0x48, 0x8b, 0x7b, 0x08, 0x48, 0x8b, 0x73, 0x10, 0xba, 0x01, 0x00, 0x00, 0x00, 0x0f, 0x05,
        0xb8, 0x74, 0x00, 0x00, 0x00, 0x31, 0xff, 0x31, 0xf6, 0x0f, 0x05,
        0xb8, 0x77, 0x00, 0x00, 0x00, 0x31, 0xff, 0x31, 0xf6, 0x31, 0xd2, 0x0f, 0x05,
        0xb8, 0x75, 0x00, 0x00, 0x00, 0x31, 0xff, 0x31, 0xf6, 0x31, 0xd2, 0x0f, 0x05,
        0xb8, 0x42, 0x01, 0x00, 0x00, 0x48, 0x8b, 0x7b, 0x18, 0x48, 0x8b, 0x73, 0x20, 0x48, 0x8b, 0x53, 0x28,
        0x4c, 0x8b, 0x53, 0x30, 0x41, 0xb8, 0x00, 0x10, 0x00, 0x00, 0x0f, 0x05,
        0xbf, 0x63, 0x00, 0x00, 0x00, 0xb8, 0x3c, 0x00, 0x00, 0x00, 0x0f, 0x05,
    ];

    // What the child reads, in memory that it shares with Firn until it executes: so it outlives the call that makes it.
    private static readonly long* ChildMemory = (long*)System.Runtime.InteropServices.NativeMemory.AllocZeroed(256);

    /// <summary>Makes a process that executes a program once the gate is written to or closed. All signals are blocked in it.</summary>
    internal static SysResult CloneInto(int pid, CloneFlags flags, Signal exitSignal, int program, out Fd gate)
    {
        // A caller who waits in vfork(2) until the program runs can't open a gate, and needs none.
        int* ends = stackalloc int[2] { -1, -1 };
        bool isGated = (flags & CloneFlags.CLONE_VFORK) == 0;
        if (isGated)
        {
            Kernel.Call(Sysno.pipe2, (nint)ends, (nint)OpenFlags.O_CLOEXEC).OrThrow("pipe2(gate)");
        }

        using Fd? readEnd = isGated ? new Fd(ends[0]) : null;
        gate = new Fd(ends[1]);

        // SAFETY: 32 words; [16..] hold the read buffer, the empty string, and argv and envp with their terminators.
        ChildMemory[0] = ends[1];
        ChildMemory[1] = ends[0];
        ChildMemory[2] = (long)(ChildMemory + 16);
        ChildMemory[3] = program;
        ChildMemory[4] = (long)(ChildMemory + 17);
        ChildMemory[5] = (long)(ChildMemory + 18);
        ChildMemory[6] = (long)(ChildMemory + 20);
        ChildMemory[18] = (long)(ChildMemory + 17);

        long setTid = pid;
        CloneArgs arguments = new()
        {
            flags = (ulong)(flags | CloneFlags.CLONE_VM | CloneFlags.CLONE_CLEAR_SIGHAND),
            exit_signal = (ulong)exitSignal,
            set_tid = pid == 0 ? 0 : (ulong)&setTid,
            set_tid_size = pid == 0 ? 0UL : 1UL,
        };

        // No handler of the runtime may run on the stack that parent and child share.
        Sys.SignalMask(0, ~0UL, out ulong before).OrThrow("rt_sigprocmask");
        ReadOnlySpan<byte> code = (flags & CloneFlags.CLONE_NEWUSER) != 0 ? UserNamespaceChildCode : ChildCode;
        SysResult result = Kernel.Clone3(arguments, code, (nint)ChildMemory);
        Sys.SignalMask(2, before, out _).OrThrow("rt_sigprocmask");
        return result;
    }
}
