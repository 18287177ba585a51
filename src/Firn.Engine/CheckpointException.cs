using Firn.Linux.Abi;

namespace Firn.Engine;

/// <summary>A checkpoint or restart failed. Each kind says what the caller can do next, and what is guaranteed.</summary>
public class CheckpointException : Exception
{
    /// <summary>Makes an exception whose message says what, who, why, and what to try.</summary>
    public CheckpointException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }

    /// <summary>The phase or stage in which it failed, in lower case, as `freeze` or `forking`.</summary>
    public string Phase { get; init; } = string.Empty;

    /// <summary>The task concerned, or 0.</summary>
    public int Pid { get; init; }

    /// <summary>The kernel's error number, where there is one.</summary>
    public Errno Errno { get; init; }
}

/// <summary>The tree holds what can't be saved. It runs as before: nothing was written and nothing changed.</summary>
public sealed class UnsupportedResourceException(IReadOnlyList<Problem> problems)
    : CheckpointException(string.Join(Environment.NewLine, problems))
{
    /// <summary>All that stands in the way, at once.</summary>
    public IReadOnlyList<Problem> Problems { get; } = problems;
}

/// <summary>A restore met something that is already there: a pid, a path, an address. No process of the tree is left.</summary>
public sealed class RestoreConflictException(string message) : CheckpointException(message);

/// <summary>One thing that stands in the way of a dump.</summary>
/// <param name="Identifier">A stable name of the kind of problem, as `tcp-established`: the row in docs/errors.md.</param>
/// <param name="Pid">The task that holds it.</param>
/// <param name="Resource">What it is, as `fd 7: TCP connection to 10.0.0.4:443`.</param>
/// <param name="Reason">Why it can't be saved.</param>
/// <param name="Remedy">What the user can do.</param>
public sealed record Problem(string Identifier, int Pid, string Resource, string Reason, string Remedy)
{
    /// <inheritdoc/>
    public override string ToString() => $"pid {Pid} {Resource}: {Reason}; {Remedy} [{Identifier}]";
}
