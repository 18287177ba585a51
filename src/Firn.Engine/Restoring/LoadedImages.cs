using Firn.Images;
using Google.Protobuf;

namespace Firn.Engine.Restoring;

/// <summary>The files of an image set, each read and verified when first asked for.</summary>
internal sealed class LoadedImages(string directory)
{
    private readonly Dictionary<(ImageKind Kind, ulong Id), IReadOnlyList<ImageEntry>> files = [];

    /// <summary>The images directory.</summary>
    public string Directory { get; } = directory;

    /// <summary>The entries of a file; none when the file is absent, which means that there is nothing of its kind.</summary>
    /// <exception cref="ImageFormatException">The file is damaged.</exception>
    public IReadOnlyList<ImageEntry> Entries(ImageKind kind, ulong id = 0)
    {
        if (!files.TryGetValue((kind, id), out IReadOnlyList<ImageEntry>? entries))
        {
            string name = kind.FileName(id);
            string path = Path.Combine(Directory, name);
            entries = File.Exists(path) ? ImageFile.Decode(kind, File.ReadAllBytes(path), name) : [];
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
}
