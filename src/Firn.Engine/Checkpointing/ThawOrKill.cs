using Firn.Engine.Freezing;
using Firn.Engine.Hooks;

namespace Firn.Engine.Checkpointing;

/// <summary>The fourth phase: the tree runs on, stays stopped, or ends, as asked.</summary>
/// <remarks>
/// Up to here a failure leaves the tree as it was found. What is killed was saved whole, in files that are already written.
/// </remarks>
internal static class ThawOrKill
{
    /// <summary>Ends the freeze.</summary>
    public static void Run(DumpPlan plan, FrozenTree tree, NetworkHold network, DumpedTree dumped)
    {
        bool isKilled = !plan.Options.LeaveRunning && !plan.Options.LeaveStopped;
        if (isKilled || plan.Hooks.IsAny)
        {
            // A tree that is killed must have its images first: post-dump would have no one left to go back to. And hooks take them away.
            dumped.Commit();
            AskHooks(plan, dumped);
        }

        if (isKilled)
        {
            try
            {
                network.Leave(tree);
            }
            catch
            {
                dumped.Recall();
                throw;
            }

            tree.Kill();
            dumped.CommitLast();
        }
        else
        {
            network.LetGo();
            tree.Thaw(plan.Options.LeaveStopped);
        }
    }

    private static void AskHooks(DumpPlan plan, DumpedTree dumped)
    {
        try
        {
            plan.Hooks.Call(HookNames.PostDump);
        }
        catch
        {
            dumped.Recall();
            throw;
        }
    }
}
