namespace Firn.Engine.Restoring;

/// <summary>Which descriptor numbers a restore uses for what.</summary>
internal static class DescriptorNumbers
{
    /// <summary>Where the region begins at the lowest: above standard input, output and error.</summary>
    public const int Lowest = 3;

    /// <summary>Finds where the region for Firn's own descriptors begins: above every number that a task uses.</summary>
    /// <param name="used">The numbers of all descriptor tables.</param>
    /// <param name="needed">How many numbers the region needs.</param>
    /// <param name="limit">RLIMIT_NOFILE: no number may reach it.</param>
    /// <param name="lowest">Where it may begin.</param>
    /// <exception cref="CheckpointException">There is no room.</exception>
    public static int FirstOfRegion(IEnumerable<int> used, int needed, long limit, int lowest = Lowest)
    {
        int first = used.Aggregate(lowest, (highest, number) => Math.Max(highest, number + 1));
        return first + (long)needed <= limit
            ? first
            : throw new CheckpointException(
                $"descriptors up to {first - 1} are used, and {needed} more are needed above; but no more than {limit} are allowed; "
                    + "raise the hard limit of open files (ulimit -Hn)");
    }

    /// <summary>The ranges between and above the numbers of a table: what has to be closed once the table is in place.</summary>
    /// <param name="table">The numbers, in any order.</param>
    public static IEnumerable<(uint First, uint Last)> Gaps(IEnumerable<int> table)
    {
        uint next = 0;
        foreach (int number in table.Order())
        {
            if (number > next)
            {
                yield return (next, (uint)number - 1);
            }

            next = (uint)number + 1;
        }

        yield return (next, uint.MaxValue);
    }
}
