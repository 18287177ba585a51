using System.Buffers.Binary;
using Google.Protobuf;

namespace Firn.Images;

/// <summary>Goes through the entries of one image.</summary>
internal struct EntryReader
{
    private readonly ImageKind kind;
    private readonly ReadOnlyMemory<byte> file;
    private readonly string fileName;
    private int position;
    private int count;
    private uint queued;

    /// <summary>Reads the magic numbers.</summary>
    internal EntryReader(ImageKind kind, ReadOnlyMemory<byte> file, string fileName)
    {
        ArgumentNullException.ThrowIfNull(kind);
        ArgumentNullException.ThrowIfNull(fileName);
        this.kind = kind;
        this.file = file;
        this.fileName = fileName;
        if (kind.IsRaw)
        {
            throw Error(ImageDiagnostic.WrongKind, "the file belongs to another tool and has no entries; use its bytes as they are");
        }

        uint magic = ReadNumber("the magic");
        if (magic == kind.OuterMagic && magic != 0)
        {
            magic = ReadNumber("the magic of its kind");
        }

        if (magic != kind.Magic)
        {
            position -= 4;
            string found = ImageKind.ByMagic(magic) is { } other ? $"that of {other}" : $"0x{magic:x8}, of no image";
            throw Error(ImageDiagnostic.WrongMagic, $"the magic is {found}, and not 0x{kind.Magic:x8} of {kind}; is this the right file?");
        }
    }

    /// <summary>The next entry; false at the end of the file.</summary>
    internal bool TryRead(out ImageEntry entry)
    {
        entry = default;
        if (position == file.Length)
        {
            return EndsWell();
        }

        if (count > 0 && kind.IsSingle)
        {
            throw Error(
                ImageDiagnostic.TrailingBytes, $"{file.Length - position} bytes follow the only entry of {kind}; the file is damaged");
        }

        if (count == ImageLimits.MaxEntries)
        {
            throw Error(ImageDiagnostic.TooLarge, $"the file has more than {count} entries, which no dump has");
        }

        int start = position;
        IMessage message = ReadMessage(NextType());
        if (message is IpcMsgEntry queue)
        {
            queued = queue.Qnum;
        }
        else if (message is IpcMsg)
        {
            queued--;
        }

        int payloadStart = position;
        ReadOnlyMemory<byte> payload = ReadPayload(message);
        count++;
        entry = new ImageEntry(message, payload) { Offset = start, PayloadOffset = payloadStart };
        return true;
    }

    /// <summary>A problem at the place that was reached.</summary>
    internal readonly ImageFormatException Error(string identifier, string sentence, Exception? cause = null)
        => new(fileName, position, identifier, sentence, cause);

    private readonly bool EndsWell()
    {
        if (queued > 0)
        {
            throw Error(ImageDiagnostic.Truncated, $"the file ends where {queued} more messages of a queue should be; make the dump again");
        }

        return count == 0 && kind.IsSingle
            ? throw Error(ImageDiagnostic.Truncated, "the file ends behind its magic, where its entry should be; make the dump again")
            : false;
    }

    /// <summary>The type of the next message, for the few kinds that hold two.</summary>
    private readonly ImageMessage NextType() => kind.Messages.Length == 1
        ? kind.Messages[0]
        : kind.Messages[kind.Payload == PayloadRule.IpcMsg ? queued > 0 ? 1 : 0 : count > 0 ? 1 : 0];

    private IMessage ReadMessage(ImageMessage type)
    {
        uint size = ReadNumber("the size of an entry");
        if (size > ImageLimits.MaxMessageBytes)
        {
            position -= 4;
            throw Error(ImageDiagnostic.TooLarge, $"an entry claims {size} bytes, more than any entry has; the file is damaged");
        }

        ReadOnlySpan<byte> bytes = Take((int)size, "an entry").Span;
        IMessage message = type.Create();
        try
        {
            message.MergeFrom(bytes);
        }
        catch (InvalidProtocolBufferException problem)
        {
            position -= (int)size;
            throw Error(
                ImageDiagnostic.BadMessage, $"the bytes are no {type.Type.Name} ({problem.Message}); the file is damaged", problem);
        }

        if (type.Shape?.FindMissing(bytes, message) is { } field)
        {
            position -= (int)size;
            throw Error(
                ImageDiagnostic.MissingField, $"{type.Type.Name} lacks the required field {field}; the file is damaged or foreign");
        }

        return message;
    }

    private ReadOnlyMemory<byte> ReadPayload(IMessage message)
    {
        if (kind.Payload == PayloadRule.None)
        {
            return default;
        }

        long length = Payloads.Length(message);
        if (length < 0)
        {
            length = file.Length - position;
        }

        ReadOnlyMemory<byte> payload = Take(length, "the bytes beside an entry");
        _ = Take(Payloads.Padding(message, length), "the padding behind an entry");
        return payload;
    }

    private uint ReadNumber(string what) => BinaryPrimitives.ReadUInt32LittleEndian(Take(4, what).Span);

    private ReadOnlyMemory<byte> Take(long length, string what)
    {
        int left = file.Length - position;
        if (length > left)
        {
            throw Error(
                ImageDiagnostic.Truncated, $"{what} should take {length} bytes, but the file ends after {left}; make the dump again");
        }

        ReadOnlyMemory<byte> taken = file.Slice(position, (int)length);
        position += (int)length;
        return taken;
    }
}
