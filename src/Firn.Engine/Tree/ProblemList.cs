namespace Firn.Engine.Tree;

/// <summary>What stands in the way of a dump, collected so that the user learns all of it at once.</summary>
internal sealed class ProblemList
{
    private readonly List<Problem> problems = [];

    /// <summary>All of them.</summary>
    public IReadOnlyList<Problem> All => problems;

    /// <summary>Adds one.</summary>
    /// <inheritdoc cref="Problem(string, int, string, string, string)"/>
    public void Add(string identifier, int pid, string resource, string reason, string remedy)
        => problems.Add(new Problem(identifier, pid, resource, reason, remedy));

    /// <summary>Gives the resources of the problems from an index on another beginning, where they have this one.</summary>
    public void Rename(int from, string beginning, string instead)
    {
        for (int i = from; i < problems.Count; i++)
        {
            if (problems[i].Resource.StartsWith(beginning, StringComparison.Ordinal))
            {
                problems[i] = problems[i] with { Resource = instead + problems[i].Resource[beginning.Length..] };
            }
        }
    }

    /// <summary>Throws if there are any.</summary>
    /// <exception cref="UnsupportedResourceException">There are.</exception>
    public void ThrowIfAny()
    {
        if (problems.Count > 0)
        {
            throw new UnsupportedResourceException([.. problems]);
        }
    }
}
