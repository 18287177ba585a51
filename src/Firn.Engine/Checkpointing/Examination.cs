using Firn.Engine.Freezing;
using Firn.Engine.Tree;
using Firn.Images;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Checkpointing;

/// <summary>A dry run of a dump: everything that would stand in the way, at once, without harm.</summary>
internal static class Examination
{
    /// <summary>Freezes a tree for a moment, looks at all of it from outside, and lets it run on.</summary>
    /// <param name="pid">The root of the tree.</param>
    /// <param name="log">Where log lines go.</param>
    public static IReadOnlyList<Problem> Run(int pid, ILogger log)
    {
        // Nothing is written; a directory is part of every plan.
        DumpOptions options = new() { Tree = pid, ImagesDirectory = "/dev/shm", LeaveRunning = true };
        using DumpPlan plan = PreDump.Run(options, log);
        using FrozenTree tree = Freeze.Run(plan);
        DumpContext context = Dump.Collect(options, log, tree);
        context.Files.Dispose();
        return context.Problems.All;
    }

    /// <summary>What of the tree itself can't be saved: sessions and groups that reach outside, leaders that are gone.</summary>
    public static void ExamineTree(DumpContext context)
    {
        ExamineSharing(context);
        DumpedTask root = context.Tasks[0];
        Dictionary<int, bool> sessions = [];
        foreach (DumpedTask task in context.Tasks)
        {
            int session = task.Stat.Session;
            int group = task.Stat.ProcessGroup;
            if (task.IsZombie && task.Threads.Exists(thread => thread.Tid != task.Pid))
            {
                context.Problems.Add(
                    "dead-leader",
                    task.Pid,
                    "thread group",
                    "its leader has exited while other threads run",
                    "end the process, or let its threads end first");
            }

            // Session and group 0: from outside of this pid namespace.
            if (!IsInTree(context, session) && !(sessions.TryGetValue(session, out bool known)
                ? known
                : sessions[session] = AbsentLeaders.CanRestoreSession(context.Tasks, session)))
            {
                if (!context.Options.ShellJob || session != root.Stat.Session)
                {
                    context.Problems.Add(
                        "session",
                        task.Pid,
                        $"session {session}",
                        task == root || session == root.Stat.Session
                            ? "its leader is outside the tree: the task was started from a shell or by another program of its session"
                            : "its leader is outside the tree, or has exited, and its members have more than one parent",
                        "start it with setsid, or use --shell-job at dump and restore");
                }
            }
            else if (group != session && !IsInTree(context, group) && !AbsentLeaders.IsGone(group))
            {
                context.Problems.Add(
                    "process-group",
                    task.Pid,
                    $"process group {group}",
                    "its leader is outside the tree",
                    "start the program in a group of its own");
            }
        }
    }

    // Tasks that are no threads of one process, and yet share what only threads share, by clone(2) with CLONE_VM and its kin.
    private static void ExamineSharing(DumpContext context)
    {
        ReadOnlySpan<(string What, Func<TaskKobjIdsEntry, uint> Id)> objects =
        [
            ("memory", ids => ids.VmId),
            ("descriptors", ids => ids.FilesId),
            ("working directory", ids => ids.FsId),
            ("signal handlers", ids => ids.SighandId),
        ];
        foreach ((string what, Func<TaskKobjIdsEntry, uint> id) in objects)
        {
            foreach (IGrouping<uint, DumpedTask> sharing in context.Tasks.Where(task => !task.IsZombie).GroupBy(task => id(task.Ids))
                .Where(group => group.Count() > 1))
            {
                DumpedTask second = sharing.ElementAt(1);
                context.Problems.Add(
                    "shared-task-state",
                    second.Pid,
                    $"{what} shared with pid {sharing.First().Pid}",
                    "processes that share these without being threads of one process can't be saved yet",
                    "wait until the program has ended the one or executed another program in it (a vfork child does so at once)");
            }
        }
    }

    private static bool IsInTree(DumpContext context, int pid) => context.Tasks.Exists(task => task.Pid == pid);
}
