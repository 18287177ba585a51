using Google.Protobuf;

namespace Firn.Images;

/// <summary>Reads and writes whole images: magic numbers, entries, and the bytes beside them.</summary>
/// <remarks>
/// An ordinary image is the common magic, the kind's magic, and entries up to the end of the file: a 32-bit size, a message, and what
/// <see cref="PayloadRule"/> says. All numbers are little-endian. There is no count, so a file that is cut between two entries looks whole.
/// </remarks>
public static class ImageFile
{
    /// <summary>The whole file that holds these entries.</summary>
    /// <exception cref="ImageFormatException">A message lacks a required field or is out of place, or a length is wrong.</exception>
    public static byte[] Encode(ImageKind kind, IEnumerable<ImageEntry> entries)
    {
        ArgumentNullException.ThrowIfNull(kind);
        ArgumentNullException.ThrowIfNull(entries);
        var writer = new EntryWriter(kind);
        foreach (ImageEntry entry in entries)
        {
            writer.Add(entry);
        }

        return writer.ToArray();
    }

    /// <summary>The whole file that holds these messages, for kinds without payload.</summary>
    /// <exception cref="ImageFormatException">A message lacks a required field or is of the wrong type.</exception>
    public static byte[] Encode<T>(ImageKind kind, params ReadOnlySpan<T> messages)
        where T : IMessage
    {
        ArgumentNullException.ThrowIfNull(kind);
        var writer = new EntryWriter(kind);
        foreach (T message in messages)
        {
            writer.Add(new ImageEntry(message));
        }

        return writer.ToArray();
    }

    /// <summary>All entries of a file. Payloads are slices of <paramref name="bytes"/>, so keep that unchanged.</summary>
    /// <param name="kind">Which image it is. Files without the common magic, as CRIU wrote before 1.6, are read too.</param>
    /// <param name="bytes">The whole file.</param>
    /// <param name="fileName">Its name, for messages.</param>
    /// <exception cref="ImageFormatException">The file is not a whole and valid image of that kind.</exception>
    public static IReadOnlyList<ImageEntry> Decode(ImageKind kind, ReadOnlyMemory<byte> bytes, string fileName)
    {
        var reader = new EntryReader(kind, bytes, fileName);
        List<ImageEntry> entries = [];
        while (reader.TryRead(out ImageEntry entry))
        {
            entries.Add(entry);
        }

        return entries;
    }

    /// <summary>The first message of a file, which for kinds with a single entry is the only one.</summary>
    /// <exception cref="ImageFormatException">The file is not a valid image of that kind, or has no entry, or too many.</exception>
    public static T DecodeOne<T>(ImageKind kind, ReadOnlyMemory<byte> bytes, string fileName)
        where T : class, IMessage
    {
        var reader = new EntryReader(kind, bytes, fileName);
        if (!reader.TryRead(out ImageEntry entry))
        {
            throw reader.Error(ImageDiagnostic.Truncated, "the file ends behind its magic, where an entry should be; make the dump again");
        }

        if (kind.IsSingle)
        {
            _ = reader.TryRead(out _);
        }

        return entry.Message as T ?? throw NotOfType<T>(kind, fileName);
    }

    /// <summary>All messages of one type, in the order of the file; for a page map, rather use <see cref="PageMap.Decode"/>.</summary>
    /// <exception cref="ImageFormatException">The file is not a whole and valid image of that kind.</exception>
    public static IReadOnlyList<T> DecodeAll<T>(ImageKind kind, ReadOnlyMemory<byte> bytes, string fileName)
        where T : class, IMessage
    {
        var reader = new EntryReader(kind, bytes, fileName);
        if (kind.Find(typeof(T)) is null)
        {
            throw NotOfType<T>(kind, fileName);
        }

        List<T> messages = [];
        while (reader.TryRead(out ImageEntry entry))
        {
            if (entry.Message is T message)
            {
                messages.Add(message);
            }
        }

        return messages;
    }

    private static ImageFormatException NotOfType<T>(ImageKind kind, string fileName)
        => new(fileName, -1, ImageDiagnostic.WrongKind, $"an image {kind} holds no {typeof(T).Name}; ask for another type");
}
