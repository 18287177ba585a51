using System.Globalization;
using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Huge pages of hugetlbfs. The kernel is asked for some, and has them back at the end.</summary>
[Collection(AloneCollection.Name)]
public sealed class HugePagesTests : IDisposable
{
    private const string Count = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    private const int Wanted = 40;

    private readonly int before;

    public HugePagesTests()
    {
        before = File.Exists(Count) ? Now : throw Programs.Skipped("the kernel has no huge pages of 2 MiB");
        try
        {
            Set(before + Wanted);
        }
        catch (UnauthorizedAccessException)
        {
            throw Programs.Skipped($"{Count} can't be written");
        }

        if (Now < before + Wanted)
        {
            Set(before);
            throw Programs.Skipped($"the kernel does not give {Wanted} huge pages");
        }
    }

    private static int Now => int.Parse(File.ReadAllText(Count), CultureInfo.InvariantCulture);

    [Fact]
    public void Memory_of_huge_pages_is_whole_after_dump_kill_and_restore()
    {
        using var space = new PidNamespace();
        string mounted = space.MakeDirectory("huge");
        Assert.Equal(0, space.Run("mount", "-t", "hugetlbfs", "none", mounted).Status);
        var target = new TargetRun(space, "huge_pages", mounted);
        string images = target.Dump(3);
        space.FirnMust("restore", "-D", images, "-d");
        target.CheckItself();
    }

    [Fact]
    public void Too_few_huge_pages_are_said_to_be_so_and_nothing_is_left()
    {
        using var space = new PidNamespace();
        var target = new TargetRun(space, "huge_pages");
        string images = target.Dump(0);
        Set(before + 1);
        Outcome outcome = space.Firn("restore", "-D", images, "-d");
        Assert.Equal(1, outcome.Status);
        Assert.Contains("huge pages of 2048 kB", outcome.Error, StringComparison.Ordinal);
        Assert.Empty(space.Pids);
        Set(before + Wanted);
        space.FirnMust("restore", "-D", images, "-d");
        target.CheckItself();
    }

    public void Dispose() => Set(before);

    private static void Set(int count) => File.WriteAllText(Count, count.ToString(CultureInfo.InvariantCulture));
}
