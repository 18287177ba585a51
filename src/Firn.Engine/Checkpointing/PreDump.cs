using Firn.Engine.Hooks;
using Firn.Engine.Kinds.Cgroups;
using Firn.Linux;
using Firn.Linux.Abi;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Checkpointing;

/// <summary>What pre-dump has found out: who is to be frozen, and where the images go.</summary>
/// <param name="Options">What was asked for.</param>
/// <param name="Log">Where log lines go.</param>
/// <param name="Directory">The images directory, open.</param>
/// <param name="Hooks">Who takes part.</param>
internal sealed record DumpPlan(DumpOptions Options, ILogger Log, Fd Directory, HookCaller Hooks) : IDisposable
{
    /// <summary>The options with the external resources that hooks name (`query-ext-files`).</summary>
    /// <exception cref="HookException">A hook fails, or names what can't be understood.</exception>
    public DumpOptions AskForExternal()
    {
        List<ExternalResource> named = [];
        foreach (string text in Hooks.QueryExternal())
        {
            named.Add(ExternalResource.TryParse(text, out ExternalResource? one)
                ? one
                : throw new HookException(
                    HookNames.QueryExternalFiles, $"{HookNames.QueryExternalFiles}: `{text}` is not of the form TYPE[ID]:VALUE"));
        }

        return named.Count == 0 ? Options : Options with { External = Options.External.With(named) };
    }

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
        CgroupDirectories.Check(options);
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

        var plan = new DumpPlan(
            options, log, directory, new HookCaller(options.Hooks, options.ImagesDirectory, log) { RootPid = options.Tree });
        try
        {
            plan.Hooks.Call(HookNames.PreDump);
            return plan;
        }
        catch
        {
            plan.Dispose();
            throw;
        }
    }

    private static void CheckTarget(int pid)
    {
        if (Sys.Kill(pid, Signal.None).Errno == Errno.ESRCH)
        {
            throw new CheckpointException(
                $"there is no process {pid}: it has ended, or runs in another pid namespace; `ps -e` lists those that can be named "
                    + $"here")
            {
                Phase = "pre-dump",
                Pid = pid,
                Errno = Errno.ESRCH,
            };
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
