using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>A tracee is gone that was being worked on.</summary>
/// <param name="tid">Its id, as this process's pid namespace sees it.</param>
/// <param name="fate">What became of it.</param>
public sealed class TraceeLostException(int tid, string fate) : Exception($"task {tid} is gone: {fate}")
{
    /// <summary>The id of the task that is gone.</summary>
    public int Tid { get; } = tid;
}

/// <summary>A task can't be worked on just now, or not at all, and was let go unharmed.</summary>
/// <param name="tid">Its id.</param>
/// <param name="reason">Why, and what would help.</param>
public sealed class TraceeBusyException(int tid, string reason) : Exception($"task {tid}: {reason}")
{
    /// <summary>The task's id.</summary>
    public int Tid { get; } = tid;
}

/// <summary>A system call that a tracee was made to make failed.</summary>
/// <param name="tid">The task that made it.</param>
/// <param name="call">The call with its arguments.</param>
/// <param name="errno">The kernel's error number.</param>
/// <param name="purpose">What the batch was for.</param>
public sealed class RemoteCallException(int tid, string call, Errno errno, string purpose)
    : Exception($"task {tid}, {purpose}: {call}: {errno} ({ErrnoText.Describe(errno)})")
{
    /// <summary>The task that made the call.</summary>
    public int Tid { get; } = tid;

    /// <summary>The call with its arguments.</summary>
    public string Call { get; } = call;

    /// <summary>The kernel's error number.</summary>
    public Errno Errno { get; } = errno;
}
