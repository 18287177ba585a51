using System.Buffers;
using System.Text;
using System.Text.Json;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Firn.Images;

/// <summary>Writes messages as JSON, from their bytes and the descriptors of their types.</summary>
/// <remarks>
/// It walks over the bytes and not over the properties: those do not show unknown fields, and to reach them by name needs reflection
/// that an ahead-of-time compiled program may not have.
/// </remarks>
internal sealed class JsonForm : IDisposable
{
    // Utf8JsonWriter takes no longer text at once.
    private const int MaxTextLength = 160_000_000;

    private readonly ArrayBufferWriter<byte> text = new();
    private readonly Utf8JsonWriter writer;
    private readonly string fileName;

    internal JsonForm(string fileName)
    {
        this.fileName = fileName;
        writer = new Utf8JsonWriter(text, new JsonWriterOptions
        {
            Indented = true,
            IndentSize = 1,
            NewLine = "\n",
            Encoder = new AsciiJsonEncoder(),
            MaxDepth = ImageLimits.MaxJsonDepth,
        });
    }

    public void Dispose() => writer.Dispose();

    internal void Open(string name)
    {
        Name(name);
        writer.WriteStartArray();
    }

    internal void Close() => writer.WriteEndArray();

    internal void OpenObject() => writer.WriteStartObject();

    internal void OpenObject(string name)
    {
        Name(name);
        writer.WriteStartObject();
    }

    internal void CloseObject() => writer.WriteEndObject();

    internal void Text(string name, string value)
    {
        Name(name);
        Text(value);
    }

    internal void Bytes(string name, ReadOnlySpan<byte> bytes) => Text(name, FieldText.Base64(bytes));

    internal void Text(string value)
    {
        CheckLength(value.Length);
        writer.WriteStringValue(value);
    }

    internal void Number(ulong value) => writer.WriteNumberValue(value);

    /// <summary>The members of a message, without braces.</summary>
    internal void Members(IMessage message) => Members(message.ToByteArray(), message.Descriptor, hex: false);

    internal string Finish()
    {
        writer.Flush();
        return Encoding.UTF8.GetString(text.WrittenSpan) + "\n";
    }

    private void Members(ReadOnlySpan<byte> bytes, MessageDescriptor descriptor, bool hex)
    {
        var unknown = new ArrayBufferWriter<byte>();
        var reader = new WireReader(bytes);
        bool more = reader.Read();
        while (more)
        {
            FieldDescriptor? field = descriptor.FindFieldByNumber(reader.Number);
            if (field is null || FieldHints.WireTypeOf(field.FieldType) != reader.Type)
            {
                unknown.Write(reader.Whole);
                more = reader.Read();
            }
            else if (field.IsRepeated)
            {
                more = Repeated(ref reader, field, hex);
            }
            else
            {
                Name(field.Name);
                Value(reader, field, hex);
                more = reader.Read();
            }
        }

        if (unknown.WrittenCount > 0)
        {
            Bytes(FieldHints.Unknown, unknown.WrittenSpan);
        }
    }

    /// <summary>All values of a repeated field, which stand together since they were just written; whether another field follows.</summary>
    private bool Repeated(ref WireReader reader, FieldDescriptor field, bool hex)
    {
        Open(field.Name);
        bool more = true;
        var words = new List<uint>();
        bool address = FieldHints.Of(field).Address;
        for (int number = field.FieldNumber; more && reader.Number == number; more = reader.Read())
        {
            if (address)
            {
                words.Add((uint)reader.Value);
            }
            else
            {
                Value(reader, field, hex);
            }
        }

        if (words.Count is 1 or 4)
        {
            Text(FieldText.Address([.. words]));
        }
        else
        {
            words.ForEach(word => Number(word));
        }

        Close();
        return more;
    }

    private void Value(in WireReader reader, FieldDescriptor field, bool hex)
    {
        DisplayHints hints = FieldHints.Of(field);
        switch (field.FieldType)
        {
            case FieldType.Message:
                writer.WriteStartObject();
                Members(reader.Bytes, field.MessageType, hex || hints.Hex);
                writer.WriteEndObject();
                break;
            case FieldType.String:
                Text(Encoding.UTF8.GetString(reader.Bytes));
                break;
            case FieldType.Bytes:
                Text(hints.HasConversion ? FieldText.Quoted(reader.Bytes) : FieldText.Base64(reader.Bytes));
                break;
            case FieldType.Bool:
                writer.WriteBooleanValue(reader.Value != 0);
                break;
            case FieldType.Enum when field.EnumType.FindValueByNumber((int)reader.Value) is { } named:
                Text(named.Name);
                break;
            case FieldType.Enum or FieldType.Int32 or FieldType.Int64:
                writer.WriteNumberValue((long)reader.Value);
                break;
            case FieldType.SInt32 or FieldType.SInt64:
                writer.WriteNumberValue((long)(reader.Value >> 1) ^ -(long)(reader.Value & 1));
                break;
            default:
                Unsigned(reader.Value, field, hints, hex || hints.Hex);
                break;
        }
    }

    private void Unsigned(ulong value, FieldDescriptor field, DisplayHints hints, bool hex)
    {
        if (hex)
        {
            Text(FieldText.Hex(value));
        }
        else if (hints.Device)
        {
            Text(FieldText.Device(value, hints.OldDevice));
        }
        else if (hints.HasFlags)
        {
            Text(FieldText.Flags(value, DisplayTables.Flags(hints.Flags)));
        }
        else if (hints.HasDict && Array.Find(DisplayTables.Names(hints.Dict, field.Name), it => it.Value == value) is { Name: { } name })
        {
            Text(name);
        }
        else
        {
            Number(value);
        }
    }

    private void Name(string name)
    {
        CheckLength(0);
        writer.WritePropertyName(name);
    }

    private void CheckLength(int next)
    {
        if (next > MaxTextLength || writer.BytesCommitted + writer.BytesPending + next > ImageLimits.MaxJsonCharacters)
        {
            throw new ImageFormatException(
                fileName, -1, ImageDiagnostic.TooLarge, "the image is too large for JSON; look at it with a program that reads images");
        }
    }
}
