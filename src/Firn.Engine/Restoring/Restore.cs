using Firn.Engine.Hooks;
using Firn.Engine.Kinds.Cgroups;
using Firn.Engine.Kinds.Events;
using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Kinds.Namespaces.Mounts;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Restoring;

/// <summary>A restart: the stages, in order. The tree is built from outside, in the frozen state, and thawed at the end.</summary>
/// <remarks>
/// The stages are named as CRIU names its own. A failure anywhere kills what was made so far and takes back files; should Firn itself die,
/// the tree dies with it (PTRACE_O_EXITKILL).
/// </remarks>
internal static class Restore
{
    /// <summary>Restores a tree.</summary>
    /// <returns>Once it runs.</returns>
    /// <exception cref="CheckpointException">It failed; nothing of the tree is left.</exception>
    public static RestoreResult Run(RestoreOptions options, ILogger log, IProgress<CheckpointProgress>? progress)
    {
        var clock = new PhaseClock(log, progress);

        // First of all: what Firn takes of memory from here on is not the container's.
        Dictionary<string, string> left = options.LeaveCgroups ? CgroupExit.Leave(log) : [];
        RestorePlan plan = clock.Run("prepare", () => RestorePlan.Make(options, log));
        RestoreContext context = plan.Context;
        context.Clock = clock;
        using var tree = new GrowingTree(plan);
        try
        {
            context.Hooks.Call(HookNames.PreRestore);
            CgroupTree cgroups = CgroupTree.Prepare(context, left);
            if (context.Namespaces.Count + context.Nested.Count == 0)
            {
                clock.Run("files", () => CreateFiles(plan));
                clock.Run("root task", () => PlantRoot(context, tree));
                context.Hooks.Call(HookNames.PostSetupNamespaces);
            }
            else
            {
                GoIntoNamespaces(plan, tree, clock);
            }

            clock.Run("forking", tree.Grow);
            NestedProcs.Restore(context);
            plan.Memory.SealObjects();
            if (IoUringFile.Any(context))
            {
                clock.Run("io_uring", () => IoUringFile.MakeAll(context));
            }

            clock.Run("tasks", () => TaskStage.Run(context, tree));
            PidFile.Write(context);
            cgroups.SetProperties();
            context.Hooks.Call(HookNames.PostRestore);
            clock.Run("resume", () => Resume.Run(context, tree));
            context.Hooks.CallForLog(HookNames.PostResume);
            return new RestoreResult(
                context.Tasks[0].OuterPid,
                context.FirstPid,
                context.Tasks.Count,
                context.Tasks.Sum(task => task.Threads.Count),
                clock.Phases,
                plan.Memory.PagesRestored,
                plan.Memory.PagesRestored * Kernel.PageSize);
        }
        catch
        {
            context.UndoWithin(() => tree.First);
            tree.Fell();
            while (context.Undo.TryPop(out Action? undo))
            {
                undo();
            }

            throw;
        }
        finally
        {
            plan.Memory.Dispose();
            context.Files.Dispose();
            context.Images.Dispose();
        }
    }

    // The root comes first, since files are opened in its namespaces; so it doesn't inherit them, and is handed them.
    private static void GoIntoNamespaces(RestorePlan plan, GrowingTree tree, PhaseClock clock)
    {
        RestoreContext context = plan.Context;
        NamespaceStage.Prepare(context);
        using var handover = new Handover(context.Files);
        clock.Run("root task", () => PlantRoot(context, tree));
        clock.Run("namespaces", () => NamespaceStage.Fill(context, tree));
        context.Hooks.Call(HookNames.PostSetupNamespaces);
        clock.Run("files", () =>
        {
            plan.Memory.MakeObjects();
            AttachedSegments.Make(context);
            context.Within(tree.First, () => CreateFilesHere(plan));
            handover.Run(tree.First);
        });
    }

    private static void PlantRoot(RestoreContext context, GrowingTree tree)
    {
        tree.PlantRoot();
        CgroupTree.Of(context).PlaceRoot(context.FirstPid);
        context.Hooks.RootPid = context.FirstPid;
        context.Hooks.Call(HookNames.SetupNamespaces);
    }

    private static void CreateFiles(RestorePlan plan)
    {
        // Memory objects first: descriptors may be of one. Mappings last: they are of files.
        plan.Memory.MakeObjects();
        AttachedSegments.Make(plan.Context);
        CreateFilesHere(plan);
    }

    private static void CreateFilesHere(RestorePlan plan)
    {
        DescriptorTables.Create(plan.Context);
        plan.Memory.OpenFiles();
        DescriptorTables.Link(plan.Context);
    }
}
