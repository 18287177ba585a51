using Google.Protobuf;

namespace Firn.Images;

/// <summary>One entry of an image: a message, and the bytes beside it that some kinds have.</summary>
/// <param name="message">The message.</param>
/// <param name="payload">The bytes beside it, without padding.</param>
public readonly struct ImageEntry(IMessage message, ReadOnlyMemory<byte> payload = default)
{
    /// <summary>The message.</summary>
    public IMessage Message { get; } = message;

    /// <summary>The bytes beside the message, without padding. After decoding, a slice of what was decoded: nothing is copied.</summary>
    public ReadOnlyMemory<byte> Payload { get; } = payload;

    /// <summary>Where the entry begins in its file (at its size), if it was decoded.</summary>
    public long Offset { get; init; }

    /// <summary>Where the payload begins in its file, if it was decoded; so that large content can be copied from file to file.</summary>
    public long PayloadOffset { get; init; }
}
