using Firn.Engine.Tree;

namespace Firn.Engine.Checkpointing;

/// <summary>The fourth phase: the tree runs on, stays stopped, or ends, as asked.</summary>
/// <remarks>
/// Up to here a failure leaves the tree as it was found. What is killed was saved whole, in files that are already written.
/// </remarks>
internal static class ThawOrKill
{
    /// <summary>Ends the freeze.</summary>
    public static void Run(DumpPlan plan, FrozenTree tree, DumpedTree dumped)
    {
        if (plan.Options.LeaveRunning || plan.Options.LeaveStopped)
        {
            tree.Thaw(plan.Options.LeaveStopped);
            return;
        }

        // A tree that is killed must have its images first: post-dump would have no one left to go back to.
        dumped.Commit();
        tree.Kill();
    }
}
