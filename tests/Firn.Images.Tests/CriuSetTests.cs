namespace Firn.Images.Tests;

public class CriuSetTests
{
    [Fact]
    public void The_sets_are_all_there()
    {
        Assert.Equal(88, CriuSets.Files.Count);
        Assert.Equal(74, CriuSets.Files.Count(file => file.Json is not null));
    }

    [Theory]
    [MemberData(nameof(CriuSets.Names), MemberType = typeof(CriuSets))]
    public void Decoding_and_encoding_gives_the_same_bytes(string name)
    {
        CriuFile file = CriuSets.Get(name);
        if (file.Kind.IsRaw)
        {
            return;
        }

        IReadOnlyList<ImageEntry> entries = ImageFile.Decode(file.Kind, file.Bytes, name);
        Assert.Equal(file.Bytes, ImageFile.Encode(file.Kind, entries));
    }

    [Theory]
    [MemberData(nameof(CriuSets.Names), MemberType = typeof(CriuSets))]
    public void Json_and_back_gives_the_same_bytes(string name)
    {
        CriuFile file = CriuSets.Get(name);
        Assert.Equal(file.Bytes, ImageJson.Encode(ImageJson.Decode(file.Bytes, name)));
    }

    [Theory]
    [MemberData(nameof(CriuSets.Names), MemberType = typeof(CriuSets))]
    public void Json_is_letter_by_letter_that_of_CRIU(string name)
    {
        CriuFile file = CriuSets.Get(name);
        if (file.Json is not null)
        {
            Assert.Equal(file.Json, ImageJson.Decode(file.Bytes, name));
            Assert.Equal(file.Bytes, ImageJson.Encode(file.Json));
        }
    }

    [Theory]
    [MemberData(nameof(CriuSets.Names), MemberType = typeof(CriuSets))]
    public void The_kind_is_known_by_name_and_by_magic(string name)
    {
        CriuFile file = CriuSets.Get(name);
        Assert.True(ImageKind.TryParse(name, out ImageKind? kind, out ulong id));
        Assert.Equal(Path.GetFileName(name), kind.FileName(id));
        if (!kind.IsRaw)
        {
            Assert.Equal(ImageJson.Decode(file.Bytes, name), ImageJson.Decode(file.Bytes, "renamed"));
        }
    }

    [Fact]
    public void Page_maps_are_written_as_CRIU_writes_them()
    {
        foreach (CriuFile file in CriuSets.Files.Where(file => file.Kind == ImageKind.Pagemap || file.Kind == ImageKind.PagemapShmem))
        {
            PageMap map = PageMap.Decode(file.Bytes, file.Name);
            Assert.Equal(file.Bytes, map.Encode());
            string pages = Path.GetDirectoryName(file.Name) + "/" + ImageKind.Pages.FileName(map.PagesId);
            Assert.Equal((ulong)CriuSets.Get(pages).Bytes.Length, map.PresentPages * PageMap.PageSize);
        }
    }

    [Fact]
    public void A_ghost_file_has_its_content_where_the_entry_says()
    {
        CriuFile file = CriuSets.Get("kitchen/ghost-file-1.img");
        ImageEntry entry = Assert.Single(ImageFile.Decode(ImageKind.GhostFile, file.Bytes, file.Name));
        Assert.Equal("ghost"u8.ToArray(), entry.Payload.ToArray());
        Assert.Equal("ghost"u8.ToArray(), file.Bytes[(int)entry.PayloadOffset..]);
        Assert.True(entry.Payload.Span == file.Bytes.AsSpan(^5..), "the payload is a slice and no copy");
    }

    [Fact]
    public void Typed_reading_gives_the_messages()
    {
        CriuFile inventory = CriuSets.Get("kitchen/inventory.img");
        InventoryEntry entry = ImageFile.DecodeOne<InventoryEntry>(ImageKind.Inventory, inventory.Bytes, inventory.Name);
        Assert.Equal(2u, entry.ImgVersion);
        Assert.Equal(Lsmtype.NoLsm, entry.Lsmtype);

        CriuFile tree = CriuSets.Get("kitchen/pstree.img");
        IReadOnlyList<PstreeEntry> tasks = ImageFile.DecodeAll<PstreeEntry>(ImageKind.Pstree, tree.Bytes, tree.Name);
        Assert.Equal([29591u, 29596u], tasks.Select(task => task.Pid));
    }
}
