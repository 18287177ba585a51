using Firn.Images;

namespace Firn.Engine.Tree;

/// <summary>The parts of a core that task kinds fill together: whoever comes first makes them.</summary>
internal static class CoreMessages
{
    /// <summary>What the process has once, in the leader's core.</summary>
    public static TaskCoreEntry TaskCore(this DumpedTask task) => task.Core.Tc ??= new TaskCoreEntry();

    /// <summary>What the thread has besides its registers.</summary>
    public static ThreadCoreEntry ThreadCore(this DumpedThread thread) => thread.Core.ThreadCore ??= new ThreadCoreEntry();

    /// <summary>Whether this is the thread-group leader.</summary>
    public static bool IsLeader(this DumpedThread thread) => thread == thread.Task.Leader && thread.Task.DeadLeader is null;

    /// <summary>Whether this is the thread-group leader.</summary>
    public static bool IsLeader(this RestoredThread thread) => thread == thread.Task.Leader;
}
