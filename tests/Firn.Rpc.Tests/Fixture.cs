using System.Text.Json;
using Firn.Engine.Tests.RoundTrip;

namespace Firn.Rpc.Tests;

/// <summary>A recorded conversation of a container engine: tests/data/rpc-fixtures.</summary>
/// <param name="Name">What was done.</param>
/// <param name="Packets">All packets, in order.</param>
public sealed record Fixture(string Name, IReadOnlyList<Packet> Packets)
{
    /// <summary>All that were recorded.</summary>
    public static IReadOnlyList<Fixture> All { get; } =
    [
        .. Directory.EnumerateFiles(Programs.Data("rpc-fixtures"), "*.json").Order(StringComparer.Ordinal).Select(Read),
    ];

    /// <summary>The requests, each once.</summary>
    public IEnumerable<Packet> Requests
        => Packets.Where(packet => packet.IsFromClient && packet.Message.GetProperty("type").GetString() != "NOTIFY");

    private static Fixture Read(string path)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
        return new Fixture(
            Path.GetFileNameWithoutExtension(path),
            [
                .. document.RootElement.GetProperty("packets").EnumerateArray().Select(packet => new Packet(
                    packet.GetProperty("dir").GetString() == "client->criu",
                    Convert.FromHexString(packet.GetProperty("hex").GetString()!),
                    packet.GetProperty("message").Clone())),
            ]);
    }
}

/// <summary>One packet.</summary>
/// <param name="IsFromClient">Whether the engine sent it.</param>
/// <param name="Bytes">The packet.</param>
/// <param name="Message">What it means, decoded by others.</param>
public sealed record Packet(bool IsFromClient, byte[] Bytes, JsonElement Message);
