namespace Firn.Tracing;

/// <summary>An address in a tracee: never to be mistaken for one of Firn's own.</summary>
/// <param name="Value">The address.</param>
public readonly record struct RemotePtr(ulong Value)
{
    /// <summary>No address.</summary>
    public static RemotePtr Null => default;

    /// <summary>An address some bytes further on.</summary>
    public static RemotePtr operator +(RemotePtr pointer, ulong bytes) => new(pointer.Value + bytes);

    /// <inheritdoc cref="op_Addition"/>
    public RemotePtr Add(ulong bytes) => this + bytes;

    /// <inheritdoc/>
    public override string ToString() => $"0x{Value:x}";
}
