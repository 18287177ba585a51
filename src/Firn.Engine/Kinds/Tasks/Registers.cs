using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>All registers of a thread. A system call that the stop interrupted is saved as not yet begun, or as interrupted.</summary>
/// <remarks>
/// Saved as found at the stop; the conductor of a restore sets them last of all, by <see cref="ToRegisterState"/>.
/// Kernel: arch/x86/kernel/ptrace.c, arch/x86/kernel/fpu/regset.c.
/// </remarks>
internal sealed class Registers : TaskKind
{
    private const int GetTransientPermissions = 0x1022;
    private const int RequestPermission = 0x1023;
    private const int ShadowStackStatus = 0x5005;
    private const ulong UserCodeSegment = 0x33;
    private const ulong UserCodeSegment32 = 0x23;
    private const int AmxTileData = 18;
    private const ulong AmxStates = 3UL << 17;
    private const uint FirstTlsEntry = 12;
    private const int TlsEntries = 3;

    // ---- dump

    /// <inheritdoc/>
    public override void Examine(DumpContext context, DumpedTask task)
    {
        foreach (DumpedThread thread in task.Threads.Where(_ => !task.IsZombie))
        {
            RegisterState found = thread.Tracee!.Found!;
            SyscallUserDispatch dispatch = default;
            SysResult asked = Sys.Ptrace(
                PtraceRequest.PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, thread.Tid, Marshal.SizeOf<SyscallUserDispatch>(), ref dispatch);
            if (!asked.IsError && dispatch.mode != 0)
            {
                context.Problems.Add(
                    "syscall-user-dispatch",
                    task.Pid,
                    $"thread {thread.Tid}",
                    "its system calls are handed to a handler of its own (PR_SET_SYSCALL_USER_DISPATCH), which would get those of the dump",
                    "run it without");
            }

            ulong segment = found.Registers.cs;
            if (segment != UserCodeSegment)
            {
                string kind = segment == UserCodeSegment32 ? "a 32-bit program" : "a code segment of its own (modify_ldt)";
                context.Problems.Add(
                    "not-64-bit", task.Pid, $"thread {thread.Tid}", $"it runs {kind}", "only 64-bit programs can be saved");
            }

            if ((XsaveLayout.Present(found.ExtendedState) & AmxStates) != 0)
            {
                context.Problems.Add(
                    "amx-tiles",
                    task.Pid,
                    $"thread {thread.Tid}",
                    "its AMX tile registers are in use, and no one can set them from outside",
                    "dump while it is not within a matrix computation");
            }
        }
    }

    /// <inheritdoc/>
    public override void DumpTask(DumpContext context, DumpedTask task, RemoteBatch batch)
    {
        RemoteBuffer permissions = batch.Allocate(sizeof(ulong));
        Slot asked = batch.Try(Sysno.arch_prctl, GetTransientPermissions, permissions);
        batch.Then(() =>
        {
            if (!asked.Result.IsError && (permissions.As<ulong>()[0] & (1UL << AmxTileData)) != 0)
            {
                task.TaskCore().XcompPermissions = permissions.As<ulong>()[0];
            }
        });
    }

    /// <inheritdoc/>
    public override void DumpThread(DumpContext context, DumpedThread thread, RemoteBatch batch)
    {
        RegisterState found = thread.Tracee!.Found!;
        thread.Core.Mtype = CoreEntry.Types.March.X8664;
        ThreadInfoX86 info = thread.Core.ThreadInfo ??= new ThreadInfoX86();
        info.Gpregs = ToMessage(InterruptedCall.NotYetBegun(found.Registers));
        if (InterruptedCall.FindContinued(thread.Tid, found.Registers) is { } call)
        {
            InterruptedCallEntry entry = thread.ThreadCore().InterruptedCall = new() { Number = (uint)call.Number };
            if ((call.Remaining ?? thread.RestOfCall) is { } remaining)
            {
                entry.Remaining = remaining;
            }
        }

        info.Fpregs = ExtendedState.ToMessage(found.ExtendedState, XsaveLayout.OfThisProcessor);
        for (uint i = 0; i < TlsEntries; i++)
        {
            info.Tls.Add(EmptyDescriptor(FirstTlsEntry + i));
        }

        RefuseShadowStack(context, thread, batch);
    }

    // ---- restore

    /// <inheritdoc/>
    /// <remarks>Asked for again, so that the task may use the tile registers; that they were in use is refused at dump.</remarks>
    public override void RestoreTask(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        if (task.Core.Tc.HasXcompPermissions)
        {
            Slot request = batch.Try(Sysno.arch_prctl, RequestPermission, AmxTileData);
            batch.Then(() =>
            {
                if (request.Result.IsError)
                {
                    context.Log.LogWarning("pid {Pid}: this machine doesn't allow AMX: {Errno}", task.Pid, request.Result.Errno);
                }
            });
        }
    }

    /// <summary>What the conductor sets last in a restored thread.</summary>
    /// <exception cref="CheckpointException">This processor lacks registers that the thread used, or the image is of another
    /// architecture.</exception>
    public static RegisterState ToRegisterState(CoreEntry core)
    {
        if (core.Mtype != CoreEntry.Types.March.X8664 || core.ThreadInfo is not { Gpregs: { } general })
        {
            throw new CheckpointException($"the image was made on {core.Mtype}, and this is x86_64");
        }

        if (general.Mode != UserX86RegsMode.Native)
        {
            throw new CheckpointException("the image holds a 32-bit thread; only 64-bit programs can be restored");
        }

        UserRegs registers = FromMessage(general);
        return new RegisterState(
            registers, SignalMasks.Of(core), ExtendedState.ToArea(core.ThreadInfo.Fpregs ?? Reset(), XsaveLayout.OfThisProcessor));
    }

    /// <summary>The message of general registers.</summary>
    internal static UserX86RegsEntry ToMessage(in UserRegs registers) => new()
    {
        R15 = registers.r15,
        R14 = registers.r14,
        R13 = registers.r13,
        R12 = registers.r12,
        Bp = registers.rbp,
        Bx = registers.rbx,
        R11 = registers.r11,
        R10 = registers.r10,
        R9 = registers.r9,
        R8 = registers.r8,
        Ax = registers.rax,
        Cx = registers.rcx,
        Dx = registers.rdx,
        Si = registers.rsi,
        Di = registers.rdi,
        OrigAx = registers.orig_rax,
        Ip = registers.rip,
        Cs = registers.cs,
        Flags = registers.eflags,
        Sp = registers.rsp,
        Ss = registers.ss,
        FsBase = registers.fs_base,
        GsBase = registers.gs_base,
        Ds = registers.ds,
        Es = registers.es,
        Fs = registers.fs,
        Gs = registers.gs,
        Mode = UserX86RegsMode.Native,
    };

    /// <summary>General registers out of their message.</summary>
    internal static UserRegs FromMessage(UserX86RegsEntry message) => new()
    {
        r15 = message.R15,
        r14 = message.R14,
        r13 = message.R13,
        r12 = message.R12,
        rbp = message.Bp,
        rbx = message.Bx,
        r11 = message.R11,
        r10 = message.R10,
        r9 = message.R9,
        r8 = message.R8,
        rax = message.Ax,
        rcx = message.Cx,
        rdx = message.Dx,
        rsi = message.Si,
        rdi = message.Di,

        // The call is over, or begins anew by its instruction: the kernel has nothing to restart.
        orig_rax = ulong.MaxValue,
        rip = message.Ip,
        cs = message.Cs,
        eflags = message.Flags,
        rsp = message.Sp,
        ss = message.Ss,
        fs_base = message.FsBase,
        gs_base = message.GsBase,
        ds = message.Ds,
        es = message.Es,
        fs = message.Fs,
        gs = message.Gs,
    };

    private static void RefuseShadowStack(DumpContext context, DumpedThread thread, RemoteBatch batch)
    {
        RemoteBuffer features = batch.Allocate(sizeof(ulong));
        Slot status = batch.Try(Sysno.arch_prctl, ShadowStackStatus, features);
        batch.Then(() =>
        {
            if (!status.Result.IsError && features.As<ulong>()[0] != 0)
            {
                context.Problems.Add(
                    "shadow-stack", thread.Task.Pid, $"thread {thread.Tid}", "it has a shadow stack, which can't be saved yet",
                    "run it without (GLIBC_TUNABLES=glibc.cpu.x86_shstk=off)");
            }
        });
    }

    // What get_thread_area(2) says of an entry that isn't used; a 64-bit thread has its thread pointer in fs_base.
    private static UserDescT EmptyDescriptor(uint number) => new()
    {
        EntryNumber = number,
        BaseAddr = 0,
        Limit = 0,
        Seg32Bit = false,
        ContentsH = false,
        ContentsL = false,
        ReadExecOnly = true,
        LimitInPages = false,
        SegNotPresent = true,
        Usable = false,
    };

    private static UserX86FpregsEntry Reset()
        => new() { Cwd = 0x37f, Swd = 0, Twd = 0, Fop = 0, Rip = 0, Rdp = 0, Mxcsr = 0x1f80, MxcsrMask = 0xffff };
}
