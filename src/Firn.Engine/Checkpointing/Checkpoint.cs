using Firn.Engine.Freezing;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Checkpointing;

/// <summary>A checkpoint: the five phases, in order.</summary>
/// <remarks>
/// Each phase hands the next what it has made, so that none can be left out or done twice. A failure anywhere undoes what was done so
/// far: the frozen tree runs on as it was found, and no image set appears.
/// </remarks>
internal static class Checkpoint
{
    /// <summary>Dumps a tree.</summary>
    /// <exception cref="CheckpointException">It failed; the tree runs as before.</exception>
    public static DumpResult Run(DumpOptions options, ILogger log, IProgress<CheckpointProgress>? progress)
    {
        var clock = new PhaseClock(log, progress);
        using DumpPlan plan = clock.Run("pre-dump", () => PreDump.Run(options, log));
        using FrozenTree tree = clock.Run("freeze", () => UnlessGone(null, () => Freeze.Run(plan)));
        using var network = NetworkHold.Take(plan);
        using DumpedTree dumped = clock.Run("dump", () => UnlessGone(tree, () => Dump.Run(plan, tree, network, clock)));
        clock.Run("thaw or kill", () => ThawOrKill.Run(plan, tree, network, dumped));
        return clock.Run("post-dump", () => PostDump.Run(tree, dumped, clock));
    }

    // Whatever a call said first about a task that was killed under Firn's hands: the task's end is what the user has to know.
    private static T UnlessGone<T>(FrozenTree? tree, Func<T> work)
    {
        try
        {
            return work();
        }
        catch (Exception exception) when (exception
            is TraceeLostException
            or LinuxException
            or RemoteCallException
            or CheckpointException { Errno: Errno.ESRCH or Errno.ENOENT })
        {
            int gone = exception is TraceeLostException lost ? lost.Tid : tree?.Tasks.Find(IsGone)?.Pid ?? 0;
            if (gone == 0 && exception is not LinuxException { Errno: Errno.ESRCH or Errno.ENOENT })
            {
                throw;
            }

            string who = gone == 0 ? "a task" : $"task {gone}";
            throw new CheckpointException(
                $"{who} of the tree was killed or ended while it was being dumped, so nothing was saved; dump what is left, if it is of "
                    + $"use ({exception.Message})",
                exception)
            {
                Phase = tree is null ? "freeze" : "dump",
                Pid = gone,
                Errno = Errno.ESRCH,
            };
        }
    }

    private static bool IsGone(DumpedTask task)
        => !task.IsZombie && (ProcStat.TryRead(task.Pid, out ProcStat? stat).IsError || stat?.State is TaskState.Zombie or TaskState.Dead);
}
