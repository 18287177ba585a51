using System.Collections.Concurrent;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Firn.Images;

/// <summary>The display hints of fields, remembered, since a descriptor copies its options whenever it is asked.</summary>
internal static class FieldHints
{
    /// <summary>Base64 of the fields that the messages here do not know, so that they survive the way through JSON.</summary>
    internal const string Unknown = "__unknown";

    /// <summary>The member with the bytes beside a message.</summary>
    internal const string Extra = "extra";

    private static readonly ConcurrentDictionary<FieldDescriptor, DisplayHints> Known = new();

    internal static DisplayHints Of(FieldDescriptor field)
        => Known.GetOrAdd(field, static it => it.GetOptions()?.GetExtension(DisplayExtensions.Display) ?? new DisplayHints());

    internal static bool IsInteger(FieldType type) => type is not (FieldType.Bool or FieldType.String or FieldType.Bytes or FieldType.Enum
        or FieldType.Message or FieldType.Group or FieldType.Double or FieldType.Float);

    internal static WireFormat.WireType WireTypeOf(FieldType type) => type switch
    {
        FieldType.String or FieldType.Bytes or FieldType.Message => WireFormat.WireType.LengthDelimited,
        FieldType.Fixed64 => WireFormat.WireType.Fixed64,
        _ => WireFormat.WireType.Varint,
    };
}
