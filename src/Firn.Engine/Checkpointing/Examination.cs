using Firn.Engine.Freezing;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
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
        // Nothing is written; a directory is part of every plan. And nothing is killed, though that is what the question is about: some
        // things can be saved by such a dump alone.
        DumpOptions options = new() { Tree = pid, ImagesDirectory = "/dev/shm" };
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
        ExamineFormerLeaders(context);
        Dictionary<int, bool> sessions = [];
        foreach (DumpedTask task in context.Tasks)
        {
            int session = task.Stat.Session;
            int group = task.Stat.ProcessGroup;
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

    private static void ExamineFormerLeaders(DumpContext context)
    {
        List<DumpedTask> tasks = [.. context.Tasks.Where(task => task.Stat.Session != task.ProcessId)];
        if (FormerLeaders.InOrder(tasks, task => (uint)task.ProcessId, task => (uint)task.Stat.ProcessGroup) is null)
        {
            context.Problems.Add(
                "process-group",
                context.Tasks[0].Pid,
                "process groups",
                "processes have changed places so that each is in a group named for another, and no one else is in these",
                "let one of them lead its own group again (setpgid)");
        }
    }

    // What a process shares without being a thread it can only have from one who has all of it.
    private static void ExamineSharing(DumpContext context)
    {
        var seen = new SharedState.Seen();
        for (int i = 0; i < context.Tasks.Count; i++)
        {
            DumpedTask task = context.Tasks[i];
            if (task.IsZombie)
            {
                continue;
            }

            ExamineThreads(context, task);
            CloneFlags shared = seen.Add(task.Ids);
            DumpedTask? creator = shared == 0
                ? task.Parent
                : SharedState.FindCreator(task, shared, context.Tasks.Take(i), one => one.Ids, one => one.Parent);
            bool isOfAnotherSession = creator != task.Parent
                && task.Stat.Session != creator?.Stat.Session && task.Stat.Session != task.ProcessId;
            if (shared != 0 && (creator is null || isOfAnotherSession))
            {
                context.Problems.Add(
                    "shared-task-state",
                    task.Pid,
                    "memory, descriptors, directories or signal handlers",
                    "it shares them with a process that is neither its parent nor a child of its parent, and could not be made again so",
                    "wait until the program has ended the one, or executed another program in it");
            }
        }

        ExamineRoot(context);
    }

    // unshare(2) in a thread.
    private static void ExamineThreads(DumpContext context, DumpedTask task)
    {
        foreach (DumpedThread thread in task.Threads.Skip(1))
        {
            foreach (KcmpType type in (ReadOnlySpan<KcmpType>)[KcmpType.KCMP_FILES, KcmpType.KCMP_FS])
            {
                if (Sys.Kcmp(task.Pid, thread.Tid, type) is { IsError: false, Raw: not 0 })
                {
                    context.Problems.Add(
                        "thread-own-state",
                        task.Pid,
                        $"thread {thread.Tid}",
                        $"it has {(type == KcmpType.KCMP_FILES ? "descriptors" : "directories")} that are not its process's (unshare)",
                        "let the thread end first");
                }
            }
        }
    }

    // Shared with the outside: as the child of a vfork that has not executed its program.
    private static void ExamineRoot(DumpContext context)
    {
        DumpedTask root = context.Tasks[0];
        foreach (KcmpType type in (ReadOnlySpan<KcmpType>)[KcmpType.KCMP_VM, KcmpType.KCMP_FILES, KcmpType.KCMP_FS])
        {
            if (root.Stat.ParentPid > 0 && Sys.Kcmp(root.Pid, root.Stat.ParentPid, type) is { IsError: false, Int32: 0 })
            {
                context.Problems.Add(
                    "shared-task-state",
                    root.Pid,
                    $"{type}",
                    $"it shares it with its parent {root.Stat.ParentPid}, which is not in the tree",
                    "dump a tree that holds both, or wait until the child has executed its program");
            }
        }
    }

    private static bool IsInTree(DumpContext context, int pid) => context.FindTask(pid) is not null;
}
