using Firn.Engine.Memory;
using Firn.Images;

namespace Firn.Engine.Tests.Memory;

/// <summary>Pages are found through the chain of parent sets, and every file is verified.</summary>
public sealed class PageSourcesTests : IDisposable
{
    private readonly string directory = Directory.CreateTempSubdirectory("firn-pages-").FullName;

    [Fact]
    public void Pages_shared_over_three_generations_are_found_where_they_were_written()
    {
        Write(1, 10, [new(0x1000, 4, PageFlags.Present)]);
        Write(2, 11, [new(0x1000, 2, PageFlags.Parent), new(0x3000, 1, PageFlags.Present), new(0x4000, 1, PageFlags.Parent)]);
        Write(3, 12, [new(0x1000, 4, PageFlags.Parent), new(0x9000, 1, PageFlags.Present)]);
        Directory.CreateDirectory(In("shared-pages-1"));
        Directory.CreateDirectory(In("shared-pages-2"));
        Link("parent", "shared-pages-1");
        Link("shared-pages-1/parent", "../shared-pages-2");
        Link("shared-pages-1/pagemap-11.img", "../pagemap-10.img");
        Link("shared-pages-1/pagemap-12.img", "../pagemap-11.img");
        Link("shared-pages-2/pagemap-12.img", "../pagemap-10.img");
        foreach (string file in (string[])["shared-pages-1/pages-1.img", "shared-pages-1/pages-2.img", "shared-pages-2/pages-1.img"])
        {
            Link(file, $"../{Path.GetFileName(file)}");
        }

        using var sources = new PageSources(directory);
        List<SourceRun> root = sources.Resolve(ImageKind.Pagemap, 10);
        List<SourceRun> child = sources.Resolve(ImageKind.Pagemap, 11);
        List<SourceRun> grandchild = sources.Resolve(ImageKind.Pagemap, 12);
        PagesSource first = Assert.Single(root).File;
        Assert.Equal([(0x1000UL, 0L), (0x3000UL, 0L), (0x4000UL, 0x3000L)], child.Select(run => (run.Start, run.Offset)));
        Assert.Equal([first, child[1].File, first], child.Select(run => run.File));
        Assert.Equal([first, child[1].File, first], grandchild.Take(3).Select(run => run.File));
        Assert.Equal((0x9000UL, 0L), (grandchild[3].Start, grandchild[3].Offset));
        Assert.Equal(3, sources.Files.Count());
    }

    [Fact]
    public void What_is_missing_is_named()
    {
        using var sources = new PageSources(directory);
        Assert.Equal("pagemap-7.img", Assert.Throws<ImageFormatException>(() => sources.Resolve(ImageKind.Pagemap, 7)).File);

        Write(1, 8, [new(0x1000, 1, PageFlags.Parent)]);
        Assert.Contains(
            "parent", Assert.Throws<ImageFormatException>(() => sources.Resolve(ImageKind.Pagemap, 8)).Message, StringComparison.Ordinal);

        Write(2, 9, [new(0x1000, 4, PageFlags.Present)]);
        File.WriteAllBytes(In("pages-2.img"), new byte[0x3000]);
        Assert.Equal("pages-2.img", Assert.Throws<ImageFormatException>(() => sources.Resolve(ImageKind.Pagemap, 9)).File);

        Write(3, 6, [new(0x1000, 1, PageFlags.Lazy)]);
        Assert.Contains(
            "lazy", Assert.Throws<ImageFormatException>(() => sources.Resolve(ImageKind.Pagemap, 6)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_set_that_is_its_own_parent_is_refused()
    {
        Link("parent", ".");
        Write(1, 5, [new(0x1000, 1, PageFlags.Parent)]);
        using var sources = new PageSources(directory);
        Assert.Throws<ImageFormatException>(() => sources.Resolve(ImageKind.Pagemap, 5));
    }

    public void Dispose() => Directory.Delete(directory, recursive: true);

    private string In(string name) => Path.Combine(directory, name);

    private void Link(string name, string target) => File.CreateSymbolicLink(In(name), target);

    private void Write(uint pagesId, ulong pid, PageRun[] runs)
    {
        var map = new PageMap(pagesId, runs);
        File.WriteAllBytes(In($"pagemap-{pid}.img"), map.Encode());
        File.WriteAllBytes(In($"pages-{pagesId}.img"), new byte[(int)map.PresentPages * PageMap.PageSize]);
    }
}
