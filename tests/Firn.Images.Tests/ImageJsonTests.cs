using Google.Protobuf;

namespace Firn.Images.Tests;

public class ImageJsonTests
{
    [Theory]
    [InlineData("127.0.0.1", 0x0100007fu)]
    [InlineData("::", 0u, 0u, 0u, 0u)]
    [InlineData("::1", 0u, 0u, 0u, 0x01000000u)]
    [InlineData("::ffff:a00:1", 0u, 0u, 0xffff0000u, 0x0100000au)]
    [InlineData("2001:db8::1:0:0:1", 0xb80d0120u, 0u, 0x00000100u, 0x01000000u)]
    [InlineData("1:0:2:0:3:0:4:0", 0x00000100u, 0x00000200u, 0x00000300u, 0x00000400u)]
    public void Internet_addresses_are_shown_in_short_form(string text, params uint[] words)
    {
        Assert.Equal(text, FieldText.Address(words));
        Assert.True(FieldText.TryParseAddress(text, out uint[] again));
        Assert.Equal(words, again);
    }

    [Theory]
    [InlineData(0x00800003u, false, "8:3")]
    [InlineData(0x803u, true, "8:3")]
    [InlineData(0xfff0_0fffu, true, "15:1048575")]
    public void Devices_are_shown_as_major_and_minor(uint value, bool old, string text)
    {
        Assert.Equal(text, FieldText.Device(value, old));
        Assert.True(FieldText.TryParseDevice(text, old, out ulong again));
        Assert.Equal(value, again);
    }

    [Theory]
    [InlineData("\0abstract=", "=00abstract=3D")]
    [InlineData(".", "=2E")]
    [InlineData("end ", "end=20")]
    [InlineData("a b\n", "a b=0A")]
    [InlineData("", "")]
    public void Names_of_Unix_sockets_are_quoted(string name, string quoted)
    {
        byte[] bytes = System.Text.Encoding.Latin1.GetBytes(name);
        Assert.Equal(quoted, FieldText.Quoted(bytes));
        Assert.True(FieldText.TryParseQuoted(quoted, out ReadOnlyMemory<byte> again));
        Assert.Equal(bytes, again.ToArray());
    }

    [Fact]
    public void Long_lines_are_broken_as_MIME_has_it()
    {
        string quoted = FieldText.Quoted(System.Text.Encoding.ASCII.GetBytes(new string('a', 100)));
        Assert.Equal(new string('a', 75) + "=\n" + new string('a', 25), quoted);
        string base64 = FieldText.Base64(new byte[58]);
        Assert.Equal(new string('A', 76) + "\nAA==\n", base64);
    }

    [Fact]
    public void Bits_without_a_name_are_shown_as_a_number()
    {
        (string, ulong)[] table = DisplayTables.Flags("mmap.prot");
        Assert.Equal("", FieldText.Flags(0, table));
        Assert.Equal("PROT_READ | PROT_EXEC | 0xff0", FieldText.Flags(0xff5, table));
        Assert.True(FieldText.TryParseFlags("PROT_EXEC|0xff0 | PROT_READ", table, out ulong value));
        Assert.Equal(0xff5ul, value);
        Assert.False(FieldText.TryParseFlags("PROT_NONSENSE", table, out _));
    }

    [Fact]
    public void Numbers_are_accepted_wherever_names_are_shown()
    {
        const string json = """
            {"magic": "FS", "entries": [{"cwd_id": "0x10", "root_id": 2, "umask": "18"}]}
            """;
        FsEntry entry = ImageFile.DecodeOne<FsEntry>(ImageKind.Fs, ImageJson.Encode(json), "fs-1.img");
        Assert.Equal(new FsEntry { CwdId = 16, RootId = 2, Umask = 18 }, entry);
    }

    [Fact]
    public void A_connection_shows_its_two_queues()
    {
        var stream = new TcpStreamEntry
        {
            InqLen = 2,
            InqSeq = 1,
            OutqLen = 3,
            OutqSeq = 1,
            OptMask = 0,
            SndWscale = 0,
            MssClamp = 0,
        };
        byte[] bytes = ImageFile.Encode(ImageKind.TcpStream, [new ImageEntry(stream, "inout"u8.ToArray())]);
        string json = ImageJson.Decode(bytes, "tcp-stream-1.img");
        Assert.Contains("\"inq\": \"aW4=\\n\"", json, StringComparison.Ordinal);
        Assert.Contains("\"outq\": \"b3V0\\n\"", json, StringComparison.Ordinal);
        Assert.Equal(bytes, ImageJson.Encode(json));
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{\"magic\": \"FS\"}")]
    [InlineData("{\"magic\": \"NO\", \"entries\": []}")]
    [InlineData("{\"magic\": \"\\ud800\", \"entries\": []}")]
    [InlineData("{\"magic\": \"FS\", \"entries\": [{\"\\ud800\": 1}]}")]
    [InlineData("{\"magic\": \"FS\", \"entries\": [7]}")]
    [InlineData("{\"magic\": \"FS\", \"entries\": [{\"cwd_id\": 4294967296, \"root_id\": 1}]}")]
    [InlineData("{\"magic\": \"FS\", \"entries\": [{\"cwd_id\": 1.5, \"root_id\": 1}]}")]
    [InlineData("{\"magic\": \"FS\", \"entries\": [{\"cwd_id\": 1, \"root_id\": 1, \"nonsense\": 1}]}")]
    [InlineData("{\"magic\": \"FS\", \"entries\": [{\"cwd_id\": 1, \"root_id\": 1, \"__unknown\": \"Dw==\"}]}")]
    [InlineData("{\"magic\": \"UTSNS\", \"entries\": [{\"nodename\": \"\\udc00\", \"domainname\": \"\"}]}")]
    [InlineData("{\"magic\": \"PAGES\", \"entries\": [{\"extra\": \"?\"}]}")]
    [InlineData("\ud800")]
    public void JSON_that_is_no_image_is_refused(string json)
        => ImageFileTests.Fails(ImageDiagnostic.BadJson, () => ImageJson.Encode(json));

    [Fact]
    public void A_file_that_is_no_image_is_refused()
        => ImageFileTests.Fails(ImageDiagnostic.WrongKind, () => ImageJson.Decode("not an image"u8.ToArray(), "notes.txt"));

    [Fact]
    public void Deep_control_groups_fit_into_JSON()
    {
        var dir = new CgroupDirEntry { DirName = "leaf" };
        for (int i = 0; i < 90; i++)
        {
            dir = new CgroupDirEntry { DirName = "d", Children = { dir } };
        }

        byte[] bytes = ImageFile.Encode(
            ImageKind.Cgroup, new CgroupEntry { Controllers = { new CgControllerEntry { Dirs = { dir } } } });
        Assert.Equal(bytes, ImageJson.Encode(ImageJson.Decode(bytes, "cgroup.img")));
    }

    [Fact]
    public void An_enum_value_from_the_future_is_kept_as_a_number()
    {
        byte[] bytes = ImageFile.Encode(ImageKind.Files, new FileEntry { Type = (FdTypes)77, Id = 1 });
        Assert.Equal(bytes, ImageJson.Encode(ImageJson.Decode(bytes, "files.img")));
        Assert.Equal(77, (int)ImageFile.DecodeOne<FileEntry>(ImageKind.Files, bytes, "files.img").Type);
        Assert.Equal(bytes.Length, ImageFile.Encode(ImageKind.Files, ImageFile.DecodeOne<IMessage>(ImageKind.Files, bytes, "it")).Length);
    }
}
