using Firn.Images;
using Google.Protobuf;

namespace Firn.Engine.Tree;

/// <summary>
/// The messages of an image set under way, by file. Written at the end, so that the tree stands still no longer than it must.
/// </summary>
internal sealed class PendingImages
{
    private readonly Dictionary<(ImageKind Kind, ulong Id), List<ImageEntry>> files = [];

    /// <summary>Adds an entry to a file, at its end.</summary>
    /// <param name="kind">The kind of image.</param>
    /// <param name="id">The number in the file's name; 0 where there is none.</param>
    /// <param name="message">The message.</param>
    /// <param name="payload">Bytes that follow the message, where the kind has any.</param>
    public void Add(ImageKind kind, ulong id, IMessage message, ReadOnlyMemory<byte> payload = default)
    {
        if (!files.TryGetValue((kind, id), out List<ImageEntry>? entries))
        {
            files.Add((kind, id), entries = []);
        }

        entries.Add(new ImageEntry(message, payload));
    }

    /// <summary>All files, in the order in which they were begun.</summary>
    public IEnumerable<(ImageKind Kind, ulong Id, IReadOnlyList<ImageEntry> Entries)> Files
        => files.Select(file => (file.Key.Kind, file.Key.Id, (IReadOnlyList<ImageEntry>)file.Value));
}
