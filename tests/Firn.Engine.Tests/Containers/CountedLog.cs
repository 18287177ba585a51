using Firn.Engine.Tests.RoundTrip;
using Xunit;

namespace Firn.Engine.Tests.Containers;

/// <summary>What a container says that counts: a number left out or told twice is one lost by a checkpoint.</summary>
/// <param name="read">All that it said so far.</param>
/// <param name="first">The number that it begins with.</param>
internal sealed class CountedLog(Func<string> read, int first = 0)
{
    /// <summary>A program for a shell: counts, and says so to its output or a file.</summary>
    public static string Script(string to) => $"i=0; while true; do echo $i {to}; i=$((i+1)); sleep 0.01; done";

    /// <summary>How many numbers there are.</summary>
    public int Length => Lines.Length;

    private string[] Lines => read().Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>Waits until it says more than it did, and looks whether all is there.</summary>
    public void MustGoOn() => MustReach(Length + 4);

    /// <summary>Waits until it has said so many numbers, and looks whether all is there.</summary>
    public void MustReach(int length)
    {
        PidNamespace.Until(() => Length >= length, $"it counts on to {length}");
        string[] lines = Lines;
        Assert.Equal(Enumerable.Range(first, lines.Length).Select(number => $"{number}"), lines);
    }

    /// <summary>Sees that it says nothing any more.</summary>
    public void MustStandStill()
    {
        int before = Length;
        Thread.Sleep(100);
        Assert.Equal(before, Length);
    }
}
