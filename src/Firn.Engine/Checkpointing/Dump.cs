using Firn.Engine.Freezing;
using Firn.Engine.Kinds;
using Firn.Engine.Kinds.Cgroups;
using Firn.Engine.Kinds.Files;
using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Kinds.Sockets;
using Firn.Engine.Kinds.Tasks;
using Firn.Engine.Memory;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Checkpointing;

/// <summary>The third phase: everything is collected, then refused as a whole or written.</summary>
internal static class Dump
{
    /// <summary>Dumps a frozen tree.</summary>
    /// <returns>What was dumped: memory on disk, messages still in Firn's memory.</returns>
    /// <exception cref="UnsupportedResourceException">Something can't be saved: nothing was written, nothing touched.</exception>
    public static DumpedTree Run(DumpPlan plan, FrozenTree tree, NetworkHold network, PhaseClock clock)
    {
        DumpContext context = Collect(plan.AskForExternal(), plan.Log, tree);
        context.Packets = network.Packets;
        context.Clock = clock;
        var dumped = new DumpedTree(context, plan.Directory);
        try
        {
            context.Problems.ThrowIfAny();
            dumped.Withdraw();
            Enter(tree);
            DumpTasks(context);
            using (VisitNetwork(context))
            {
                context.Files.Dump(context);
            }

            foreach (DumpedNamespace own in context.OwnNamespaces)
            {
                own.Kind.Dump(context, own);
            }

            CgroupPlaces.Dump(context);
            AttachedSegments.Dump(context);
            MemoryDump.WritePages(context);
            context.Problems.ThrowIfAny();
            TreeImages.Add(context);
            return dumped;
        }
        catch
        {
            dumped.Dispose();
            throw;
        }
    }

    /// <summary>Collects what can be seen from outside, and everything that stands in the way. Touches nothing.</summary>
    public static DumpContext Collect(DumpOptions options, Microsoft.Extensions.Logging.ILogger log, FrozenTree tree)
    {
        var context = new DumpContext
        {
            Options = options,
            Log = log,
            Files = new OpenFileTable(FileKinds.All, FileLocks.Examine, FileLocks.Dump),
            FrozenBefore = tree.Freezer?.FoundFrozen ?? [],
        };
        context.Tasks.AddRange(DescendantsFirst(tree.Tasks));
        KernelObjectIds.DumpTree(context);
        using var ahead = AdvicesAhead.Start(context.Tasks);
        Examination.ExamineTree(context);
        foreach (DumpedNamespace own in context.OwnNamespaces)
        {
            own.Kind.Examine(context, own);
            if (own.IsNested && own.Kind.Flag != CloneFlags.CLONE_NEWUSER)
            {
                NestedUsers.ExamineOwner(context, own);
            }
        }

        foreach (TaskKind kind in TaskKinds.All)
        {
            foreach (DumpedTask task in tree.Tasks)
            {
                kind.Examine(context, task);
            }
        }

        context.Files.State.Get<SocketTables>().Nested =
            [.. context.Nested.Where(nested => nested.Kind.Flag == CloneFlags.CLONE_NEWNET)];
        using (VisitNetwork(context))
        {
            context.Files.Collect(context);
        }

        MemoryDump.Collect(context, ahead);
        AttachedSegments.Examine(context);
        return context;
    }

    // Tables of sockets, and names of interfaces, are those of the namespace that asks.
    private static NamespaceVisit? VisitNetwork(DumpContext context)
    {
        DumpedNamespace network = context.Namespace(CloneFlags.CLONE_NEWNET);
        return network.IsFirns ? null : network.Visit();
    }

    // Each task after its parent and before its next sibling: the order of CRIU's pstree.img.
    private static IEnumerable<DumpedTask> DescendantsFirst(List<DumpedTask> tasks)
    {
        ILookup<DumpedTask, DumpedTask> children = tasks.Where(task => task.Parent is not null).ToLookup(task => task.Parent!);
        Stack<DumpedTask> waiting = new(tasks.Where(task => task.Parent is null).Reverse());
        while (waiting.TryPop(out DumpedTask? task))
        {
            yield return task;
            foreach (DumpedTask child in children[task].Reverse())
            {
                waiting.Push(child);
            }
        }
    }

    private static void Enter(FrozenTree tree)
    {
        // One visit for each memory: processes that share one are threads of it to whoever goes in.
        List<List<DumpedTask>> memories =
            [.. tree.Tasks.Where(task => !task.IsZombie).GroupBy(task => task.MemoryOwner).Select(group => group.ToList())];
        IReadOnlyList<RemoteProcess> processes = RemoteProcess.Enter(
        [
            .. memories.Select(tasks => new EntryRequest(
                tasks[0].MemoryOwner.Pid,
                tasks[0].MemoryOwner.PidFd,
                tasks[0].MemoryOwner.Mappings,
                [.. tasks.Select(task => task.Status)],
                [.. InOrder(tasks).Select(ToEntry)],
                tasks[0].MemoryOwner.LeftDescriptors)),
        ]);
        for (int i = 0; i < memories.Count; i++)
        {
            memories[i].ForEach(task => task.Remote = processes[i]);
            foreach ((DumpedThread thread, Remote remote) in InOrder(memories[i]).Zip(processes[i].Threads))
            {
                thread.Remote = remote;
            }
        }

        static IEnumerable<DumpedThread> InOrder(List<DumpedTask> tasks)
            => tasks.OrderBy(task => task == task.MemoryOwner ? 0 : 1).SelectMany(task => task.Threads);

        static EntryThread ToEntry(DumpedThread thread)
            => new(thread.Tracee!, thread.Task.OwnPid, thread.OwnTid, thread == thread.Task.Leader);
    }

    // All kinds of a thread queue into one batch; the batches of all threads run side by side.
    private static void DumpTasks(DumpContext context)
    {
        List<RemoteBatch> started = [];
        foreach (DumpedTask task in context.Tasks)
        {
            foreach (DumpedThread thread in task.Threads)
            {
                if (thread.Remote is not Remote remote)
                {
                    continue;
                }

                if (thread == task.Leader && task.MemoryOwner == task)
                {
                    MemoryDump.QueueQuestions(context, task, remote.Batch);
                }

                foreach (TaskKind kind in TaskKinds.All)
                {
                    if (thread == task.Leader)
                    {
                        kind.DumpTask(context, task, remote.Batch);
                    }

                    kind.DumpThread(context, thread, remote.Batch);
                }

                remote.Batch.Start("dump");
                started.Add(remote.Batch);
            }
        }

        // Each is waited for, also after one has failed: none may be left running when its thread is let go. And before anything is made of
        // the answers, since a timer's signal is looked for in the queue of another thread.
        List<Exception> failures = [];
        foreach (RemoteBatch batch in started)
        {
            try
            {
                batch.Wait();
            }
            catch (Exception failure) when (failure is RemoteCallException or TraceeLostException)
            {
                failures.Add(failure);
            }
        }

        if (failures.Count > 0)
        {
            // What was answered is not to be asked again on the way out.
            started.ForEach(batch => batch.Clear());
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failures[0]);
        }

        started.ForEach(batch => batch.Complete());
    }
}
