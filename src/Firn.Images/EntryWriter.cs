using System.Buffers;
using System.Buffers.Binary;
using Google.Protobuf;

namespace Firn.Images;

/// <summary>Puts the entries of one image one behind the other.</summary>
internal sealed class EntryWriter
{
    private readonly ImageKind kind;
    private readonly ArrayBufferWriter<byte> file = new();
    private int count;
    private uint queued;
    private bool open;

    /// <summary>Writes the magic numbers.</summary>
    internal EntryWriter(ImageKind kind)
    {
        this.kind = kind;
        if (kind.IsRaw)
        {
            throw Error(ImageDiagnostic.WrongKind, "the file belongs to another tool and has no entries; write its bytes as they are");
        }

        if (kind.OuterMagic != 0)
        {
            WriteNumber(kind.OuterMagic);
        }

        WriteNumber(kind.Magic);
    }

    /// <summary>Appends an entry, after the same checks that a reader makes.</summary>
    internal void Add(ImageEntry entry)
    {
        IMessage message = entry.Message;
        if (kind.Find(message.GetType()) is not { } type || type != NextType() || open)
        {
            throw Error(ImageDiagnostic.WrongKind, $"an image {kind} cannot have a {message.Descriptor.Name} as entry {count}");
        }

        if (count > 0 && kind.IsSingle)
        {
            throw Error(ImageDiagnostic.TrailingBytes, $"an image {kind} has exactly one entry");
        }

        WriteMessage(type, message);
        WritePayload(message, entry.Payload.Span);
        count++;
        if (message is IpcMsgEntry queue)
        {
            queued = queue.Qnum;
        }
        else if (message is IpcMsg)
        {
            queued--;
        }
    }

    /// <summary>The whole file.</summary>
    internal byte[] ToArray()
    {
        if (queued > 0 || (count == 0 && kind.IsSingle))
        {
            string sentence = queued > 0 ? $"{queued} messages of the last queue are missing" : $"an image {kind} has exactly one entry";
            throw Error(ImageDiagnostic.Truncated, sentence);
        }

        return file.WrittenSpan.ToArray();
    }

    private ImageMessage NextType() => kind.Messages.Length == 1
        ? kind.Messages[0]
        : kind.Messages[kind.Payload == PayloadRule.IpcMsg ? queued > 0 ? 1 : 0 : count > 0 ? 1 : 0];

    private void WriteMessage(ImageMessage type, IMessage message)
    {
        int size = message.CalculateSize();
        if (size > ImageLimits.MaxMessageBytes)
        {
            throw Error(ImageDiagnostic.TooLarge, $"a {type.Type.Name} of {size} bytes is more than a reader would accept");
        }

        WriteNumber((uint)size);
        Span<byte> bytes = file.GetSpan(size)[..size];
        message.WriteTo(bytes);
        if (type.Shape?.FindMissing(bytes, message) is { } field)
        {
            throw Error(ImageDiagnostic.MissingField, $"{type.Type.Name} lacks the required field {field}; set it, even if it is zero");
        }

        file.Advance(size);
    }

    private void WritePayload(IMessage message, ReadOnlySpan<byte> payload)
    {
        long length = kind.Payload == PayloadRule.None ? 0 : Payloads.Length(message);
        if (length >= 0 && length != payload.Length)
        {
            throw Error(ImageDiagnostic.BadPayload, $"{message.Descriptor.Name} speaks of {length} bytes, but {payload.Length} were given");
        }

        file.Write(payload);
        int padding = Payloads.Padding(message, payload.Length);
        file.GetSpan(padding + 1)[..padding].Clear();
        file.Advance(padding);

        // Behind content without a length nothing more can be told apart.
        open = length < 0;
    }

    private void WriteNumber(uint number)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(file.GetSpan(4), number);
        file.Advance(4);
    }

    private ImageFormatException Error(string identifier, string sentence) => new(kind.Pattern, file.WrittenCount, identifier, sentence);
}
