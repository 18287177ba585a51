using Firn.Engine.Checkpointing;
using Firn.Engine.Kinds.Files;
using Firn.Tracing;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Firn.Engine;

/// <summary>The public face of Firn: saves a running tree of processes as images, and brings it back.</summary>
/// <remarks>
/// The work is synchronous and runs whole on one thread made for it, because ptrace(2) belongs to the thread that attached. The methods
/// with
/// <c>Async</c> only keep the caller's thread free meanwhile.
/// </remarks>
public static class Checkpointer
{
    /// <summary>Dumps a tree of processes.</summary>
    /// <param name="options">What to dump, where to, and what to do with the tree afterwards.</param>
    /// <param name="log">Where log lines go.</param>
    /// <param name="progress">Told of phases and bytes; called on the tracer thread while the tree stands still, so it must not
    /// block.</param>
    /// <exception cref="UnsupportedResourceException">The tree holds what can't be saved; nothing was written, and it runs as
    /// before.</exception>
    /// <exception cref="CheckpointException">Something else failed; the tree runs as before, and there is no image set.</exception>
    public static DumpResult Dump(DumpOptions options, ILogger log, IProgress<CheckpointProgress>? progress = null)
        => TracerThread.Run(() => Checkpoint.Run(options, log, progress));

    /// <summary>Restores a tree of processes and returns once it runs.</summary>
    /// <param name="options">Which images, and how.</param>
    /// <param name="log">Where log lines go.</param>
    /// <param name="progress">Told of stages and bytes; called on the tracer thread, so it must not block.</param>
    /// <exception cref="RestoreConflictException">A pid, a path or an address is taken; no process of the tree is left.</exception>
    /// <exception cref="CheckpointException">Something else failed; no process of the tree is left.</exception>
    public static RestoreResult Restore(RestoreOptions options, ILogger log, IProgress<CheckpointProgress>? progress = null)
        => TracerThread.Run(() => Restoring.Restore.Run(options, log, progress));

    /// <summary>Freezes a running tree in its cgroup, until it is thawed. A tree that shares its cgroup gets one of its own for
    /// that.</summary>
    /// <param name="pid">The root of the tree; of no meaning where a cgroup is named.</param>
    /// <param name="cgroup">The cgroup to freeze, whatever is in it; null for that of the tree.</param>
    /// <param name="timeoutSeconds">How long to wait for the tree to stand still.</param>
    /// <param name="log">Where log lines go.</param>
    /// <returns>The directory of the cgroup that is frozen.</returns>
    /// <exception cref="CheckpointException">It can't be frozen, and runs as before.</exception>
    public static string Freeze(int pid, string? cgroup, int timeoutSeconds, ILogger log)
        => Freezing.StillTree.Freeze(pid, cgroup, timeoutSeconds, log);

    /// <summary>Thaws a tree that is frozen in its cgroup.</summary>
    /// <param name="pid">The root of the tree; of no meaning where a cgroup is named.</param>
    /// <param name="cgroup">The cgroup to thaw, whatever is in it; null for those that hold the tree.</param>
    /// <param name="log">Where log lines go.</param>
    /// <returns>The directories of the cgroups that were frozen.</returns>
    /// <exception cref="CheckpointException">It isn't frozen, or can't be thawed.</exception>
    public static IReadOnlyList<string> Thaw(int pid, string? cgroup, ILogger log) => Freezing.StillTree.Thaw(pid, cgroup, log);

    /// <summary>Says everything that would stand in the way of a dump of this tree, all at once and without harm.</summary>
    /// <param name="pid">The root of the tree.</param>
    /// <param name="log">Where log lines go.</param>
    public static IReadOnlyList<Problem> Examine(int pid, ILogger log) => TracerThread.Run(() => Examination.Run(pid, log));

    /// <summary>
    /// Runs as a helper process of a dump, if the arguments of the program say so: Firn executes the program that it is part of anew for
    /// work that has to come to its end even if Firn is killed. Such a program calls this first of all.
    /// </summary>
    /// <param name="arguments">The program's arguments.</param>
    /// <returns>The status to exit with; null if the program is no helper.</returns>
    public static int? RunHelper(string[] arguments)
        => arguments is [TerminalProcess.Verb, _, _] ? TerminalProcess.Run(arguments[1..]) : null;

    /// <summary>Says what this kernel offers of all that a checkpoint or a restore can need.</summary>
    public static IReadOnlyList<KernelFeature> CheckKernel() => [.. KernelFeatures.All.Select(KernelFeatures.Probe)];

    /// <summary>As <see cref="Dump"/>, on another thread. Cancellation is honoured until the work begins.</summary>
    public static Task<DumpResult> DumpAsync(
        DumpOptions options,
        ILogger? log = null,
        IProgress<CheckpointProgress>? progress = null,
        CancellationToken cancellation = default)
        => Task.Run(() => Dump(options, log ?? NullLogger.Instance, progress), cancellation);

    /// <summary>As <see cref="Restore"/>, on another thread. Cancellation is honoured until the work begins.</summary>
    public static Task<RestoreResult> RestoreAsync(
        RestoreOptions options,
        ILogger? log = null,
        IProgress<CheckpointProgress>? progress = null,
        CancellationToken cancellation = default)
        => Task.Run(() => Restore(options, log ?? NullLogger.Instance, progress), cancellation);

    /// <summary>As <see cref="Examine"/>, on another thread. Cancellation is honoured until the work begins.</summary>
    public static Task<IReadOnlyList<Problem>> ExamineAsync(int pid, ILogger? log = null, CancellationToken cancellation = default)
        => Task.Run(() => Examine(pid, log ?? NullLogger.Instance), cancellation);

    /// <summary>As <see cref="CheckKernel"/>, on another thread. Cancellation is honoured until the work begins.</summary>
    public static Task<IReadOnlyList<KernelFeature>> CheckAsync(CancellationToken cancellation = default)
        => Task.Run(CheckKernel, cancellation);
}
