using System.Buffers.Binary;
using Google.Protobuf;

namespace Firn.Images;

/// <summary>Walks over the fields of one protobuf message without knowing its type.</summary>
internal ref struct WireReader(ReadOnlySpan<byte> message)
{
    private readonly ReadOnlySpan<byte> message = message;
    private int position;

    /// <summary>The number of the current field.</summary>
    internal int Number { get; private set; }

    /// <summary>How the current field is stored.</summary>
    internal WireFormat.WireType Type { get; private set; }

    /// <summary>The current field's number, if it is stored as one.</summary>
    internal ulong Value { get; private set; }

    /// <summary>The current field's content, if it is stored with a length.</summary>
    internal ReadOnlySpan<byte> Bytes { get; private set; }

    /// <summary>The current field as it stands in the message, tag included.</summary>
    internal ReadOnlySpan<byte> Whole { get; private set; }

    /// <summary>Goes to the next field; false at the end, or where the bytes are not protobuf.</summary>
    internal bool Read()
    {
        int start = position;
        if (!ReadField())
        {
            return false;
        }

        if (Type == WireFormat.WireType.StartGroup && !SkipGroup())
        {
            return false;
        }

        Whole = message[start..position];
        return true;
    }

    private bool ReadField()
    {
        if (!Varint(out ulong tag) || tag > uint.MaxValue)
        {
            return false;
        }

        Number = (int)(tag >> 3);
        Type = (WireFormat.WireType)(tag & 7);
        ulong value;
        switch (Type)
        {
            case WireFormat.WireType.Varint when Varint(out value):
                Value = value;
                return true;
            case WireFormat.WireType.Fixed64 when message.Length - position >= 8:
                Value = BinaryPrimitives.ReadUInt64LittleEndian(message[position..]);
                position += 8;
                return true;
            case WireFormat.WireType.Fixed32 when message.Length - position >= 4:
                Value = BinaryPrimitives.ReadUInt32LittleEndian(message[position..]);
                position += 4;
                return true;
            case WireFormat.WireType.LengthDelimited when Varint(out value) && value <= (ulong)(message.Length - position):
                Bytes = message.Slice(position, (int)value);
                position += (int)value;
                return true;
            case WireFormat.WireType.StartGroup:
            case WireFormat.WireType.EndGroup:
                return true;
            default:
                return false;
        }
    }

    /// <summary>Groups are no part of the format; one can only be an unknown field, which is kept whole.</summary>
    private bool SkipGroup()
    {
        int number = Number;
        for (int depth = 1; depth > 0;)
        {
            if (!ReadField())
            {
                return false;
            }

            depth += Type == WireFormat.WireType.StartGroup ? 1 : Type == WireFormat.WireType.EndGroup ? -1 : 0;
        }

        Number = number;
        Type = WireFormat.WireType.StartGroup;
        return true;
    }

    private bool Varint(out ulong value)
    {
        value = 0;
        for (int shift = 0; shift < 70; shift += 7)
        {
            if (position == message.Length)
            {
                return false;
            }

            byte next = message[position++];
            value |= (ulong)(next & 0x7f) << shift;
            if (next < 0x80)
            {
                return true;
            }
        }

        return false;
    }
}
