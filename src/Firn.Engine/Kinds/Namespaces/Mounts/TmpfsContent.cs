using System.IO.Compression;
using System.Text;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>The files of a tmpfs, saved as an archive.</summary>
/// <remarks>
/// Sockets are left out, as by tar: those of the tree are bound again. The gzip is of stored blocks: what compression takes, the tree would
/// stand still. tmpfs(5).
/// </remarks>
internal sealed partial class TmpfsContent(IdMap users, IdMap groups) : IDisposable
{
    private const int BufferSize = 1 << 18;
    private const OpenFlags ForReading = OpenFlags.O_RDONLY | OpenFlags.O_NOFOLLOW | OpenFlags.O_NOATIME | OpenFlags.O_CLOEXEC;

    private readonly byte[] buffer = new byte[BufferSize];
    private readonly Dictionary<ulong, byte[]> names = [];

    // ---- dump

    /// <summary>Saves all files.</summary>
    /// <param name="root">A mount of the file system on which nothing else is mounted.</param>
    /// <param name="archive">Where the archive goes.</param>
    /// <exception cref="LinuxException">A file can't be read.</exception>
    public void Save(int root, Stream archive)
    {
        using var gzip = new GZipStream(archive, CompressionLevel.NoCompression, leaveOpen: true);
        using var buffered = new BufferedStream(gzip, BufferSize);
        using var writer = new TarWriter(buffered);
        using Fd top = Open(root, "."u8, ForReading | OpenFlags.O_DIRECTORY);
        Sys.Fstat(top.Number, out FileStat stat).OrThrow("fstat(tmpfs)");
        SaveDirectory(writer, top, [], stat);
    }

    private void SaveDirectory(TarWriter writer, Fd directory, byte[] path, in FileStat stat)
    {
        writer.Begin(Describe(path, stat, ReadAttributes(directory.Number)));
        foreach (byte[] name in List(directory))
        {
            byte[] child = path.Length == 0 ? name : [.. path, (byte)'/', .. name];
            Sys.StatAt(directory.Number, name, out FileStat found, At.AT_SYMLINK_NOFOLLOW).OrThrow($"stat({Text(child)})");
            if (found.st_nlink > 1 && (found.st_mode & InodeMode.S_IFMT) != InodeMode.S_IFDIR && !names.TryAdd(found.st_ino, child))
            {
                writer.Begin(Describe(child, found, [], names[found.st_ino], isHardLink: true));
                continue;
            }

            switch (found.st_mode & InodeMode.S_IFMT)
            {
                case InodeMode.S_IFDIR:
                    using (Fd opened = Open(directory.Number, name, ForReading | OpenFlags.O_DIRECTORY))
                    {
                        SaveDirectory(writer, opened, child, found);
                    }

                    break;
                case InodeMode.S_IFREG:
                    SaveFile(writer, directory, name, child, found);
                    break;
                case InodeMode.S_IFLNK:
                    int length = Sys.ReadLinkAt(directory.Number, name, buffer).OrThrow($"readlink({Text(child)})").Int32;
                    writer.Begin(Describe(child, found, [], buffer[..length]));
                    break;
                case InodeMode.S_IFSOCK:
                    names.Remove(found.st_ino);
                    break;
                default:
                    writer.Begin(Describe(child, found, []));
                    break;
            }
        }
    }

    private void SaveFile(TarWriter writer, Fd directory, byte[] name, byte[] path, in FileStat stat)
    {
        using Fd file = Open(directory.Number, name, ForReading);
        List<(long Start, long End)> data = FileContent.DataRanges(file.Number, stat.st_size);
        writer.Begin(Describe(path, stat, ReadAttributes(file.Number), data: data));
        foreach ((long start, long end) in data)
        {
            for (long offset = start; offset < end;)
            {
                Span<byte> part = buffer.AsSpan(0, (int)Math.Min(BufferSize, end - offset));
                int count = Sys.Pread(file.Number, part, offset).OrThrow($"pread({Text(path)}, {offset})").Int32;
                if (count == 0)
                {
                    throw new CheckpointException($"{Text(path)} on a tmpfs has become shorter while its tree stands still");
                }

                writer.Write(part[..count]);
                offset += count;
            }
        }

        writer.EndData();
    }

    private TarEntry Describe(
        byte[] path,
        in FileStat stat,
        IReadOnlyList<(string Name, byte[] Value)> attributes,
        byte[]? target = null,
        bool isHardLink = false,
        IReadOnlyList<(long Start, long End)>? data = null) => new()
        {
            Path = path,
            Mode = stat.st_mode,
            Uid = users.ToInner(stat.st_uid),
            Gid = groups.ToInner(stat.st_gid),
            Size = (stat.st_mode & InodeMode.S_IFMT) == InodeMode.S_IFREG ? stat.st_size : 0,
            Modified = new Timespec { tv_sec = (long)stat.st_mtime, tv_nsec = (long)stat.st_mtime_nsec },
            Device = stat.st_rdev,
            Target = target ?? [],
            IsHardLink = isHardLink,
            Attributes = attributes,
            Data = data ?? [],
        };

    private List<byte[]> List(Fd directory)
    {
        List<byte[]> found = [];
        while (true)
        {
            int length = Sys.GetDents64(directory.Number, buffer).OrThrow("getdents64(tmpfs)").Int32;
            if (length == 0)
            {
                return found;
            }

            foreach (DirectoryEntry entry in new DirectoryEntries(buffer.AsSpan(0, length)))
            {
                if (!entry.Name.SequenceEqual("."u8) && !entry.Name.SequenceEqual(".."u8))
                {
                    found.Add(entry.Name.ToArray());
                }
            }
        }
    }

    private List<(string Name, byte[] Value)> ReadAttributes(int file)
    {
        SysResult listed = Sys.ListAttributes(file, buffer);
        if (listed.IsError || listed.Int32 == 0)
        {
            return [];
        }

        List<(string, byte[])> attributes = [];
        foreach (string name in Encoding.UTF8.GetString(buffer, 0, listed.Int32).Split('\0', StringSplitOptions.RemoveEmptyEntries))
        {
            int length = Sys.GetAttribute(file, name, buffer).OrThrow($"fgetxattr({name})").Int32;
            attributes.Add((name, buffer[..length]));
        }

        return attributes;
    }

    private static Fd Open(int directory, ReadOnlySpan<byte> name, OpenFlags flags)
        => new(Sys.OpenAt(directory, name, flags | OpenFlags.O_CLOEXEC, 0).OrThrow($"openat({Text(name)})").Int32);

    private static string Text(ReadOnlySpan<byte> name) => Encoding.UTF8.GetString(name);
}
