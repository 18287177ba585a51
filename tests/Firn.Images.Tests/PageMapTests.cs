namespace Firn.Images.Tests;

public class PageMapTests
{
    [Fact]
    public void Older_maps_are_read_by_their_own_rules()
    {
        byte[] bytes = ImageFile.Encode(
            ImageKind.Pagemap,
            [
                new ImageEntry(new PagemapHead { PagesId = 3 }),
                new ImageEntry(new PagemapEntry { Vaddr = 0x1000, CompatNrPages = 2 }),
                new ImageEntry(new PagemapEntry { Vaddr = 0x3000, CompatNrPages = 1, InParent = true }),
                new ImageEntry(new PagemapEntry { Vaddr = 0x8000, CompatNrPages = 0, NrPages = 5, Flags = 6, InParent = true }),
            ]);
        PageMap map = PageMap.Decode(bytes, "pagemap-1.img");
        Assert.Equal(3u, map.PagesId);
        Assert.Equal(7ul, map.PresentPages);
        Assert.Equal(
            [
                new PageRun(0x1000, 2, PageFlags.Present),
                new PageRun(0x3000, 1, PageFlags.Parent),
                new PageRun(0x8000, 5, PageFlags.Lazy | PageFlags.Present),
            ],
            map.Runs);
        Assert.True(map.TryFind(0x9fff, out _, out ulong page));
        Assert.Equal(3ul, page);
        Assert.False(map.TryFind(0x4000, out _, out _));
        Assert.False(map.TryFind(0xd000, out _, out _));
        Assert.False(map.TryFind(0, out _, out _));
    }

    [Theory]
    [InlineData(0x1000, 0)]
    [InlineData(0x1001, 1)]
    [InlineData(0x1000, 1L << 52)]
    [InlineData(0x7ffffffffffff000, 2)]
    [InlineData(-4096, 1)]
    public void A_run_that_cannot_be_is_refused(long address, long pages)
        => ImageFileTests.Fails(
            ImageDiagnostic.BadPageMap, () => new PageMap(1, [new PageRun((ulong)address, (ulong)pages, PageFlags.Present)]));

    [Fact]
    public void Runs_ascend_and_do_not_overlap()
    {
        var first = new PageRun(0x1000, 2, PageFlags.Present);
        Assert.Equal(3ul, new PageMap(1, [first, new PageRun(0x3000, 1, PageFlags.Present)]).PresentPages);
        ImageFileTests.Fails(ImageDiagnostic.BadPageMap, () => new PageMap(1, [first, new PageRun(0x2000, 1, PageFlags.Present)]));
        ImageFileTests.Fails(ImageDiagnostic.BadPageMap, () => new PageMap(1, [first, new PageRun(0, 1, PageFlags.Present)]));
    }

    [Fact]
    public void A_run_with_fields_of_a_newer_version_is_refused()
    {
        byte[] head = ImageFile.Encode(ImageKind.Pagemap, new PagemapHead { PagesId = 1 });
        byte[] bytes = [.. head, 9, 0, 0, 0, 0x08, 0, 0x10, 0, 0x28, 1, 0x3a, 1, 7];
        Assert.Equal(2, ImageFile.Decode(ImageKind.Pagemap, bytes, "it").Count);
        ImageFileTests.Fails(ImageDiagnostic.BadPageMap, () => PageMap.Decode(bytes, "it"));
    }
}
