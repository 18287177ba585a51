using System.IO.Compression;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Timespec = Firn.Linux.Abi.Timespec;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <content>The restore half.</content>
internal sealed partial class TmpfsContent
{
    private readonly List<TarEntry> directories = [];
    private byte[] openPath = [];
    private Fd? openDirectory;

    /// <summary>Puts all files of an archive into an empty tmpfs.</summary>
    /// <param name="root">A mount of it.</param>
    /// <param name="archive">The archive.</param>
    /// <param name="name">The image's name, for errors.</param>
    /// <exception cref="ImageFormatException">The archive is damaged.</exception>
    /// <exception cref="LinuxException">A file can't be made.</exception>
    public void Load(int root, Stream archive, string name)
    {
        using var gzip = new GZipStream(archive, CompressionMode.Decompress);
        using var buffered = new BufferedStream(gzip, BufferSize);
        var reader = new TarReader(buffered, name);
        try
        {
            while (reader.Next() is { } entry)
            {
                Make(root, entry, reader);
            }
        }
        catch (InvalidDataException damaged)
        {
            throw new ImageFormatException(name, -1, "tmpfs-archive", "is no gzip archive; the image is damaged: dump again", damaged);
        }

        // What was made in a directory has changed its times: the innermost first.
        for (int i = directories.Count - 1; i >= 0; i--)
        {
            Finish(root, directories[i]);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => openDirectory?.Dispose();

    private void Make(int root, TarEntry entry, TarReader reader)
    {
        int at = entry.Path.AsSpan().LastIndexOf((byte)'/');
        ReadOnlySpan<byte> name = entry.Path.AsSpan(at + 1);
        int parent = at < 0 ? root : OpenParent(root, entry.Path.AsSpan(0, at));
        if (entry.IsHardLink)
        {
            Sys.LinkAt(root, entry.Target, parent, name).OrThrow($"linkat({Text(entry.Target)}, {Text(entry.Path)})");
            return;
        }

        switch (entry.Type)
        {
            case InodeMode.S_IFDIR:
                if (entry.Path.Length > 0)
                {
                    Sys.MkdirAt(parent, name, 0x1c0).OrThrow($"mkdirat({Text(entry.Path)})");
                }

                directories.Add(entry);
                return;
            case InodeMode.S_IFLNK:
                Sys.SymlinkAt(entry.Target, parent, name).OrThrow($"symlinkat({Text(entry.Path)})");
                break;
            case InodeMode.S_IFREG:
                MakeFile(parent, name, entry, reader);
                break;
            default:
                Sys.MknodAt(parent, name, entry.Type | 0x180, entry.Device).OrThrow($"mknodat({Text(entry.Path)})");
                break;
        }

        SetOwner(parent, name, entry);
    }

    private void MakeFile(int parent, ReadOnlySpan<byte> name, TarEntry entry, TarReader reader)
    {
        const OpenFlags Flags = OpenFlags.O_WRONLY | OpenFlags.O_CREAT | OpenFlags.O_EXCL | OpenFlags.O_NOFOLLOW | OpenFlags.O_CLOEXEC;
        using var file = new Fd(Sys.OpenAt(parent, name, Flags, 0x180).OrThrow($"openat({Text(entry.Path)}, O_CREAT)").Int32);
        foreach ((long start, long end) in entry.Data)
        {
            for (long offset = start; offset < end;)
            {
                int count = reader.Read(buffer.AsSpan(0, (int)Math.Min(BufferSize, end - offset)));
                Write(file, buffer.AsSpan(0, count), offset, entry);
                offset += count;
            }
        }

        if (entry.Data.Count == 0 || entry.Data[^1].End < entry.Size)
        {
            Sys.Ftruncate(file.Number, entry.Size).OrThrow($"ftruncate({Text(entry.Path)}, {entry.Size})");
        }

        SetAttributes(file.Number, entry);
    }

    private static void Write(Fd file, ReadOnlySpan<byte> bytes, long offset, TarEntry entry)
    {
        while (bytes.Length > 0)
        {
            int count = Sys.Pwrite(file.Number, bytes, offset).OrThrow($"pwrite({Text(entry.Path)}, {offset})").Int32;
            bytes = bytes[count..];
            offset += count;
        }
    }

    private void Finish(int root, TarEntry directory)
    {
        using Fd opened = Open(root, directory.Path.Length == 0 ? "."u8 : directory.Path, OpenFlags.O_RDONLY | OpenFlags.O_DIRECTORY);
        SetAttributes(opened.Number, directory);
        SetOwner(opened.Number, "."u8, directory);
    }

    private static void SetAttributes(int file, TarEntry entry)
    {
        foreach ((string name, byte[] value) in entry.Attributes)
        {
            Sys.SetAttribute(file, name, value).OrThrow($"fsetxattr({Text(entry.Path)}, {name})");
        }
    }

    // The owner first: a change of it takes the bits for set-user-id away.
    private void SetOwner(int parent, ReadOnlySpan<byte> name, TarEntry entry)
    {
        Sys.FchownAt(parent, name, users.ToOuter(entry.Uid), groups.ToOuter(entry.Gid)).OrThrow($"fchownat({Text(entry.Path)})");
        if (entry.Type != InodeMode.S_IFLNK)
        {
            Sys.FchmodAt(parent, name, entry.Mode & 0xfff).OrThrow($"fchmodat({Text(entry.Path)})");
        }

        var accessed = new Timespec { tv_nsec = Timespec.UTIME_OMIT };
        Sys.UtimensAtNoFollow(parent, name, accessed, entry.Modified).OrThrow($"utimensat({Text(entry.Path)})");
    }

    // Each step of the way must be a directory of this very file system, and no link out of it.
    private int OpenParent(int root, ReadOnlySpan<byte> path)
    {
        if (openDirectory is not null && path.SequenceEqual(openPath))
        {
            return openDirectory.Number;
        }

        Fd? current = null;
        foreach (Range part in path.Split((byte)'/'))
        {
            const OpenFlags Flags = OpenFlags.O_PATH | OpenFlags.O_DIRECTORY | OpenFlags.O_NOFOLLOW;
            Fd next = Open(current?.Number ?? root, path[part], Flags);
            current?.Dispose();
            current = next;
        }

        openDirectory?.Dispose();
        openDirectory = current;
        openPath = path.ToArray();
        return current!.Number;
    }
}
