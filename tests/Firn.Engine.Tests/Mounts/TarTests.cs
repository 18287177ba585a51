using System.Diagnostics;
using System.Text;
using Firn.Engine.Kinds.Namespaces.Mounts;
using Firn.Engine.Tests.RoundTrip;
using Firn.Images;
using Firn.Linux.Abi;
using Timespec = Firn.Linux.Abi.Timespec;

namespace Firn.Engine.Tests.Mounts;

/// <summary>Archives of tmpfs: written and read here, and by GNU tar.</summary>
public sealed class TarTests : IDisposable
{
    private readonly string directory = Directory.CreateTempSubdirectory("firn-test-").FullName;

    public void Dispose() => Directory.Delete(directory, recursive: true);

    [Fact]
    public void What_is_written_is_read()
    {
        TarEntry[] entries =
        [
            Entry(string.Empty, InodeMode.S_IFDIR | 0x3ff),
            Entry("plain", InodeMode.S_IFREG | 0x1a4, "0123456789"u8.ToArray()),
            Entry(new string('n', 90) + "/" + new string('m', 90), InodeMode.S_IFREG | 0x180, new byte[513]),
            Entry("device", InodeMode.S_IFCHR | 0x1b6, device: 0x103),
            Entry("fifo", InodeMode.S_IFIFO | 0x1b6),
            Entry("link", InodeMode.S_IFLNK | 0x1ff, target: new string('t', 200)),
            Entry("name", InodeMode.S_IFREG | 0x1a4, target: "plain", isHardLink: true),
            Entry("attributes", InodeMode.S_IFREG | 0x1a4, [1], attributes: [("trusted.a", [0, 1, 2]), ("user.b", new byte[1000])]),
        ];
        using var archive = new MemoryStream(Write(entries));
        var reader = new TarReader(archive, "archive");
        foreach (TarEntry expected in entries)
        {
            TarEntry entry = Assert.IsType<TarEntry>(reader.Next());
            Assert.Equal(expected.Path, entry.Path);
            Assert.Equal(
                (expected.Mode, expected.Size, expected.Device, expected.IsHardLink, expected.Uid, expected.Gid),
                (entry.Mode, entry.Size, entry.Device, entry.IsHardLink, entry.Uid, entry.Gid));
            Assert.Equal(expected.Target, entry.Target);
            Assert.Equal(expected.Attributes.AsEnumerable(), entry.Attributes.AsEnumerable());
            Assert.Equal(expected.IsHardLink ? 1234567890 : expected.Modified.Nanoseconds / 1_000_000_000, entry.Modified.tv_sec);
            Assert.Equal(expected.IsHardLink ? 0 : expected.Modified.tv_nsec, entry.Modified.tv_nsec);
        }

        Assert.Null(reader.Next());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(60)]
    public void Holes_stay_holes_whoever_reads(int ranges)
    {
        byte[] archive = Write([Sparse("sparse", ranges)]);
        var reader = new TarReader(new MemoryStream(archive), "archive");
        TarEntry entry = Assert.IsType<TarEntry>(reader.Next());
        Assert.Equal(Sparse("sparse", ranges).Data, entry.Data);
        Assert.Equal(10_000_000, entry.Size);
        File.WriteAllBytes(Path.Combine(directory, "archive.tar"), archive);
        Tar("-xf", "archive.tar");
        byte[] read = File.ReadAllBytes(Path.Combine(directory, "sparse"));
        Assert.Equal(10_000_000, read.Length);
        Assert.Equal(ranges * 512, read.Count(value => value == 7));
        Assert.All(entry.Data, range => Assert.Equal(7, read[range.Start]));
    }

    [Fact]
    public void An_archive_of_GNU_tar_is_read_with_its_holes()
    {
        string file = Path.Combine(directory, "sparse");
        using (FileStream stream = File.Create(file))
        {
            for (int i = 0; i < 30; i++)
            {
                stream.Position = i * 1_000_000;
                stream.Write(Encoding.ASCII.GetBytes($"part {i:d2}"));
            }

            stream.SetLength(40_000_000);
        }

        Tar("--create", "--sparse", "--numeric-owner", "-f", "archive.tar", "./sparse");
        Assert.InRange(new FileInfo(Path.Combine(directory, "archive.tar")).Length, 1, 2_000_000);
        using FileStream archive = File.OpenRead(Path.Combine(directory, "archive.tar"));
        var reader = new TarReader(archive, "archive");
        TarEntry entry = Assert.IsType<TarEntry>(reader.Next());
        Assert.Equal(("sparse", 40_000_000), (Encoding.UTF8.GetString(entry.Path), entry.Size));
        byte[] content = new byte[entry.Size];
        foreach ((long start, long end) in entry.Data)
        {
            for (long at = start; at < end; at += reader.Read(content.AsSpan((int)at, (int)(end - at))))
            {
            }
        }

        Assert.Equal(File.ReadAllBytes(file), content);
        Assert.Null(reader.Next());
    }

    [Fact]
    public void A_damaged_archive_is_said_to_be()
    {
        byte[] archive = Write([Entry("plain", InodeMode.S_IFREG | 0x1a4, "0123456789"u8.ToArray())]);
        byte[] flipped = [.. archive];
        flipped[20] ^= 1;
        Assert.Throws<ImageFormatException>(() => ReadAll(flipped));
        Assert.Throws<ImageFormatException>(() => ReadAll(archive[..1030]));
        Assert.Throws<ImageFormatException>(() => ReadAll(Write([Entry("../out", InodeMode.S_IFIFO | 0x1b6)])));
    }

    private static void ReadAll(byte[] archive)
    {
        var reader = new TarReader(new MemoryStream(archive), "archive");
        while (reader.Next() is not null)
        {
        }
    }

    private static byte[] Write(TarEntry[] entries)
    {
        using var stream = new MemoryStream();
        using (var writer = new TarWriter(stream))
        {
            foreach (TarEntry entry in entries)
            {
                writer.Begin(entry);
                if (entry.Type == InodeMode.S_IFREG && !entry.IsHardLink)
                {
                    foreach ((long start, long end) in entry.Data)
                    {
                        writer.Write(Enumerable.Repeat((byte)7, (int)(end - start)).ToArray());
                    }

                    writer.EndData();
                }
            }
        }

        return stream.ToArray();
    }

    private static TarEntry Sparse(string path, int ranges) => new()
    {
        Path = Encoding.UTF8.GetBytes(path),
        Mode = InodeMode.S_IFREG | 0x1a4,
        Size = 10_000_000,
        Data = [.. Enumerable.Range(0, ranges).Select(i => (4096L + (i * 8192), 4096L + (i * 8192) + 512))],
    };

    private static TarEntry Entry(
        string path, uint mode, byte[]? content = null, ulong device = 0, string target = "", bool isHardLink = false,
        (string, byte[])[]? attributes = null) => new()
        {
            Path = Encoding.UTF8.GetBytes(path),
            Mode = mode,
            Uid = 3_000_000_000,
            Gid = 12,
            Size = content?.Length ?? 0,
            Modified = new Timespec { tv_sec = 1234567890, tv_nsec = 987654321 },
            Device = device,
            Target = Encoding.UTF8.GetBytes(target),
            IsHardLink = isHardLink,
            Attributes = attributes ?? [],
            Data = content is { Length: > 0 } ? [(0, content.Length)] : [],
        };

    private void Tar(params string[] arguments)
    {
        using Process tar = Process.Start(new ProcessStartInfo("tar", arguments) { WorkingDirectory = directory })!;
        Assert.True(tar.WaitForExit(PidNamespace.Patience));
        Assert.Equal(0, tar.ExitCode);
    }
}
