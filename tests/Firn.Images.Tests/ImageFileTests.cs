using System.Buffers.Binary;
using Google.Protobuf;

namespace Firn.Images.Tests;

public class ImageFileTests
{
    private static readonly PstreeEntry Task = new() { Pid = 1, Ppid = 0, Pgid = 1, Sid = 1, Threads = { 1, 300 } };

    [Fact]
    public void An_image_is_two_magic_numbers_and_entries()
    {
        byte[] expected =
        [
            0x19, 0x43, 0x56, 0x54, 0x30, 0x30, 0x27, 0x50, 13, 0, 0, 0, 0x08, 1, 0x10, 0, 0x18, 1, 0x20, 1, 0x28, 1, 0x28, 0xac, 0x02,
        ];
        Assert.Equal(expected, ImageFile.Encode(ImageKind.Pstree, Task));
    }

    [Fact]
    public void Images_without_the_common_magic_are_read_too()
    {
        byte[] bytes = ImageFile.Encode(ImageKind.Pstree, Task)[4..];
        Assert.Equal(Task, ImageFile.DecodeOne<PstreeEntry>(ImageKind.Pstree, bytes, "pstree.img"));
    }

    [Fact]
    public void A_file_of_another_kind_is_named()
    {
        byte[] bytes = ImageFile.Encode(ImageKind.Pstree, Task);
        ImageFormatException problem = Fails(ImageDiagnostic.WrongMagic, () => ImageFile.Decode(ImageKind.Files, bytes, "files.img"));
        Assert.Equal(4, problem.Offset);
        Assert.Contains("pstree.img", problem.Message, StringComparison.Ordinal);
        Assert.Equal("files.img", problem.File);
    }

    [Fact]
    public void A_size_beyond_the_limit_is_refused()
    {
        byte[] bytes = ImageFile.Encode(ImageKind.Pstree, Task);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), ImageLimits.MaxMessageBytes + 1u);
        Assert.Equal(8, Fails(ImageDiagnostic.TooLarge, () => ImageFile.Decode(ImageKind.Pstree, bytes, "it")).Offset);
    }

    [Fact]
    public void A_missing_field_is_named_on_reading_and_on_writing()
    {
        byte[] bytes = [.. ImageFile.Encode<PstreeEntry>(ImageKind.Pstree), 2, 0, 0, 0, 0x08, 1];
        ImageFormatException problem = Fails(ImageDiagnostic.MissingField, () => ImageFile.Decode(ImageKind.Pstree, bytes, "it"));
        Assert.Contains("field ppid", problem.Message, StringComparison.Ordinal);

        var counter = new EventfdFileEntry { Id = 1, Flags = 0, Counter = 0, Fown = new FownEntry() };
        var file = new FileEntry { Type = FdTypes.Eventfd, Id = 1, Efd = counter };
        problem = Fails(ImageDiagnostic.MissingField, () => ImageFile.Encode(ImageKind.Files, file));
        Assert.Contains("field efd.fown.uid", problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new byte[] { 0x0f })]
    [InlineData(new byte[] { 0x0a, 0x7f })]
    [InlineData(new byte[] { 0x08 })]
    [InlineData(new byte[] { 0x0c })]
    [InlineData(new byte[] { 0x00 })]
    public void Bytes_that_are_no_protobuf_are_refused(byte[] message)
    {
        byte[] bytes = [.. ImageFile.Encode<PstreeEntry>(ImageKind.Pstree), (byte)message.Length, 0, 0, 0, .. message];
        Assert.Equal(12, Fails(ImageDiagnostic.BadMessage, () => ImageFile.Decode(ImageKind.Pstree, bytes, "it")).Offset);
    }

    [Fact]
    public void Text_that_is_not_UTF8_is_refused()
    {
        byte[] bytes = ImageFile.Encode(ImageKind.Utsns, new UtsnsEntry { Nodename = "host", Domainname = "" });
        bytes[^5] = 0xff;
        Fails(ImageDiagnostic.BadMessage, () => ImageFile.Decode(ImageKind.Utsns, bytes, "it"));
    }

    [Fact]
    public void Nesting_without_end_is_refused()
    {
        byte[] message = [];
        for (int i = 0; i < 5000; i++)
        {
            using var buffer = new MemoryStream();
            using (var output = new CodedOutputStream(buffer, leaveOpen: true))
            {
                output.WriteRawTag(0x12);
                output.WriteBytes(ByteString.CopyFrom(message));
            }

            message = buffer.ToArray();
        }

        byte[] bytes = [0x19, 0x43, 0x56, 0x54, 0x30, 0x33, 0x38, 0x59, 0, 0, 0, 0, .. message];
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), message.Length);
        Fails(ImageDiagnostic.BadMessage, () => ImageFile.Decode(ImageKind.Cgroup, bytes, "it"));
    }

    [Fact]
    public void A_single_image_has_exactly_one_entry()
    {
        var entry = new FsEntry { CwdId = 1, RootId = 2 };
        byte[] bytes = ImageFile.Encode(ImageKind.Fs, entry);
        Fails(ImageDiagnostic.TrailingBytes, () => ImageFile.DecodeOne<FsEntry>(ImageKind.Fs, (byte[])[.. bytes, 0], "it"));
        Fails(ImageDiagnostic.Truncated, () => ImageFile.DecodeOne<FsEntry>(ImageKind.Fs, bytes.AsMemory(0, 8), "it"));
        Fails(ImageDiagnostic.TrailingBytes, () => ImageFile.Encode(ImageKind.Fs, entry, entry));
        Fails(ImageDiagnostic.Truncated, () => ImageFile.Encode<FsEntry>(ImageKind.Fs));
        Fails(ImageDiagnostic.WrongKind, () => ImageFile.DecodeOne<MmEntry>(ImageKind.Fs, bytes, "it"));
        Fails(ImageDiagnostic.WrongKind, () => ImageFile.DecodeAll<MmEntry>(ImageKind.Fs, bytes, "it"));
        Fails(ImageDiagnostic.WrongKind, () => ImageFile.Encode(ImageKind.Fs, Task));
        Fails(ImageDiagnostic.WrongKind, () => ImageFile.Decode(ImageKind.Pages, bytes, "it"));
    }

    [Fact]
    public void A_payload_has_the_length_that_its_message_says()
    {
        var pipe = new PipeDataEntry { PipeId = 1, Bytes = 3 };
        byte[] bytes = ImageFile.Encode(ImageKind.PipesData, [new ImageEntry(pipe, "abc"u8.ToArray())]);
        Assert.Equal("abc"u8.ToArray(), bytes[^3..]);
        Fails(ImageDiagnostic.BadPayload, () => ImageFile.Encode(ImageKind.PipesData, pipe));
        Fails(ImageDiagnostic.Truncated, () => ImageFile.Decode(ImageKind.PipesData, bytes.AsMemory(..^1), "it"));
    }

    [Fact]
    public void Semaphores_and_messages_are_padded_to_eight_and_segments_to_four()
    {
        var owner = new IpcDescEntry { Key = 1, Uid = 0, Gid = 0, Cuid = 0, Cgid = 0, Mode = 0, Id = 0 };
        byte[] sems = ImageFile.Encode(
            ImageKind.IpcnsSem, [new ImageEntry(new IpcSemEntry { Desc = owner, Nsems = 3 }, new byte[] { 1, 0, 2, 0, 3, 0 })]);
        Assert.Equal([1, 0, 2, 0, 3, 0, 0, 0], sems[^8..]);

        byte[] queue = ImageFile.Encode(
            ImageKind.IpcnsMsg,
            [
                new ImageEntry(new IpcMsgEntry { Desc = owner, Qbytes = 9, Qnum = 1 }),
                new ImageEntry(new IpcMsg { Mtype = 1, Msize = 5 }, "hello"u8.ToArray()),
            ]);
        Assert.Equal("hello\0\0\0"u8.ToArray(), queue[^8..]);

        var entry = new ImageEntry(new IpcShmEntry { Desc = owner, Size = 5 }, "hello"u8.ToArray());
        byte[] segment = ImageFile.Encode(ImageKind.IpcnsShm, [entry]);
        Assert.Equal("hello\0\0\0"u8.ToArray(), segment[^8..]);
        Assert.Equal(5, ImageFile.Decode(ImageKind.IpcnsShm, segment, "it")[0].Payload.Length);
    }

    [Fact]
    public void Unknown_fields_survive()
    {
        byte[] own = [.. Task.ToByteArray(), 0xfa, 0x7c, 4, .. "firn"u8];
        byte[] bytes = [.. ImageFile.Encode<PstreeEntry>(ImageKind.Pstree), (byte)own.Length, 0, 0, 0, .. own];
        Assert.Equal(bytes, ImageFile.Encode(ImageKind.Pstree, ImageFile.Decode(ImageKind.Pstree, bytes, "it")));
        string json = ImageJson.Decode(bytes, "pstree.img");
        Assert.Contains("__unknown", json, StringComparison.Ordinal);
        Assert.Equal(bytes, ImageJson.Encode(json));
    }

    internal static ImageFormatException Fails(string identifier, Func<object> action)
    {
        ImageFormatException problem = Assert.Throws<ImageFormatException>(action);
        Assert.Equal(identifier, problem.Identifier);
        return problem;
    }
}
