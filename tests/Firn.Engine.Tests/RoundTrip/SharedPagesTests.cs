using System.Globalization;
using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Pages that processes have alike are written once: shown by the sizes. That each comes back whole, KindTests show.</summary>
public sealed class SharedPagesTests
{
    private const int PageSize = 4096;

    // In tests/Targets/mem_siblings.c.
    private const int Children = 4;
    private const int AlikePages = 8;

    [Fact]
    public void Pages_that_siblings_have_alike_are_written_for_the_first_only()
    {
        using var space = new PidNamespace();
        string work = space.MakeDirectory("work");
        string images = space.MakeDirectory("images");
        int pid = space.Start([Programs.Target("mem_siblings"), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "mem_siblings is ready");
        space.FirnMust("dump", "-t", pid.ToString(CultureInfo.InvariantCulture), "-D", images);
        long[] sizes = [.. Directory.GetFiles(images, "pages-*.img").Select(file => new FileInfo(file).Length).Order()];
        Assert.Equal(Children + 1, sizes.Length);
        Assert.All(sizes[..(Children - 1)], size => Assert.InRange(size, 1, (AlikePages * PageSize) - 1));
    }
}
