using System.Text;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Firn.Images.Tests;

/// <summary>Messages of any type with random but valid fields, made from the descriptors.</summary>
internal sealed class RandomMessages(int seed)
{
    private readonly Random random = new(seed);

    /// <summary>All entries of one image, payloads included.</summary>
    public List<ImageEntry> Entries(ImageKind kind)
    {
        List<ImageEntry> entries = [];
        int count = kind.IsSingle ? 1 : random.Next(4);
        for (int i = 0; i < count; i++)
        {
            int type = kind.Payload != PayloadRule.IpcMsg && i > 0 ? kind.Messages.Length - 1 : 0;
            IMessage message = Message(kind.Messages[type]);
            if (kind.Payload == PayloadRule.Ghost && i == 0)
            {
                ((GhostFileEntry)message).Chunks = count > 1;
            }

            entries.Add(Entry(kind, message));
            for (uint text = 0; message is IpcMsgEntry queue && text < queue.Qnum; text++)
            {
                entries.Add(Entry(kind, Message(kind.Messages[1])));
            }
        }

        return entries;
    }

    private static ulong Small(ulong value) => value & 63;

    private ImageEntry Entry(ImageKind kind, IMessage message)
    {
        switch (message)
        {
            case PipeDataEntry it: it.Bytes = (uint)Small(it.Bytes); break;
            case SkPacketEntry it: it.Length = (uint)Small(it.Length); break;
            case TcpStreamEntry it: (it.InqLen, it.OutqLen) = ((uint)Small(it.InqLen), (uint)Small(it.OutqLen)); break;
            case GhostChunkEntry it: it.Len = Small(it.Len); break;
            case IpcShmEntry it: it.Size = Small(it.Size); break;
            case IpcMsg it: it.Msize = (uint)Small(it.Msize); break;
            case IpcMsgEntry it: it.Qnum = (uint)Small(it.Qnum) / 16; break;
            case IpcSemEntry it: it.Nsems = (uint)Small(it.Nsems); break;
            case BpfmapDataEntry it: (it.KeysBytes, it.ValuesBytes) = ((uint)Small(it.KeysBytes), (uint)Small(it.ValuesBytes)); break;
            default: break;
        }

        long length = kind.Payload == PayloadRule.None ? 0 : Payloads.Length(message);
        byte[] payload = new byte[length < 0 ? random.Next(200) : length];
        random.NextBytes(payload);
        return new ImageEntry(message, payload);
    }

    private IMessage Message(ImageMessage type)
    {
        IMessage message = type.Create();
        message.MergeFrom(Bytes(message.Descriptor, 0));
        return message;
    }

    private byte[] Bytes(MessageDescriptor descriptor, int depth)
    {
        using var buffer = new MemoryStream();
        using (var output = new CodedOutputStream(buffer, leaveOpen: true))
        {
            foreach (FieldDescriptor field in descriptor.Fields.InFieldNumberOrder())
            {
                bool optional = !field.IsRequired;
                bool recursive = field.FieldType == FieldType.Message && depth > 4;
                int count = field.IsRepeated ? random.Next(5) : 1;
                if (optional && (recursive || random.Next(3) == 0))
                {
                    continue;
                }

                for (int i = 0; i < count; i++)
                {
                    Value(output, field, depth);
                }
            }

            if (random.Next(8) == 0)
            {
                // No message has fields of these numbers.
                output.WriteTag(1900 + random.Next(50), WireFormat.WireType.Varint);
                output.WriteUInt64(Number());
                output.WriteTag(1999, WireFormat.WireType.LengthDelimited);
                output.WriteString("Firn's own");
            }
        }

        return buffer.ToArray();
    }

    private void Value(CodedOutputStream output, FieldDescriptor field, int depth)
    {
        output.WriteTag(field.FieldNumber, FieldHints.WireTypeOf(field.FieldType));
        switch (field.FieldType)
        {
            case FieldType.Message: output.WriteBytes(ByteString.CopyFrom(Bytes(field.MessageType, depth + 1))); break;
            case FieldType.String: output.WriteString(Text()); break;
            case FieldType.Bytes: output.WriteBytes(ByteString.CopyFrom(RandomBytes())); break;
            case FieldType.Bool: output.WriteBool(random.Next(2) == 0); break;
            case FieldType.Enum: output.WriteEnum(field.EnumType.Values[random.Next(field.EnumType.Values.Count)].Number); break;
            case FieldType.Int32: output.WriteInt32((int)Number()); break;
            case FieldType.Int64: output.WriteInt64((long)Number()); break;
            case FieldType.SInt32: output.WriteSInt32((int)Number()); break;
            case FieldType.SInt64: output.WriteSInt64((long)Number()); break;
            case FieldType.UInt32: output.WriteUInt32((uint)Number()); break;
            case FieldType.Fixed64: output.WriteFixed64(Number()); break;
            default: output.WriteUInt64(Number()); break;
        }
    }

    private ulong Number() => random.Next(4) switch
    {
        0 => (ulong)random.Next(20),
        1 => 1UL << random.Next(64),
        2 => ulong.MaxValue,
        _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
    };

    private byte[] RandomBytes()
    {
        byte[] bytes = new byte[random.Next(random.Next(2) == 0 ? 8 : 200)];
        random.NextBytes(bytes);
        return bytes;
    }

    private string Text()
    {
        var text = new StringBuilder();
        for (int i = random.Next(12); i > 0; i--)
        {
            text.Append(random.Next(4) switch
            {
                0 => "\\\"\n\t\0\u007f+&<'"[random.Next(10)].ToString(),
                1 => char.ConvertFromUtf32(0x1F600 + random.Next(50)),
                2 => ((char)random.Next(0x80, 0xd800)).ToString(),
                _ => ((char)random.Next(' ', '~')).ToString(),
            });
        }

        return text.ToString();
    }
}
