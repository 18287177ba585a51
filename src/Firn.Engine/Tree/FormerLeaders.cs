namespace Firn.Engine.Tree;

/// <summary>Processes that have left the group which has their id, while it goes on without them. setpgid(2).</summary>
/// <remarks>
/// Such a group is made by who has its id, and lasts as long as anyone is in it: so its maker may leave once another has joined.
/// </remarks>
internal static class FormerLeaders
{
    /// <summary>Brings them into an order in which each finds the group that it goes to.</summary>
    /// <param name="tasks">All processes that lead no session.</param>
    /// <param name="id">The id of a process.</param>
    /// <param name="group">The group of a process.</param>
    /// <returns>The former leaders; null if they go round in a circle in which no group has another member.</returns>
    public static List<T>? InOrder<T>(IReadOnlyList<T> tasks, Func<T, uint> id, Func<T, uint> group)
        where T : class
    {
        HashSet<uint> groups = [.. tasks.Select(group)];
        List<T> waiting = [.. tasks.Where(task => id(task) != group(task) && groups.Contains(id(task)))];
        HashSet<uint> kept = [.. tasks.Except(waiting).Select(group)];
        List<T> order = [];
        while (waiting.Count > 0)
        {
            T? next = waiting.Find(task => kept.Contains(id(task)));
            if (next is null)
            {
                return null;
            }

            waiting.Remove(next);
            kept.Add(group(next));
            order.Add(next);
        }

        return order;
    }
}
