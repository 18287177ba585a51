using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Google.Protobuf;

namespace Firn.Engine.Tree;

/// <summary>The files of an image set, each read and verified when first asked for.</summary>
/// <remarks>By a descriptor of the directory: the thread may be in another mount namespace when it asks.</remarks>
internal sealed class LoadedImages(string directory) : IDisposable
{
    private readonly Fd descriptor = Sys.Open(directory, OpenFlags.O_RDONLY | OpenFlags.O_DIRECTORY);
    private readonly Dictionary<(ImageKind Kind, ulong Id), IReadOnlyList<ImageEntry>> files = [];

    /// <summary>The images directory.</summary>
    public string Directory { get; } = directory;

    /// <summary>
    /// The maps of the tree's user namespace, where it has one of its own: ids in what is read from now on are those that Firn itself sets.
    /// Credentials stay as they are.
    /// </summary>
    public MappedIds? Ids { get; set; }

    /// <summary>The entries of a file; none when the file is absent, which means that there is nothing of its kind.</summary>
    /// <exception cref="ImageFormatException">The file is damaged.</exception>
    public IReadOnlyList<ImageEntry> Entries(ImageKind kind, ulong id = 0)
    {
        if (!files.TryGetValue((kind, id), out IReadOnlyList<ImageEntry>? entries))
        {
            string name = kind.FileName(id);
            entries = Read(name) is { } bytes ? ImageFile.Decode(kind, bytes, name) : [];
            if (Ids is not null)
            {
                foreach (ImageEntry entry in entries)
                {
                    Ids.MapRestored(entry.Message);
                }
            }

            files.Add((kind, id), entries);
        }

        return entries;
    }

    /// <summary>The messages of a file.</summary>
    public IEnumerable<T> All<T>(ImageKind kind, ulong id = 0)
        where T : IMessage => Entries(kind, id).Select(entry => (T)entry.Message);

    /// <summary>The one message of a file that must be there.</summary>
    /// <exception cref="ImageFormatException">The file is absent, damaged, or holds another number of entries.</exception>
    public T One<T>(ImageKind kind, ulong id = 0)
        where T : IMessage
    {
        IReadOnlyList<ImageEntry> entries = Entries(kind, id);
        return entries.Count == 1
            ? (T)entries[0].Message
            : throw new ImageFormatException(
                kind.FileName(id),
                0,
                "entry-count",
                $"holds {entries.Count} entries where there must be one; the image set is not complete");
    }

    /// <summary>The bytes of a file, or null if it is absent.</summary>
    /// <exception cref="LinuxException">It can't be read.</exception>
    public byte[]? Read(string name)
    {
        SysResult opened = Sys.OpenAt(descriptor.Number, name, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC, 0);
        if (opened.Errno == Errno.ENOENT)
        {
            return null;
        }

        using var file = new Fd(opened.OrThrow($"openat({name})").Int32);
        Sys.Fstat(file.Number, out FileStat stat).OrThrow($"fstat({name})");
        byte[] bytes = new byte[stat.st_size];
        for (int done = 0; done < bytes.Length;)
        {
            int read = Sys.Pread(file.Number, bytes.AsSpan(done), done).OrThrow($"pread({name})").Int32;
            if (read == 0)
            {
                return bytes[..done];
            }

            done += read;
        }

        return bytes;
    }

    /// <inheritdoc/>
    public void Dispose() => descriptor.Dispose();
}
