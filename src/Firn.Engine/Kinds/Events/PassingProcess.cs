using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Events;

/// <summary>
/// A process that has ended and was not waited for yet: what still names a process of the past, a pidfd or credentials, can be made with
/// it.
/// </summary>
internal sealed class PassingProcess : IDisposable
{
    // mov edi,ebx; mov eax,60; syscall: exit with the argument.
    private static ReadOnlySpan<byte> ExitCode => [0x89, 0xdf, 0xb8, 0x3c, 0x00, 0x00, 0x00, 0x0f, 0x05];

    // rt_sigprocmask(SIG_SETMASK, &zeros, 0, 8); prlimit64(0, RLIMIT_CORE, &zeros, 0); kill(getpid(), the argument); hlt; zeros.
    private static ReadOnlySpan<byte> KillCode =>
    [
        0xbf, 0x02, 0x00, 0x00, 0x00, 0x48, 0x8d, 0x35, 0x3a, 0x00, 0x00, 0x00, 0x31, 0xd2, 0x41, 0xba, 0x08, 0x00, 0x00, 0x00,
        0xb8, 0x0e, 0x00, 0x00, 0x00, 0x0f, 0x05,
        0x31, 0xff, 0xbe, 0x04, 0x00, 0x00, 0x00, 0x48, 0x8d, 0x15, 0x1d, 0x00, 0x00, 0x00, 0x45, 0x31, 0xd2,
        0xb8, 0x2e, 0x01, 0x00, 0x00, 0x0f, 0x05,
        0xb8, 0x27, 0x00, 0x00, 0x00, 0x0f, 0x05, 0x89, 0xc7, 0x89, 0xde, 0xb8, 0x3e, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xf4,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];

    private PassingProcess(int pid) => Pid = pid;

    /// <summary>Its id as Firn sees it.</summary>
    public int Pid { get; }

    /// <summary>Makes one in the tree's pid namespace.</summary>
    /// <param name="context">The restore.</param>
    /// <param name="wanted">The id that it shall have there, or 0 for any.</param>
    /// <param name="status">How it shall have ended, as wait(2) tells it.</param>
    /// <exception cref="LinuxException">It can't be made: EEXIST if the id is taken.</exception>
    public static PassingProcess Make(RestoreContext context, int wanted, int status = 0)
        => WithinPids(context, () => new PassingProcess(Clone(wanted, status)));

    /// <summary>Does something while the calling thread's children come into the tree's pid namespace.</summary>
    /// <exception cref="LinuxException">It can't be entered.</exception>
    public static T WithinPids<T>(RestoreContext context, Func<T> work)
    {
        if (context.OwnNamespace(CloneFlags.CLONE_NEWPID) is null)
        {
            return work();
        }

        using Fd own = NamespaceVisit.Open(context.FirstPid, "pid");
        using Fd firns = NamespaceVisit.Open(Sys.GetPid(), "pid");
        Sys.SetNs(own.Number, CloneFlags.CLONE_NEWPID).OrThrow("setns(CLONE_NEWPID)");
        try
        {
            return work();
        }
        finally
        {
            Sys.SetNs(firns.Number, CloneFlags.CLONE_NEWPID).OrThrow("setns(CLONE_NEWPID, home)");
        }
    }

    /// <summary>Waits for it: from now on it is gone.</summary>
    public void Dispose() => Sys.Wait4(Pid, out _, WaitOptions.__WALL).OrThrow($"wait4({Pid})");

    // No exit signal, and the parent's memory: the child makes few system calls and is gone.
    private static int Clone(int wanted, int status)
    {
        const CloneFlags Flags = CloneFlags.CLONE_VM | CloneFlags.CLONE_VFORK | CloneFlags.CLONE_CLEAR_SIGHAND;
        int signal = status & 0x7f;
        return (signal == 0 ? Kernel.Clone3(Flags, wanted, ExitCode, (status >> 8) & 0xff) : Kernel.Clone3(Flags, wanted, KillCode, signal))
            .OrThrow($"clone3 of a passing process{(wanted > 0 ? $" with the pid {wanted}" : string.Empty)}").Int32;
    }
}
