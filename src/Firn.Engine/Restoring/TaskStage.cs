using Firn.Engine.Kinds;
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
        RunAll(
            "task",
            living.Select(task => task.Leader),
            thread =>
            {
                DescriptorTables.QueueTable(context, thread.Task, thread.Remote.Batch);
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
        List<RestoredTask> threaded = [.. living.Where(task => task.Threads.Count > 1)];
        threaded.ForEach(tree.MakeThreads);
        RunAll("thread", threaded.SelectMany(task => task.Threads), thread => QueueThread(context, thread));
        LateFiles.Run(context, tree.First);
    }

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

    // Leaders first: a group exists once its leader is in it (setpgid(2)).
    private static void JoinGroups(RestoreContext context)
    {
        foreach (bool leaders in (ReadOnlySpan<bool>)[true, false])
        {
            IEnumerable<RestoredThread> joining = context.Tasks
                .Where(task => (task.Entry.Pgid == task.Entry.Pid) == leaders
                    && task.Entry.Sid != task.Entry.Pid
                    && (!leaders || task.Entry.Pgid != 0)
                    && context.Tasks.Exists(leader => leader.Entry.Pid == task.Entry.Pgid))
                .Select(task => task.Leader);
            RunAll("process group", joining, thread => thread.Remote.Batch.Call(Sysno.setpgid, 0, thread.Task.Entry.Pgid));
        }
    }
}
