using System.Buffers.Binary;
using System.Text.Json;

namespace Firn.Images;

/// <summary>Images as JSON for people and scripts, and back: the form that CRIU's own decoder has.</summary>
/// <remarks>
/// To encode what was decoded gives the same bytes. Two members go beyond CRIU's form: raw images, which its decoder refuses, are one
/// entry that is all "extra"; and "__unknown" keeps fields that these messages do not have.
/// </remarks>
public static partial class ImageJson
{
    /// <summary>The JSON text of an image.</summary>
    /// <param name="bytes">The whole file.</param>
    /// <param name="fileName">Its name, which tells raw images apart; a file of another name is known by its magic.</param>
    /// <exception cref="ImageFormatException">The file is not a whole and valid image, or too large for JSON.</exception>
    public static string Decode(ReadOnlyMemory<byte> bytes, string fileName)
    {
        ArgumentNullException.ThrowIfNull(fileName);
        if (bytes.Length > ImageLimits.MaxJsonImageBytes)
        {
            throw new ImageFormatException(
                fileName, -1, ImageDiagnostic.TooLarge, "the image is too large for JSON; look at it with a program that reads images");
        }

        ImageKind kind = KindOf(bytes.Span, fileName);
        using var json = new JsonForm(fileName);
        json.OpenObject();
        json.Text("magic", kind.Name);
        json.Open("entries");
        if (kind.IsRaw)
        {
            json.OpenObject();
            json.Bytes(FieldHints.Extra, bytes.Span);
            json.CloseObject();
        }
        else
        {
            WriteEntries(json, kind, ImageFile.Decode(kind, bytes, fileName));
        }

        json.Close();
        json.CloseObject();
        return json.Finish();
    }

    /// <summary>The image that JSON text stands for.</summary>
    /// <exception cref="ImageFormatException">The text is not JSON, or not that of an image.</exception>
    public static byte[] Encode(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        var reader = new JsonMessage("JSON");
        if (json.Length > ImageLimits.MaxJsonCharacters)
        {
            throw new ImageFormatException("JSON", -1, ImageDiagnostic.TooLarge, "the text is larger than that of any image");
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = ImageLimits.MaxJsonDepth });
            return Encode(document.RootElement, reader);
        }
        catch (JsonException problem)
        {
            throw reader.Error($"the text is not JSON: {problem.Message}", problem);
        }
        catch (ArgumentException problem)
        {
            throw reader.Error("the text has half of a surrogate pair, which is no text", problem);
        }
    }

    private static ImageKind KindOf(ReadOnlySpan<byte> bytes, string fileName)
    {
        if (ImageKind.TryParse(fileName, out ImageKind? kind, out _))
        {
            return kind;
        }

        uint magic = bytes.Length < 4 ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        if (magic is ImageKind.CommonMagic or ImageKind.ServiceMagic)
        {
            magic = bytes.Length < 8 ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
        }

        return ImageKind.ByMagic(magic) ?? throw new ImageFormatException(
            fileName, 0, ImageDiagnostic.WrongKind, "neither name nor magic is that of an image; give the file the name it had in its set");
    }
}
