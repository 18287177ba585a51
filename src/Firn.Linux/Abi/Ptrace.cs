using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Requests of ptrace(2) (include/uapi/linux/ptrace.h).</summary>
public enum PtraceRequest
{
    PTRACE_CONT = 7,
    PTRACE_KILL = 8,
    PTRACE_SINGLESTEP = 9,
    PTRACE_DETACH = 17,
    PTRACE_SYSCALL = 24,
    PTRACE_SETOPTIONS = 0x4200,
    PTRACE_GETEVENTMSG = 0x4201,
    PTRACE_GETSIGINFO = 0x4202,
    PTRACE_SETSIGINFO = 0x4203,
    PTRACE_GETREGSET = 0x4204,
    PTRACE_SETREGSET = 0x4205,
    PTRACE_SEIZE = 0x4206,
    PTRACE_INTERRUPT = 0x4207,
    PTRACE_LISTEN = 0x4208,
    PTRACE_PEEKSIGINFO = 0x4209,
    PTRACE_GETSIGMASK = 0x420a,
    PTRACE_SETSIGMASK = 0x420b,
    PTRACE_SECCOMP_GET_FILTER = 0x420c,
    PTRACE_SECCOMP_GET_METADATA = 0x420d,
    PTRACE_GET_SYSCALL_INFO = 0x420e,
    PTRACE_GET_RSEQ_CONFIGURATION = 0x420f,
    PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG = 0x4211,
}

/// <summary>Options of PTRACE_SEIZE and PTRACE_SETOPTIONS (ptrace(2)).</summary>
[Flags]
public enum PtraceOptions
{
    None = 0,
    PTRACE_O_TRACESYSGOOD = 1,
    PTRACE_O_TRACEFORK = 2,
    PTRACE_O_TRACEVFORK = 4,
    PTRACE_O_TRACECLONE = 8,
    PTRACE_O_TRACEEXEC = 16,
    PTRACE_O_TRACEVFORKDONE = 32,
    PTRACE_O_TRACEEXIT = 64,
    PTRACE_O_TRACESECCOMP = 128,
    PTRACE_O_EXITKILL = 1 << 20,
    PTRACE_O_SUSPEND_SECCOMP = 1 << 21,
}

/// <summary>Events that a ptrace stop reports in the third byte of its wait status (ptrace(2)).</summary>
public enum PtraceEvent
{
    None = 0,
    PTRACE_EVENT_FORK = 1,
    PTRACE_EVENT_VFORK = 2,
    PTRACE_EVENT_CLONE = 3,
    PTRACE_EVENT_EXEC = 4,
    PTRACE_EVENT_VFORK_DONE = 5,
    PTRACE_EVENT_EXIT = 6,
    PTRACE_EVENT_SECCOMP = 7,
    PTRACE_EVENT_STOP = 128,
}

/// <summary>Register sets of PTRACE_GETREGSET (include/uapi/linux/elf.h).</summary>
public enum RegisterSet
{
    NT_PRSTATUS = 1,
    NT_X86_XSTATE = 0x202,
    NT_X86_SHSTK = 0x204,
}

/// <summary>struct user_regs_struct of x86_64 (arch/x86/include/asm/user_64.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct UserRegs
{
    public ulong r15;
    public ulong r14;
    public ulong r13;
    public ulong r12;
    public ulong rbp;
    public ulong rbx;
    public ulong r11;
    public ulong r10;
    public ulong r9;
    public ulong r8;
    public ulong rax;
    public ulong rcx;
    public ulong rdx;
    public ulong rsi;
    public ulong rdi;
    public ulong orig_rax;
    public ulong rip;
    public ulong cs;
    public ulong eflags;
    public ulong rsp;
    public ulong ss;
    public ulong fs_base;
    public ulong gs_base;
    public ulong ds;
    public ulong es;
    public ulong fs;
    public ulong gs;
}

/// <summary>struct ptrace_rseq_configuration (include/uapi/linux/ptrace.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct RseqConfiguration
{
    public ulong rseq_abi_pointer;
    public uint rseq_abi_size;
    public uint signature;
    public uint flags;
    public uint pad;
}

/// <summary>struct ptrace_peeksiginfo_args (include/uapi/linux/ptrace.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct PeekSiginfoArgs
{
    public const uint PTRACE_PEEKSIGINFO_SHARED = 1;

    public ulong off;
    public uint flags;
    public int nr;
}

/// <summary>struct seccomp_metadata (include/uapi/linux/ptrace.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SeccompMetadata
{
    public ulong filter_off;
    public ulong flags;
}

/// <summary>struct ptrace_sud_config (include/uapi/linux/ptrace.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SyscallUserDispatch
{
    public ulong mode;
    public ulong selector;
    public ulong offset;
    public ulong len;
}
