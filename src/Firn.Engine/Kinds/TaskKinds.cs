using Firn.Engine.Kinds.Cgroups;
using Firn.Engine.Kinds.Events;
using Firn.Engine.Kinds.Files;
using Firn.Engine.Kinds.Tasks;
using Firn.Engine.Tree;

namespace Firn.Engine.Kinds;

/// <summary>The list of kinds of task state.</summary>
internal static class TaskKinds
{
    /// <summary>All kinds, in the order in which they act.</summary>
    /// <remarks>
    /// The order is bound where it says so: limits, scheduling and filters before the credentials that they need, and what a change of
    /// credentials takes away after them; pending signals after the timers whose signals they may be.
    /// </remarks>
    public static IReadOnlyList<TaskKind> All { get; } =
    [
        new CgroupPlaces(),
        new TaskStates(),
        new WorkingDirectory(),
        new Registers(),
        new ThreadPersonality(),
        new ProcessAttributes(),
        new Membarriers(),
        new IoUringSubmitters(),
        new SignalActions(),
        new SignalMasks(),
        new AlternateStack(),
        new IntervalTimers(),
        new PosixTimers(),
        new PendingSignals(),
        new Limits(),
        new Scheduling(),
        new ThreadMemoryPolicy(),
        new ThreadControls(),
        new Seccomp(),
        new Credentials(),
        new MemoryAttributes(),
        new ThreadIdentity(),
    ];
}
