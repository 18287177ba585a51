using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>A stay of the calling thread in the namespaces of another task; it goes home when this is disposed. setns(2).</summary>
/// <remarks>
/// <para>
/// In another mount namespace paths are the task's: its root is the thread's root. The thread's working directory is then /proc as Firn
/// sees it, and <see cref="OwnProc"/> gives the paths that work here and there.
/// </para>
/// <para>Pid, user and time namespaces can't be entered by a thread (pid: only its children would be in it).</para>
/// </remarks>
public sealed class NamespaceVisit : IDisposable
{
    private const CloneFlags Enterable =
        CloneFlags.CLONE_NEWNS | CloneFlags.CLONE_NEWNET | CloneFlags.CLONE_NEWIPC | CloneFlags.CLONE_NEWUTS | CloneFlags.CLONE_NEWCGROUP;

    [ThreadStatic]
    private static bool isAway;

    [ThreadStatic]
    private static bool hasOwnDirectories;

    private readonly CloneFlags flags;
    private readonly Fd? home;
    private readonly Fd? directory;
    private readonly bool wasAway;

    private NamespaceVisit(int pidFd, CloneFlags flags)
    {
        this.flags = flags & Enterable;
        if (this.flags == 0)
        {
            return;
        }

        home = new Fd(Sys.PidfdOpen(Sys.GetPid()).OrThrow("pidfd_open(self)").Int32);
        directory = Go(pidFd);
    }

    private NamespaceVisit(Fd there, CloneFlags flag)
    {
        flags = flag;
        wasAway = isAway;
        string name = flag switch
        {
            CloneFlags.CLONE_NEWNS => "mnt",
            CloneFlags.CLONE_NEWNET => "net",
            CloneFlags.CLONE_NEWIPC => "ipc",
            CloneFlags.CLONE_NEWUTS => "uts",
            CloneFlags.CLONE_NEWCGROUP => "cgroup",
            _ => throw new ArgumentOutOfRangeException(nameof(flag), flag, "a thread can't enter one of these"),
        };
        home = Sys.Open($"{OwnProc}thread-self/ns/{name}", OpenFlags.O_RDONLY);
        directory = Go(there.Number);
    }

    private Fd? Go(int there)
    {
        if ((flags & CloneFlags.CLONE_NEWNS) == 0)
        {
            Sys.SetNs(there, flags).OrThrow($"setns({flags})");
            return null;
        }

        // A thread that shares its directories with others can't enter a mount namespace; one that had them apart once keeps them so.
        if (!hasOwnDirectories)
        {
            Sys.Unshare(CloneFlags.CLONE_FS).OrThrow("unshare(CLONE_FS)");
            hasOwnDirectories = true;
        }

        Fd here = Sys.Open(".", OpenFlags.O_PATH | OpenFlags.O_DIRECTORY);
        using Fd proc = Sys.Open(isAway ? "." : "/proc", OpenFlags.O_PATH | OpenFlags.O_DIRECTORY);
        Sys.SetNs(there, flags).OrThrow($"setns({flags})");
        isAway = true;
        Sys.FchDir(proc.Number).OrThrow("fchdir(/proc)");
        return here;
    }

    /// <summary>Opens a namespace of a task.</summary>
    /// <param name="pid">The task.</param>
    /// <param name="name">The name in /proc/PID/ns.</param>
    public static Fd Open(int pid, string name) => Sys.Open($"{OwnProc}{pid}/ns/{name}", OpenFlags.O_RDONLY);

    /// <summary>Enters namespaces of a task.</summary>
    /// <param name="pidFd">The task.</param>
    /// <param name="flags">Which, as CLONE_NEW*; flags of those that a thread can't enter are no error, and mean nothing.</param>
    /// <exception cref="LinuxException">It isn't allowed.</exception>
    public static NamespaceVisit Enter(int pidFd, CloneFlags flags) => new(pidFd, flags);

    /// <summary>Enters one more namespace, also in the midst of another visit: the way back leads to where the thread was.</summary>
    /// <param name="there">The namespace.</param>
    /// <param name="flag">Its kind.</param>
    /// <exception cref="LinuxException">It isn't allowed.</exception>
    public static NamespaceVisit Enter(Fd there, CloneFlags flag)
    {
        ArgumentNullException.ThrowIfNull(there);
        return new NamespaceVisit(there, flag);
    }

    /// <summary>Where /proc of this process's own namespaces is, with a slash at its end.</summary>
    public static string OwnProc => isAway ? string.Empty : "/proc/";

    /// <summary>The magic link of a descriptor of the calling thread.</summary>
    public static string PathOf(int fd) => $"{OwnProc}thread-self/fd/{fd}";

    /// <summary>Goes home.</summary>
    /// <exception cref="LinuxException">The way back is closed. The thread is of no more use.</exception>
    public void Dispose()
    {
        if (home is null)
        {
            return;
        }

        Sys.SetNs(home.Number, flags).OrThrow($"setns(home, {flags})");
        home.Dispose();
        if (directory is not null)
        {
            isAway = wasAway;
            Sys.FchDir(directory.Number).OrThrow("fchdir(home)");
            directory.Dispose();
        }
    }
}
