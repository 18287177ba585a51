using System.Buffers.Binary;
using System.Text.Json;

namespace Firn.Images;

/// <content>The entries, and the member "extra" with what stands beside them: in the forms of CRIU's decoder.</content>
public static partial class ImageJson
{
    private const string ReceiveQueue = "inq";
    private const string SendQueue = "outq";

    private static void WriteEntries(JsonForm json, ImageKind kind, IReadOnlyList<ImageEntry> entries)
    {
        for (int i = 0; i < entries.Count; i++)
        {
            ImageEntry entry = entries[i];
            json.OpenObject();
            json.Members(entry.Message);
            switch (entry.Message)
            {
                case IpcMsgEntry:
                    json.Open(FieldHints.Extra);
                    for (; i + 1 < entries.Count && entries[i + 1].Message is IpcMsg text; i++)
                    {
                        json.OpenObject();
                        json.Members(text);
                        json.CloseObject();
                        json.Text(FieldText.Base64(entries[i + 1].Payload.Span));
                    }

                    json.Close();
                    break;
                case IpcSemEntry:
                    json.Open(FieldHints.Extra);
                    for (ReadOnlySpan<byte> left = entry.Payload.Span; left.Length > 0; left = left[2..])
                    {
                        json.Number(BinaryPrimitives.ReadUInt16LittleEndian(left));
                    }

                    json.Close();
                    break;
                case TcpStreamEntry stream:
                    json.OpenObject(FieldHints.Extra);
                    json.Bytes(ReceiveQueue, entry.Payload.Span[..(int)stream.InqLen]);
                    json.Bytes(SendQueue, entry.Payload.Span[(int)stream.InqLen..]);
                    json.CloseObject();
                    break;
                case GhostFileEntry { Chunks: true } or IpcShmEntry { InPagemaps: true }:
                    break;
                case var _ when kind.Payload != PayloadRule.None:
                    json.Bytes(FieldHints.Extra, entry.Payload.Span);
                    break;
                default:
                    break;
            }

            json.CloseObject();
        }
    }

    private static byte[] Encode(JsonElement root, JsonMessage reader)
    {
        if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("magic", out JsonElement magic)
            || !root.TryGetProperty("entries", out JsonElement list) || list.ValueKind != JsonValueKind.Array)
        {
            throw reader.Error("the JSON of an image is an object with a \"magic\" and a list of \"entries\"");
        }

        string name = reader.Text(magic, "magic");
        ImageKind kind = ImageKind.ByName(name) ?? throw reader.Error($"no image has the magic {name}");
        if (kind.IsRaw)
        {
            return list.GetArrayLength() == 1 && Extra(list[0]) is { } raw
                ? reader.Bytes(raw, FieldHints.Extra).ToArray()
                : throw reader.Error("the JSON of a raw image has one entry with nothing but \"extra\"");
        }

        var writer = new EntryWriter(kind);
        int count = 0;
        foreach (JsonElement json in list.EnumerateArray())
        {
            ImageMessage type = kind.Messages[kind.Payload != PayloadRule.IpcMsg && count > 0 ? kind.Messages.Length - 1 : 0];
            AddEntry(writer, kind, new ImageEntry(reader.Read(type, json, FieldHints.Extra)), Extra(json), reader);
            count++;
        }

        return writer.ToArray();
    }

    private static JsonElement? Extra(JsonElement json)
        => json.ValueKind == JsonValueKind.Object && json.TryGetProperty(FieldHints.Extra, out JsonElement extra) ? extra : null;

    private static void AddEntry(EntryWriter writer, ImageKind kind, ImageEntry entry, JsonElement? extra, JsonMessage reader)
    {
        switch (entry.Message)
        {
            case IpcMsgEntry:
                writer.Add(entry);
                AddQueue(writer, kind, extra, reader);
                break;
            case IpcSemEntry:
                byte[] values = new byte[2 * (extra is { ValueKind: JsonValueKind.Array } numbers ? numbers.GetArrayLength() : 0)];
                for (int i = 0; i < values.Length; i += 2)
                {
                    ulong value = reader.Number(extra!.Value[i / 2], FieldHints.Extra);
                    if (value > ushort.MaxValue)
                    {
                        throw reader.Error("a semaphore's value is above 65535");
                    }

                    BinaryPrimitives.WriteUInt16LittleEndian(values.AsSpan(i), (ushort)value);
                }

                writer.Add(new ImageEntry(entry.Message, values));
                break;
            case TcpStreamEntry stream:
                ReadOnlyMemory<byte> received = Queue(extra, ReceiveQueue, reader);
                ReadOnlyMemory<byte> sent = Queue(extra, SendQueue, reader);
                if (received.Length != stream.InqLen)
                {
                    throw reader.Error($"{ReceiveQueue} has {received.Length} bytes, but inq_len says {stream.InqLen}");
                }

                writer.Add(new ImageEntry(stream, (byte[])[.. received.Span, .. sent.Span]));
                break;
            default:
                writer.Add(new ImageEntry(entry.Message, extra is { } bytes ? reader.Bytes(bytes, FieldHints.Extra) : default));
                break;
        }
    }

    /// <summary>Messages and their bytes by turns.</summary>
    private static void AddQueue(EntryWriter writer, ImageKind kind, JsonElement? extra, JsonMessage reader)
    {
        if (extra is not { ValueKind: JsonValueKind.Array } list || list.GetArrayLength() % 2 != 0)
        {
            throw reader.Error("the \"extra\" of a message queue is a list of messages and their bytes by turns");
        }

        for (int i = 0; i < list.GetArrayLength(); i += 2)
        {
            writer.Add(new ImageEntry(reader.Read(kind.Messages[1], list[i]), reader.Bytes(list[i + 1], FieldHints.Extra)));
        }
    }

    private static ReadOnlyMemory<byte> Queue(JsonElement? extra, string name, JsonMessage reader)
        => extra is { ValueKind: JsonValueKind.Object } queues && queues.TryGetProperty(name, out JsonElement queue)
            ? reader.Bytes(queue, name)
            : throw reader.Error($"the \"extra\" of a connection has no {name}");
}
