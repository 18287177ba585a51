using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Firn.Images;

/// <summary>The required fields of one message type, to be looked for in its bytes.</summary>
/// <remarks>
/// protobuf-c refuses a message that lacks one, Google's C# runtime lets it pass. A message that is split over several occurrences of its
/// field is refused too, although protobuf would join them: no writer does so.
/// </remarks>
internal sealed class WireShape
{
    private readonly ulong required;
    private readonly (int Number, WireShape Shape)[] nested;

    internal WireShape(ReadOnlySpan<int> required, params ReadOnlySpan<(int Number, WireShape? Shape)> nested)
    {
        foreach (int number in required)
        {
            this.required |= 1UL << number;
        }

        this.nested = new (int, WireShape)[nested.Length];
        for (int i = 0; i < nested.Length; i++)
        {
            this.nested[i] = (nested[i].Number, nested[i].Shape ?? this);
        }
    }

    /// <summary>The required fields as bits, bit 1 for field 1.</summary>
    internal ulong Required => required;

    /// <summary>The shapes of the fields that are messages with something to check.</summary>
    internal ReadOnlySpan<(int Number, WireShape Shape)> Nested => nested;

    /// <summary>The dotted path of a required field that is not there, or null if all are.</summary>
    /// <param name="bytes">A message that was parsed before, so that its nesting is known to be bounded.</param>
    /// <param name="message">The same, for the names of its fields.</param>
    internal string? FindMissing(ReadOnlySpan<byte> bytes, IMessage message)
    {
        var path = new List<int>();
        if (!Misses(bytes, path))
        {
            return null;
        }

        path.Reverse();
        MessageDescriptor descriptor = message.Descriptor;
        var names = new List<string>();
        foreach (int number in path)
        {
            FieldDescriptor field = descriptor.FindFieldByNumber(number);
            names.Add(field.Name);
            descriptor = field.FieldType == FieldType.Message ? field.MessageType : descriptor;
        }

        return string.Join('.', names);
    }

    /// <summary>Whether a required field is missing; the fields that lead to it are added, the innermost first.</summary>
    private bool Misses(ReadOnlySpan<byte> bytes, List<int> path)
    {
        ulong seen = 0;
        var reader = new WireReader(bytes);
        while (reader.Read())
        {
            if (reader.Number < 64)
            {
                seen |= 1UL << reader.Number;
            }

            bool isNested = reader.Type == WireFormat.WireType.LengthDelimited;
            if (isNested && ShapeOf(reader.Number) is { } shape && shape.Misses(reader.Bytes, path))
            {
                path.Add(reader.Number);
                return true;
            }
        }

        ulong missing = required & ~seen;
        if (missing == 0)
        {
            return false;
        }

        path.Add(System.Numerics.BitOperations.TrailingZeroCount(missing));
        return true;
    }

    private WireShape? ShapeOf(int number)
    {
        foreach ((int candidate, WireShape shape) in nested)
        {
            if (candidate == number)
            {
                return shape;
            }
        }

        return null;
    }
}
