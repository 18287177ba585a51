using System.Buffers;
using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Firn.Images;

/// <summary>Makes the bytes of messages from JSON and the descriptors of their types.</summary>
internal sealed class JsonMessage(string fileName)
{
    /// <summary>The message that an object stands for.</summary>
    internal IMessage Read(ImageMessage type, JsonElement json, params ReadOnlySpan<string> ignored)
    {
        IMessage message = type.Create();
        byte[] bytes = Members(message.Descriptor, json, ignored);
        try
        {
            message.MergeFrom(bytes);
        }
        catch (InvalidProtocolBufferException problem)
        {
            throw Error($"{FieldHints.Unknown} in {message.Descriptor.Name} is no protobuf ({problem.Message})", problem);
        }

        return message;
    }

    internal ImageFormatException Error(string sentence, Exception? cause = null)
        => new(fileName, -1, ImageDiagnostic.BadJson, sentence, cause);

    /// <summary>The text of a JSON string.</summary>
    internal string Text(JsonElement json, string name)
    {
        if (json.ValueKind != JsonValueKind.String)
        {
            throw Error($"{name} should be a string");
        }

        try
        {
            return json.GetString()!;
        }
        catch (InvalidOperationException problem)
        {
            throw Error($"{name} has half of a surrogate pair, which is no text", problem);
        }
    }

    internal ReadOnlyMemory<byte> Bytes(JsonElement json, string name)
        => FieldText.TryParseBase64(Text(json, name), out ReadOnlyMemory<byte> bytes) ? bytes : throw Error($"{name} is not base64");

    /// <summary>An unsigned number, as a number or as text.</summary>
    internal ulong Number(JsonElement json, string name)
    {
        ulong value;
        bool valid = json.ValueKind switch
        {
            JsonValueKind.Number => json.TryGetUInt64(out value),
            JsonValueKind.String => FieldText.TryParseNumber(Text(json, name), out value),
            _ => (value = 0) != 0,
        };
        return valid ? value : throw Error($"{name} should be a whole number");
    }

    private byte[] Members(MessageDescriptor descriptor, JsonElement json, ReadOnlySpan<string> ignored)
    {
        if (json.ValueKind != JsonValueKind.Object)
        {
            throw Error($"{descriptor.Name} should be an object");
        }

        var values = new SortedDictionary<int, JsonElement>();
        ReadOnlyMemory<byte> unknown = default;
        foreach (JsonProperty member in json.EnumerateObject())
        {
            string name = MemberName(member);
            if (name == FieldHints.Unknown)
            {
                unknown = Bytes(member.Value, name);
            }
            else if (descriptor.FindFieldByName(name) is { } field)
            {
                values[field.FieldNumber] = member.Value;
            }
            else if (!ignored.Contains(name))
            {
                throw Error($"{descriptor.Name} has no field {name}");
            }
        }

        using var buffer = new MemoryStream();
        using (var output = new CodedOutputStream(buffer, leaveOpen: true))
        {
            foreach ((int number, JsonElement value) in values)
            {
                Field(output, descriptor.FindFieldByNumber(number), value);
            }
        }

        buffer.Write(unknown.Span);
        return buffer.ToArray();
    }

    private string MemberName(JsonProperty member)
    {
        try
        {
            return member.Name;
        }
        catch (InvalidOperationException problem)
        {
            throw Error("a member's name has half of a surrogate pair, which is no text", problem);
        }
    }

    private void Field(CodedOutputStream output, FieldDescriptor field, JsonElement json)
    {
        if (!field.IsRepeated)
        {
            Value(output, field, json);
            return;
        }

        if (json.ValueKind != JsonValueKind.Array)
        {
            throw Error($"{field.Name} should be a list");
        }

        bool address = FieldHints.Of(field).Address;
        foreach (JsonElement item in json.EnumerateArray())
        {
            if (address && item.ValueKind == JsonValueKind.String)
            {
                Address(output, field, Text(item, field.Name));
            }
            else
            {
                Value(output, field, item);
            }
        }
    }

    private void Address(CodedOutputStream output, FieldDescriptor field, string text)
    {
        if (!FieldText.TryParseAddress(text, out uint[] words))
        {
            throw Error($"{field.Name} should be an internet address");
        }

        foreach (uint word in words)
        {
            output.WriteTag(field.FieldNumber, WireFormat.WireType.Varint);
            output.WriteUInt32(word);
        }
    }

    private void Value(CodedOutputStream output, FieldDescriptor field, JsonElement json)
    {
        output.WriteTag(field.FieldNumber, FieldHints.WireTypeOf(field.FieldType));
        switch (field.FieldType)
        {
            case FieldType.Message:
                output.WriteBytes(UnsafeByteOperations.UnsafeWrap(Members(field.MessageType, json, [])));
                break;
            case FieldType.String:
                output.WriteString(Text(json, field.Name));
                break;
            case FieldType.Bytes:
                output.WriteBytes(UnsafeByteOperations.UnsafeWrap(
                    FieldHints.Of(field).HasConversion ? Quoted(json, field.Name) : Bytes(json, field.Name)));
                break;
            case FieldType.Bool:
                output.WriteBool(Flag(json, field.Name));
                break;
            case FieldType.Enum:
                output.WriteInt64(EnumValue(json, field));
                break;
            case FieldType.Int32 or FieldType.Int64:
                output.WriteInt64(Signed(json, field));
                break;
            case FieldType.SInt32 or FieldType.SInt64:
                output.WriteSInt64(Signed(json, field));
                break;
            case FieldType.Fixed64:
                output.WriteFixed64(Unsigned(json, field));
                break;
            default:
                output.WriteUInt64(Unsigned(json, field));
                break;
        }
    }

    private ReadOnlyMemory<byte> Quoted(JsonElement json, string name)
        => FieldText.TryParseQuoted(Text(json, name), out ReadOnlyMemory<byte> bytes)
            ? bytes
            : throw Error($"{name} is not quoted-printable");

    private bool Flag(JsonElement json, string name)
        => json.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? json.ValueKind == JsonValueKind.True
            : throw Error($"{name} should be true or false");

    private long EnumValue(JsonElement json, FieldDescriptor field)
    {
        if (json.ValueKind != JsonValueKind.String)
        {
            return Signed(json, field);
        }

        string name = Text(json, field.Name);
        return field.EnumType.FindValueByName(name)?.Number ?? throw Error($"{field.Name} cannot be {name}");
    }

    private long Signed(JsonElement json, FieldDescriptor field)
    {
        bool narrow = field.FieldType is FieldType.Enum or FieldType.Int32 or FieldType.SInt32;
        return json.ValueKind == JsonValueKind.Number && json.TryGetInt64(out long value) && (!narrow || value == (int)value)
            ? value
            : throw Error($"{field.Name} should be a whole number in the range of its type");
    }

    private ulong Unsigned(JsonElement json, FieldDescriptor field)
    {
        DisplayHints hints = FieldHints.Of(field);
        string? text = json.ValueKind == JsonValueKind.String ? Text(json, field.Name) : null;
        ulong value;
        bool valid = text switch
        {
            null => json.ValueKind == JsonValueKind.Number && json.TryGetUInt64(out value) || (value = 0) != 0,
            _ when hints.HasFlags => FieldText.TryParseFlags(text, DisplayTables.Flags(hints.Flags), out value),
            _ when hints.HasDict && FieldText.TryName(text, DisplayTables.Names(hints.Dict, field.Name), out value) => true,
            _ when hints.Device => FieldText.TryParseDevice(text, hints.OldDevice, out value),
            _ => FieldText.TryParseNumber(text, out value),
        };
        bool narrow = field.FieldType == FieldType.UInt32;
        return valid && (!narrow || value <= uint.MaxValue)
            ? value
            : throw Error($"{field.Name} should be a number in the range of its type, or a name that the format has for one");
    }
}
