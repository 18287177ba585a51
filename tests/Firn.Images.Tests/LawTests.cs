using FsCheck;
using FsCheck.Fluent;

namespace Firn.Images.Tests;

public class LawTests
{
    private static readonly ImageKind[] Kinds = [.. ImageKind.All.Where(kind => !kind.IsRaw)];

    [Fact]
    public void Any_image_comes_back_from_its_bytes()
        => Holds((kind, entries) =>
        {
            byte[] bytes = ImageFile.Encode(kind, entries);
            IReadOnlyList<ImageEntry> again = ImageFile.Decode(kind, bytes, kind.FileName());
            return entries.Count == again.Count
                && entries.Zip(again).All(pair => pair.First.Message.Equals(pair.Second.Message)
                    && pair.First.Payload.Span.SequenceEqual(pair.Second.Payload.Span))
                && bytes.AsSpan().SequenceEqual(ImageFile.Encode(kind, again));
        });

    [Fact]
    public void Any_image_comes_back_from_JSON()
        => Holds((kind, entries) =>
        {
            byte[] bytes = ImageFile.Encode(kind, entries);
            return bytes.AsSpan().SequenceEqual(ImageJson.Encode(ImageJson.Decode(bytes, kind.FileName())));
        });

    [Fact]
    public void Any_bytes_come_back_from_a_raw_image()
        => Prop.ForAll<byte[]>(bytes => bytes is null || ImageJson.Encode(ImageJson.Decode(bytes, "pages-7.img")).SequenceEqual(bytes))
            .QuickCheckThrowOnFailure();

    [Fact]
    public void Any_part_of_an_image_is_refused_or_ends_between_two_entries()
        => Holds((kind, entries) =>
        {
            byte[] bytes = ImageFile.Encode(kind, entries);
            for (int length = 0; length < bytes.Length; length += 1 + (length / 8))
            {
                try
                {
                    int count = ImageFile.Decode(kind, bytes.AsMemory(0, length), "cut").Count;
                    Assert.True(count < entries.Count || kind.Payload == PayloadRule.Ghost);
                }
                catch (ImageFormatException problem)
                {
                    Assert.Equal(ImageDiagnostic.Truncated, problem.Identifier);
                    Assert.InRange(problem.Offset, 0, length);
                }
            }

            return true;
        });

    [Fact]
    public void Any_page_map_comes_back_and_finds_its_pages()
    {
        Gen<PageMap> maps = from seed in Gen.Choose(0, int.MaxValue) select RandomMap(new System.Random(seed));
        Prop.ForAll(maps.ToArbitrary(), map =>
        {
            PageMap again = PageMap.Decode(map.Encode(), "pagemap-1.img");
            ulong expected = 0;
            foreach (PageRun run in again.Runs)
            {
                Assert.True(again.TryFind(run.Address, out PageRun first, out ulong page) && first == run && page == expected);
                Assert.True(again.TryFind(run.End - 1, out PageRun last, out page) && last == run && page == expected + run.Pages - 1);
                expected += run.IsPresent ? run.Pages : 0;
            }

            return again.Runs.SequenceEqual(map.Runs) && again.PagesId == map.PagesId && expected == again.PresentPages;
        }).QuickCheckThrowOnFailure();
    }

    private static PageMap RandomMap(System.Random random)
    {
        List<PageRun> runs = [];
        ulong address = 0;
        for (int i = random.Next(30); i > 0; i--)
        {
            address += (ulong)random.Next(1 << 20) * (ulong)random.Next(2) * PageMap.PageSize;
            runs.Add(new PageRun(address, 1 + (ulong)random.Next(5000), (PageFlags)random.Next(8)));
            address = runs[^1].End;
        }

        return new PageMap((uint)random.Next(), runs);
    }

    private static void Holds(Func<ImageKind, List<ImageEntry>, bool> law)
        => Prop.ForAll<int>(seed =>
        {
            foreach (ImageKind kind in Kinds)
            {
                if (!law(kind, new RandomMessages(seed).Entries(kind)))
                {
                    throw new InvalidOperationException($"not so for {kind}, seed {seed}");
                }
            }
        }).QuickCheckThrowOnFailure();
}
