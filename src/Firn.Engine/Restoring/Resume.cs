using Firn.Engine.Kinds.Cgroups;
using Firn.Engine.Freezing;
using Firn.Engine.Hooks;
using Firn.Engine.Kinds;
using Firn.Engine.Kinds.Tasks;
using Firn.Engine.Memory;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Cgroups;
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
        Seed.Unmap([.. living.Select(task => (task.Leader.Remote, VdsoOf(task)))], tree.Scratch);
        foreach (RestoredTask task in living)
        {
            SetRegisters(task);
            Signal stop = context.Options.LeaveStopped ? Signal.SIGSTOP : TaskStates.StopSignal(task.Core.Tc);
            if (stop != Signal.None)
            {
                Sys.Kill(task.OuterPid, stop).OrThrow($"kill({task.OuterPid}, {stop})");
            }
        }

        tree.Leave();
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

    private static void SetRegisters(RestoredTask task)
    {
        foreach (RestoredThread thread in task.Threads)
        {
            RegisterState state = Registers.ToRegisterState(thread.Core);
            Tracee tracee = thread.Remote.Tracee;
            tracee.SetExtendedState(state.ExtendedState);
            tracee.SetSignalMask(state.SignalMask);
            tracee.SetRegisters(state.Registers);
        }
    }
}
