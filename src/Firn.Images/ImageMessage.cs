using Google.Protobuf;

namespace Firn.Images;

/// <summary>A message type as an image holds it: how to make one, and what it must have.</summary>
internal sealed class ImageMessage
{
    private readonly Func<IMessage> create;

    private ImageMessage(Type type, Func<IMessage> create, WireShape? shape)
    {
        Type = type;
        Shape = shape;
        this.create = create;
    }

    internal Type Type { get; }

    internal WireShape? Shape { get; }

    internal static ImageMessage Of<T>(WireShape? shape)
        where T : class, IMessage, new()
        => new(typeof(T), static () => new T(), shape);

    internal IMessage Create() => create();
}
