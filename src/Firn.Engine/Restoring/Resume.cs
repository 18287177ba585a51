using Firn.Engine.Kinds.Cgroups;
using Firn.Engine.Freezing;
using Firn.Engine.Hooks;
using Firn.Engine.Kinds;
using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Kinds.Tasks;
using Firn.Engine.Memory;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Cgroups;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Restoring;

/// <summary>The last stage: what ticks is set going, privileges are taken away, registers put in place; then the tree is thawed.</summary>
internal static class Resume
{
    /// <summary>Runs the stage.</summary>
    public static void Run(RestoreContext context, GrowingTree tree)
    {
        List<RestoredTask> living = [.. context.Tasks.Where(task => !task.IsZombie)];
        NamespaceStage.Finish(context, tree.First);
        AttachedSegments.Finish(context);
        context.Within(tree.First, () => DescriptorTables.Arm(context));
        TaskStage.RunAll(
            "signals and timers",
            living.SelectMany(task => task.Threads),
            thread =>
            {
                foreach (TaskKind kind in TaskKinds.All)
                {
                    kind.Arm(context, thread, thread.Remote.Batch);
                }
            });
        TaskStage.RunAll(
            "credentials",
            living.SelectMany(task => task.Threads),
            thread =>
            {
                foreach (TaskKind kind in TaskKinds.All)
                {
                    kind.Seal(context, thread, thread.Remote.Batch);
                }
            });
        ContinuedCalls.Begin(living.SelectMany(task => task.Alive));
        Seed.Unmap(
            [.. living.Where(task => task.MemoryOwner == task).Select(task => (task.FirstAlive.Remote, VdsoOf(task)))], tree.Scratch);
        foreach (RestoredTask task in living)
        {
            if (task.FirstAlive.CallResult is not null)
            {
                // In the exit of munmap a call that is to go on would not: that takes a stop on the way to user mode.
                StopOnTheWay(task.FirstAlive.Remote.Tracee);
            }

            if (task.HasDeadLeader)
            {
                EndLeader(task);
            }

            SetRegisters(task);
            Signal stop = context.Options.LeaveStopped ? Signal.SIGSTOP : TaskStates.StopSignal(task.Core.Tc);
            if (stop != Signal.None)
            {
                Sys.Kill(task.OuterPid, stop).OrThrow($"kill({task.OuterPid}, {stop})");
            }
        }

        tree.Leave();
        if (context.OwnNamespace(CloneFlags.CLONE_NEWNET) is { IsAdded: false })
        {
            context.Hooks.CallForLog(HookNames.NetworkUnlock);
        }

        context.BeforeThaw.ForEach(action => action());
        context.Hooks.CallForLog(HookNames.PreResume);
        IReadOnlyList<CgroupFreezer> frozenBefore = CgroupTree.Of(context).FrozenAtEnd;
        if (!context.Options.LeaveFrozen && frozenBefore.Count == 0)
        {
            tree.Thaw();
            return;
        }

        // The last act: in a frozen group no remote call would run, and nothing could be killed.
        try
        {
            foreach (CgroupFreezer freezer in frozenBefore)
            {
                context.Log.LogWarning("cgroup {Group} was frozen when the tree was dumped: it is frozen again, until `firn thaw`",
                    freezer.Group);
                freezer.Freeze();
            }

            if (context.Options.LeaveFrozen)
            {
                _ = StillTree.Freeze(context.FirstPid, null, context.Options.TimeoutSeconds, context.Log);
            }

            tree.Thaw();
        }
        catch
        {
            StillTree.LetGo(context.FirstPid, context.Log);
            throw;
        }
    }

    private static RemotePtr VdsoOf(RestoredTask task)
        => task.Mm!.Vmas.FirstOrDefault(vma => vma.Is(VmaStatus.Vdso)) is { } vdso ? new RemotePtr(vdso.Start) : RemotePtr.Null;

    private static void StopOnTheWay(Tracee tracee)
    {
        tracee.Interrupt();
        tracee.Resume();
        while (!tracee.WaitForStop().IsEventStop)
        {
            tracee.Resume();
        }
    }

    // It was the way into the process so far. From its last stop on it is no tracee: the end of a leader is told no tracer before that of
    // all other threads.
    private static void EndLeader(RestoredTask task)
    {
        Tracee leader = task.Leader.Remote.Tracee;
        bool isFiltered = task.Alive.Any(Seccomp.IsFiltered);
        leader.SetOptions(
            PtraceOptions.PTRACE_O_EXITKILL | PtraceOptions.PTRACE_O_TRACESYSGOOD | PtraceOptions.PTRACE_O_TRACEEXIT
            | (isFiltered ? PtraceOptions.PTRACE_O_SUSPEND_SECCOMP : 0));
        Seed.StartExit(leader, VdsoOf(task), (int)(task.Core.Tc.LeaderExitCode >> 8) & 0xff);
        while (leader.WaitForStop().Event != PtraceEvent.PTRACE_EVENT_EXIT)
        {
            leader.Resume();
        }

        leader.Detach();
        while (ProcStat.Read(leader.Tid).State is not TaskState.Zombie)
        {
            Thread.Yield();
        }
    }

    private static void SetRegisters(RestoredTask task)
    {
        foreach (RestoredThread thread in task.Alive)
        {
            RegisterState state = Registers.ToRegisterState(thread.Core);
            Tracee tracee = thread.Remote.Tracee;
            tracee.SetExtendedState(state.ExtendedState);
            tracee.SetSignalMask(state.SignalMask);
            tracee.SetRegisters(ContinuedCalls.Apply(thread, state.Registers));
        }
    }
}
