using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Signal numbers of x86_64 (signal(7)).</summary>
public enum Signal
{
    None = 0,
    SIGHUP = 1,
    SIGINT = 2,
    SIGQUIT = 3,
    SIGILL = 4,
    SIGTRAP = 5,
    SIGABRT = 6,
    SIGBUS = 7,
    SIGFPE = 8,
    SIGKILL = 9,
    SIGUSR1 = 10,
    SIGSEGV = 11,
    SIGUSR2 = 12,
    SIGPIPE = 13,
    SIGALRM = 14,
    SIGTERM = 15,
    SIGSTKFLT = 16,
    SIGCHLD = 17,
    SIGCONT = 18,
    SIGSTOP = 19,
    SIGTSTP = 20,
    SIGTTIN = 21,
    SIGTTOU = 22,
    SIGURG = 23,
    SIGXCPU = 24,
    SIGXFSZ = 25,
    SIGVTALRM = 26,
    SIGPROF = 27,
    SIGWINCH = 28,
    SIGIO = 29,
    SIGPWR = 30,
    SIGSYS = 31,
    SIGRTMIN = 32,
    SIGRTMAX = 64,
}

/// <summary>struct sigaction as the kernel of x86_64 takes it (rt_sigaction(2); arch/x86/include/uapi/asm/signal.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KernelSigaction
{
    public ulong sa_handler;
    public ulong sa_flags;
    public ulong sa_restorer;
    public ulong sa_mask;
}

/// <summary>stack_t of sigaltstack(2).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SignalStack
{
    public const int SS_ONSTACK = 1;
    public const int SS_DISABLE = 2;

    public ulong ss_sp;
    public int ss_flags;
    public int pad;
    public ulong ss_size;
}
