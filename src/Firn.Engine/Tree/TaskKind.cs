using Firn.Tracing;

namespace Firn.Engine.Tree;

/// <summary>A kind of state of a task or thread: both halves of how it is saved and made again.</summary>
/// <remarks>
/// A half does not run the batch that it is given: it queues its calls there, and reads the results in <see cref="RemoteBatch.Then"/>.
/// All kinds of a thread share one batch, and the batches of all threads of the tree run side by side.
/// </remarks>
internal abstract class TaskKind
{
    // ---- dump

    /// <summary>
    /// Says what of a task would make the dump fail, into <see cref="DumpContext.Problems"/>. Called before anything is written or changed,
    /// also for zombies and by `check --pid`: only /proc and ptrace may be asked.
    /// </summary>
    public virtual void Examine(DumpContext context, DumpedTask task)
    {
    }

    /// <summary>
    /// Saves what a process has once: into its messages, what /proc and ptrace tell; by the batch, what only it can tell.
    /// </summary>
    /// <param name="context">The dump.</param>
    /// <param name="task">The process. Not called for zombies.</param>
    /// <param name="batch">The leader's batch.</param>
    public virtual void DumpTask(DumpContext context, DumpedTask task, RemoteBatch batch)
    {
    }

    /// <summary>Saves what each thread has, the leader included.</summary>
    public virtual void DumpThread(DumpContext context, DumpedThread thread, RemoteBatch batch)
    {
    }

    // ---- restore

    /// <summary>Makes again what a process has once. Memory and descriptors are in place; nothing may tick yet.</summary>
    public virtual void RestoreTask(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
    }

    /// <summary>Makes again what each thread has, the leader included.</summary>
    public virtual void RestoreThread(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
    }

    /// <summary>Queues what starts to tick, or waits to be delivered: timers, pending signals. After all tasks are restored.</summary>
    public virtual void Arm(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
    }

    /// <summary>Takes privileges away: credentials, seccomp. The last calls that a thread makes.</summary>
    public virtual void Seal(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
    }
}
