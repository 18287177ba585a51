using System.Globalization;
using Firn.Engine.Tests.RoundTrip;
using Firn.Rpc.Messages;
using Google.Protobuf;

namespace Firn.Rpc.Tests;

/// <summary>What an engine hears from Firn in one conversation, as `rpc_peer` has it.</summary>
/// <param name="Replies">All that Firn has sent.</param>
/// <param name="Descriptors">What came with each: `terminal`, `other`, or nothing.</param>
/// <param name="Status">Firn's exit status.</param>
/// <param name="IsChild">Whether what was restored is the engine's child.</param>
internal sealed record Peer(IReadOnlyList<Reply> Replies, IReadOnlyList<string> Descriptors, int Status, bool IsChild)
{
    /// <summary>The last.</summary>
    public Reply Answer => Replies[^1];

    /// <summary>The names of the notifications, in order.</summary>
    public IEnumerable<string> Hooks => Replies.Where(reply => reply.Type == RequestType.Notify).Select(reply => reply.Notify.Script);

    /// <summary>Holds a conversation within a pid namespace.</summary>
    /// <param name="space">The namespace.</param>
    /// <param name="options">Options of rpc_peer.</param>
    /// <param name="requests">What the engine asks.</param>
    public static Peer Talk(PidNamespace space, string[] options, params byte[][] requests)
    {
        Outcome outcome = space.Run(
            [Programs.Target("rpc_peer"), .. options, Programs.Firn, .. requests.Select(request => Argument(space, request))]);
        if (outcome.Status != 0)
        {
            throw new InvalidOperationException($"rpc_peer: status {outcome.Status}\n{outcome.Output}{outcome.Error}");
        }

        // Nothing else may reach the streams of an engine, which are the container's.
        Assert.Equal("", outcome.Error);
        string[][] lines = [.. outcome.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(' '))];
        string[][] packets = [.. lines.Where(line => line[0] == "packet")];
        return new Peer(
            [.. packets.Select(line => Reply.Parser.ParseFrom(Convert.FromHexString(line[1])))],
            [.. packets.Select(line => line.Length > 3 ? line[3] : "")],
            int.Parse(lines.Single(line => line[0] == "end")[1], CultureInfo.InvariantCulture),
            lines.Any(line => line is ["child", "yes"]));
    }

    /// <summary>Asks a service.</summary>
    public static Outcome Connect(PidNamespace space, string socket, string[] options, Request request)
        => space.Run([Programs.Target("rpc_peer"), .. options, "--socket", socket, Argument(space, request.ToByteArray())]);

    private const int MostInArgument = 1000;

    private static string Argument(PidNamespace space, byte[] request)
    {
        string hex = Convert.ToHexStringLower(request);
        if (hex.Length <= MostInArgument)
        {
            return hex;
        }

        string file = Path.Combine(space.Directory, $"request-{Guid.NewGuid():N}");
        File.WriteAllText(file, hex);
        return "@" + file;
    }

    /// <inheritdoc cref="Talk(PidNamespace, string[], byte[][])"/>
    public static Peer Talk(PidNamespace space, string[] options, params Request[] requests)
        => Talk(space, options, [.. requests.Select(request => request.ToByteArray())]);
}
