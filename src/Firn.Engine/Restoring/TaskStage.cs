using Firn.Engine.Kinds;
using Firn.Engine.Kinds.Files;
using Firn.Engine.Kinds.Events;
using Firn.Engine.Tree;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Restoring;

/// <summary>The stage in which tasks get what is theirs: process groups, descriptors, threads, and all kinds of task state.</summary>
internal static class TaskStage
{
    /// <summary>Runs the stage over all tasks; those of one step run side by side.</summary>
    public static void Run(RestoreContext context, GrowingTree tree)
    {
        JoinGroups(context);
        tree.JoinGroupsOfAbsent();
        Zombies.Make(context);
        List<RestoredTask> living = [.. context.Tasks.Where(task => !task.IsZombie)];

        // Who has another's descriptor table needs Firn's descriptors before they are closed in it, and goes on when it is as it was.
        List<RestoredTask> followers = [.. living.Where(task => !task.OwnsDescriptors)];
        RunAll(
            "directories",
            followers.Select(task => task.Leader),
            thread => WorkingDirectory.QueueDirectories(context, thread.Task, thread.Remote.Batch));
        RestoreTasks(context, living.Where(task => task.OwnsDescriptors));
        RestoreTasks(context, followers);
        List<RestoredTask> threaded = [.. living.Where(task => task.Threads.Count > 1)];
        RunAll(
            "user namespaces",
            threaded.Where(task => task.GoesToUser).Select(task => task.Leader),
            thread => NestedUserStage.QueueJoin(thread.Task, thread.Remote.Batch));
        threaded.ForEach(tree.MakeThreads);
        RunAll("thread", threaded.SelectMany(task => task.Threads), thread => QueueThread(context, thread));
        RunAll(
            "pid namespaces of children",
            living.Where(task => task.Ids.HasPidForChildrenNsId).Select(task => task.Leader),
            thread => NestedPidStage.QueueForChildren(context, thread.Task, thread.Remote.Batch));
        tree.SetCursors();
        LateFiles.Run(context, tree.First);
    }

    private static void RestoreTasks(RestoreContext context, IEnumerable<RestoredTask> tasks)
        => RunAll(
            "task",
            tasks.Select(task => task.Leader),
            thread =>
            {
                if (thread.Task.OwnsDescriptors)
                {
                    WorkingDirectory.QueueDirectories(context, thread.Task, thread.Remote.Batch);
                    DescriptorTables.QueueTable(context, thread.Task, thread.Remote.Batch);
                }

                foreach (TaskKind kind in TaskKinds.All)
                {
                    kind.RestoreTask(context, thread.Task, thread.Remote.Batch);
                }

                DescriptorTables.QueueAttach(context, thread.Task, thread.Remote.Batch);

                if (thread.Task.Threads.Count == 1)
                {
                    QueueThread(context, thread);
                }
            });

    private static void QueueThread(RestoreContext context, RestoredThread thread)
    {
        foreach (TaskKind kind in TaskKinds.All)
        {
            kind.RestoreThread(context, thread, thread.Remote.Batch);
        }
    }

    /// <summary>Lets each thread queue its part, starts all batches, and waits for all.</summary>
    public static void RunAll(string purpose, IEnumerable<RestoredThread> threads, Action<RestoredThread> queue)
    {
        List<RemoteBatch> started = [];
        foreach (RestoredThread thread in threads)
        {
            queue(thread);
            thread.Remote.Batch.Start(purpose);
            started.Add(thread.Remote.Batch);
        }

        foreach (RemoteBatch batch in started)
        {
            batch.Finish();
        }
    }

    // A group exists once its leader is in it (setpgid(2)): leaders first, also those that have left it for another since.
    private static void JoinGroups(RestoreContext context)
    {
        HashSet<uint> processes = [.. context.Tasks.Select(task => task.Entry.Pid)];
        HashSet<uint> groups = [.. context.Tasks.Select(task => task.Entry.Pgid)];
        List<RestoredTask> tasks = [.. context.Tasks.Where(task => task.Entry.Sid != task.Entry.Pid)];
        Join(tasks.Where(task => groups.Contains(task.Entry.Pid)), task => task.OwnPid);
        Join(
            tasks.Where(task => !groups.Contains(task.Entry.Pid)
                && task.Entry.Pgid != task.Entry.Pid
                && processes.Contains(task.Entry.Pgid)),
            task => task.OwnGroup);
        foreach (RestoredTask task in FormerLeaders.InOrder(tasks, task => task.Entry.Pid, task => task.Entry.Pgid) ?? [])
        {
            if (processes.Contains(task.Entry.Pgid))
            {
                Join([task], _ => task.OwnGroup);
            }
        }

        // One that isn't seen in a task's pid namespace it has since it was made.
        static void Join(IEnumerable<RestoredTask> tasks, Func<RestoredTask, int> group) => RunAll(
            "process group",
            tasks.Where(task => group(task) != 0).Select(task => task.Leader),
            thread => thread.Remote.Batch.Call(Sysno.setpgid, 0, group(thread.Task)));
    }
}
