using Firn.Linux;
using Firn.Linux.Abi;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Checkpointing;

/// <summary>What pre-dump has found out: who is to be frozen, and where the images go.</summary>
/// <param name="Options">What was asked for.</param>
/// <param name="Log">Where log lines go.</param>
/// <param name="Directory">The images directory, open.</param>
internal sealed record DumpPlan(DumpOptions Options, ILogger Log, Fd Directory) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => Directory.Dispose();
}

/// <summary>The first phase: all that can be known before the tree stops.</summary>
internal static class PreDump
{
    private const int W_OK = 2;

    /// <summary>Checks who and where, while the tree runs.</summary>
    /// <exception cref="CheckpointException">No such task, one that can't be dumped from here, or no place for images.</exception>
    public static DumpPlan Run(DumpOptions options, ILogger log)
    {
        Privilege.Demand("pre-dump");
        CheckTarget(options.Tree);
        SysResult opened = Sys.OpenAt(
            At.AT_FDCWD, options.ImagesDirectory, OpenFlags.O_RDONLY | OpenFlags.O_DIRECTORY | OpenFlags.O_CLOEXEC, 0);
        if (opened.IsError)
        {
            throw Unusable(options.ImagesDirectory, opened.Errno, "can't be opened; name a directory that exists");
        }

        var directory = new Fd(opened.Int32);
        SysResult writable = Sys.AccessAt(directory.Number, ".", W_OK);
        if (writable.IsError)
        {
            directory.Dispose();
            throw Unusable(options.ImagesDirectory, writable.Errno, "can't be written; choose another, or change its owner or mount");
        }

        return new DumpPlan(options, log, directory);
    }

    private static void CheckTarget(int pid)
    {
        if (Sys.Kill(pid, Signal.None).Errno == Errno.ESRCH)
        {
            throw new CheckpointException($"there is no process {pid}: it has ended, or runs in another pid namespace; `ps -e` lists those that can be named here") { Phase = "pre-dump", Pid = pid };
        }

        // One's own ancestor can't be frozen and waited for: the dump would stop with it.
        for (int ancestor = Sys.GetPid(); ancestor > 0; ancestor = Linux.Procfs.ProcStat.Read(ancestor).ParentPid)
        {
            if (ancestor == pid)
            {
                throw new CheckpointException(
                    $"task {pid} is firn itself or runs it; start firn from outside the tree, for example by setsid in another session")
                {
                    Phase = "pre-dump",
                    Pid = pid,
                };
            }
        }
    }

    private static CheckpointException Unusable(string directory, Errno errno, string remedy)
        => new($"images directory {directory} {remedy}: {errno} ({ErrnoText.Describe(errno)})") { Phase = "pre-dump", Errno = errno };
}
