using Firn.Linux.Procfs;

namespace Firn.Engine.Tree;

/// <summary>Sessions and process groups whose leader has exited, while others are still in them. setsid(2), setpgid(2).</summary>
/// <remarks>
/// Such a session or group can be had only from its leader. So a restore makes a process with the leader's id for a moment: it leads a
/// session in which its parent's next children are born, or a group that others join, and ends.
/// </remarks>
internal static class AbsentLeaders
{
    /// <summary>
    /// Whether a session of a frozen tree can be made again without its leader: the leader is gone, and all who came into it from another
    /// session are children of one process of the tree.
    /// </summary>
    public static bool CanRestoreSession(List<DumpedTask> tasks, int session)
    {
        if (!IsGone(session))
        {
            return false;
        }

        List<DumpedTask?> parents =
        [
            .. tasks.Where(task => task.Stat.Session == session && task.Parent?.Stat.Session != session)
                .Select(task => task.Parent)
                .Distinct(),
        ];
        return parents is [not null];
    }

    /// <summary>Whether there is no such process any more.</summary>
    public static bool IsGone(int pid) => pid != 0 && ProcStat.TryRead(pid, out _).IsError;

    /// <summary>The session without a leader that a task is to be born into; 0 if it just has its parent's, or makes its own.</summary>
    public static uint SessionOf(IReadOnlySet<uint> processes, RestoredTask task)
        => task.Creator is { } creator && task.Entry.Sid != 0 && task.Entry.Sid != creator.Entry.Sid && !processes.Contains(task.Entry.Sid)
            ? task.Entry.Sid
            : 0;

    /// <summary>The groups without a leader that tasks must join, each with its members; not those that come with a session.</summary>
    public static IEnumerable<IGrouping<uint, RestoredTask>> Groups(IReadOnlySet<uint> processes, List<RestoredTask> tasks)
        => tasks.Where(task => task.Entry.Pgid != 0
                && task.Entry.Pgid != task.Entry.Sid
                && task.Entry.Pgid != tasks[0].Entry.Pgid
                && !processes.Contains(task.Entry.Pgid))
            .GroupBy(task => task.Entry.Pgid);

    /// <summary>How many processes are needed for a moment.</summary>
    public static int Count(List<RestoredTask> tasks)
    {
        HashSet<uint> processes = [.. tasks.Select(task => task.Entry.Pid)];
        return tasks.Select(task => SessionOf(processes, task)).Where(session => session != 0).Distinct().Count()
            + Groups(processes, tasks).Count();
    }
}
