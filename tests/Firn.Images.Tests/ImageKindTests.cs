using Google.Protobuf.Reflection;

namespace Firn.Images.Tests;

public class ImageKindTests
{
    [Fact]
    public void Every_file_name_tells_its_kind_and_id()
    {
        foreach (ImageKind kind in ImageKind.All)
        {
            foreach (ulong id in new ulong[] { 0, 7, 4711, 0xdeadbeef })
            {
                Assert.True(ImageKind.TryParse("/some/where/" + kind.FileName(id), out ImageKind? found, out ulong foundId));
                Assert.Same(kind, found);
                Assert.Equal(kind.HasId ? id : 0, foundId);
            }
        }
    }

    [Fact]
    public void Ghosts_and_connections_have_hexadecimal_names()
    {
        Assert.Equal("ghost-file-1f.img", ImageKind.GhostFile.FileName(31));
        Assert.Equal("tcp-stream-ab.img", ImageKind.TcpStream.FileName(0xab));
        Assert.Equal("core-31.img", ImageKind.Core.FileName(31));
        Assert.Equal("stats-dump", ImageKind.StatsDump.FileName());
    }

    [Theory]
    [InlineData("parent")]
    [InlineData("dump.log")]
    [InlineData("core-.img")]
    [InlineData("core-x.img")]
    [InlineData("core-1.img.bak")]
    [InlineData("pagemap-shmem-.img")]
    [InlineData("")]
    public void Other_files_are_no_images(string name) => Assert.False(ImageKind.TryParse(name, out _, out _));

    [Fact]
    public void A_magic_stands_for_one_name()
    {
        foreach (IGrouping<uint, ImageKind> kinds in ImageKind.All.Where(kind => !kind.IsRaw).GroupBy(kind => kind.Magic))
        {
            Assert.Single(kinds.Select(kind => kind.Name).Distinct());
            Assert.Same(kinds.First(), ImageKind.ByMagic(kinds.Key));
            Assert.Same(kinds.First(), ImageKind.ByName(kinds.First().Name));
        }

        Assert.Null(ImageKind.ByMagic(0));
        Assert.Null(ImageKind.ByName("NOTHING"));
    }

    [Fact]
    public void The_shapes_know_the_required_fields_of_the_descriptors()
    {
        var seen = new HashSet<string>();
        foreach (ImageMessage type in ImageKind.All.SelectMany(kind => kind.Messages.ToArray()))
        {
            Compare(type.Create().Descriptor, type.Shape, seen);
        }

        Assert.Contains(nameof(UserRiscv64RegsEntry), seen);
    }

    private static void Compare(MessageDescriptor descriptor, WireShape? shape, HashSet<string> seen)
    {
        if (!seen.Add(descriptor.Name))
        {
            return;
        }

        Dictionary<int, WireShape> nested = [];
        foreach ((int number, WireShape inner) in shape is null ? [] : shape.Nested)
        {
            nested.Add(number, inner);
        }

        ulong required = 0;
        foreach (FieldDescriptor field in descriptor.Fields.InFieldNumberOrder())
        {
            required |= field.IsRequired ? 1UL << field.FieldNumber : 0;
            if (field.FieldType == FieldType.Message)
            {
                Compare(field.MessageType, nested.GetValueOrDefault(field.FieldNumber), seen);
                nested.Remove(field.FieldNumber);
            }
        }

        Assert.Equal(required, shape?.Required ?? 0);
        Assert.Empty(nested);
    }
}
