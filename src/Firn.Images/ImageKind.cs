using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace Firn.Images;

/// <summary>One kind of image: its file name, its magic, and what is in it.</summary>
/// <remarks>The instances are THE table of the format: see <c>ImageKind.Table.cs</c>.</remarks>
public sealed partial class ImageKind
{
    private readonly ImageMessage[] messages;
    private readonly string prefix;
    private readonly string suffix;
    private readonly char idFormat;

    private ImageKind(string name, uint magic, string pattern, bool single, PayloadRule payload, params ImageMessage[] messages)
    {
        Name = name;
        Magic = magic;
        Pattern = pattern;
        IsSingle = single;
        Payload = payload;
        this.messages = messages;

        int percent = pattern.IndexOf('%', StringComparison.Ordinal);
        prefix = percent < 0 ? pattern : pattern[..percent];
        suffix = percent < 0 ? "" : pattern[(percent + 2)..];
        idFormat = percent < 0 ? '\0' : pattern[percent + 1];
        Table.Add(this);
    }

    /// <summary>Every kind, the current ones before the old ones.</summary>
    public static IReadOnlyList<ImageKind> All => Table;

    /// <summary>The name that stands for the magic in the JSON form, as CRIU's own decoder has it; not unique.</summary>
    public string Name { get; }

    /// <summary>The number at the start of the file that tells the kind; 0 for raw images.</summary>
    public uint Magic { get; }

    /// <summary>The file name; <c>%u</c> stands for a decimal id and <c>%x</c> for a hexadecimal one.</summary>
    public string Pattern { get; }

    /// <summary>Whether the file holds exactly one entry.</summary>
    public bool IsSingle { get; }

    /// <summary>Which bytes stand beside the messages.</summary>
    public PayloadRule Payload { get; }

    /// <summary>Whether the file is another tool's and has neither magic nor messages.</summary>
    public bool IsRaw => Payload == PayloadRule.Raw;

    /// <summary>Whether there is a file for each of many ids.</summary>
    public bool HasId => idFormat != '\0';

    /// <summary>What stands before <see cref="Magic"/>; 0 if nothing does.</summary>
    internal uint OuterMagic => this switch
    {
        _ when IsRaw || Magic == InventoryMagic => 0,
        _ when Pattern.EndsWith(".img", StringComparison.Ordinal) => CommonMagic,
        _ => ServiceMagic,
    };

    /// <summary>The message types, the first entry's first.</summary>
    internal ReadOnlySpan<ImageMessage> Messages => messages;

    /// <summary>The file's name; the id counts only for a kind that has one for each.</summary>
    public string FileName(ulong id = 0) => idFormat switch
    {
        'u' => string.Create(CultureInfo.InvariantCulture, $"{prefix}{id}{suffix}"),
        'x' => string.Create(CultureInfo.InvariantCulture, $"{prefix}{id:x}{suffix}"),
        _ => prefix,
    };

    /// <summary>The first kind with a magic; null if none has it.</summary>
    public static ImageKind? ByMagic(uint magic)
    {
        foreach (ImageKind kind in Table)
        {
            if (kind.Magic == magic && magic != 0)
            {
                return kind;
            }
        }

        return null;
    }

    /// <summary>The first kind with a name in the JSON form; null if none has it.</summary>
    public static ImageKind? ByName(string name)
    {
        foreach (ImageKind kind in Table)
        {
            if (kind.Name == name)
            {
                return kind;
            }
        }

        return null;
    }

    /// <summary>The kind and id that a file name tells; false if it is no image's name. Folders before the name are ignored.</summary>
    public static bool TryParse(string fileName, [NotNullWhen(true)] out ImageKind? kind, out ulong id)
    {
        ArgumentNullException.ThrowIfNull(fileName);
        ReadOnlySpan<char> name = fileName.AsSpan(fileName.LastIndexOf('/') + 1);
        foreach (ImageKind candidate in Table)
        {
            if (candidate.TryParseId(name, out id))
            {
                kind = candidate;
                return true;
            }
        }

        kind = null;
        id = 0;
        return false;
    }

    /// <summary>The pattern, for messages to people.</summary>
    public override string ToString() => Pattern;

    /// <summary>The message type of an entry, or null if the kind holds no such message.</summary>
    internal ImageMessage? Find(Type type)
    {
        foreach (ImageMessage message in messages)
        {
            if (message.Type == type)
            {
                return message;
            }
        }

        return null;
    }

    private bool TryParseId(ReadOnlySpan<char> name, out ulong id)
    {
        id = 0;
        if (idFormat == '\0')
        {
            return name.SequenceEqual(prefix);
        }

        if (name.Length <= prefix.Length + suffix.Length || !name.StartsWith(prefix) || !name.EndsWith(suffix))
        {
            return false;
        }

        ReadOnlySpan<char> middle = name[prefix.Length..^suffix.Length];
        return ulong.TryParse(
            middle, idFormat == 'x' ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out id);
    }
}
