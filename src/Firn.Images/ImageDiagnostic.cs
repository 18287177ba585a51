namespace Firn.Images;

/// <summary>The stable identifiers of all that can be wrong with an image.</summary>
public static class ImageDiagnostic
{
    /// <summary>The file ends within something.</summary>
    public const string Truncated = "FIRN-I01";

    /// <summary>The magic numbers at the start are not those of the expected image.</summary>
    public const string WrongMagic = "FIRN-I02";

    /// <summary>A size or count is above its bound in <see cref="ImageLimits"/>.</summary>
    public const string TooLarge = "FIRN-I03";

    /// <summary>A message lacks a field that it must have.</summary>
    public const string MissingField = "FIRN-I04";

    /// <summary>The bytes of a message are not protobuf, or hold text that is not UTF-8.</summary>
    public const string BadMessage = "FIRN-I05";

    /// <summary>Bytes follow the only entry that the image may have.</summary>
    public const string TrailingBytes = "FIRN-I06";

    /// <summary>The bytes beside a message do not have the length that the message says.</summary>
    public const string BadPayload = "FIRN-I07";

    /// <summary>A page map is out of order, overlaps, or leaves the address space.</summary>
    public const string BadPageMap = "FIRN-I08";

    /// <summary>The kind of image is unknown, or is not one that the call is for.</summary>
    public const string WrongKind = "FIRN-I09";

    /// <summary>The text is not JSON, or not the JSON of an image.</summary>
    public const string BadJson = "FIRN-I10";
}
