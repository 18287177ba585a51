using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Firn.Linux.Procfs;

/// <summary>Walks over a text of /proc as bytes: no strings are made but those that are kept.</summary>
/// <param name="text">The text, or the rest of a line.</param>
internal ref struct ByteReader(ReadOnlySpan<byte> text)
{
    private ReadOnlySpan<byte> rest = text;

    /// <summary>What is left.</summary>
    public readonly ReadOnlySpan<byte> Rest => rest;

    public readonly bool AtEnd => rest.IsEmpty;

    /// <summary>Takes a line without its newline; false at the end of the text.</summary>
    public bool TryLine(out ReadOnlySpan<byte> line)
    {
        if (rest.IsEmpty)
        {
            line = default;
            return false;
        }

        int end = rest.IndexOf((byte)'\n');
        line = end < 0 ? rest : rest[..end];
        rest = end < 0 ? default : rest[(end + 1)..];
        return true;
    }

    /// <summary>Takes a literal if it stands here.</summary>
    public bool TryTake(ReadOnlySpan<byte> literal)
    {
        if (!rest.StartsWith(literal))
        {
            return false;
        }

        rest = rest[literal.Length..];
        return true;
    }

    /// <summary>Takes a literal after any blanks.</summary>
    /// <exception cref="FormatException">Something else stands here.</exception>
    public void Take(ReadOnlySpan<byte> literal)
    {
        SkipBlanks();
        if (!TryTake(literal))
        {
            Fail(Encoding.ASCII.GetString(literal));
        }
    }

    public void Skip(int count)
    {
        if (count > rest.Length)
        {
            Fail("more text");
        }

        rest = rest[count..];
    }

    public void SkipBlanks()
    {
        int i = 0;
        while (i < rest.Length && rest[i] is (byte)' ' or (byte)'\t')
        {
            i++;
        }

        rest = rest[i..];
    }

    /// <summary>Takes all up to the next blank or the end, after any blanks.</summary>
    public ReadOnlySpan<byte> Word()
    {
        SkipBlanks();
        return Until((byte)' ', (byte)'\t');
    }

    /// <summary>Takes all up to the next space and that space too: unlike <see cref="Word"/>, it finds an empty field.</summary>
    public ReadOnlySpan<byte> Field()
    {
        ReadOnlySpan<byte> field = Until((byte)' ', (byte)' ');
        rest = rest.IsEmpty ? rest : rest[1..];
        return field;
    }

    /// <summary>A decimal number without a sign, after any blanks.</summary>
    public ulong Decimal()
    {
        SkipBlanks();
        ulong value = 0;
        int i = 0;
        for (; i < rest.Length && (uint)(rest[i] - '0') < 10; i++)
        {
            value = (value * 10) + (uint)(rest[i] - '0');
        }

        return Number(value, i);
    }

    /// <summary>A decimal number that may be negative, after any blanks.</summary>
    public long Signed()
    {
        SkipBlanks();
        return TryTake("-"u8) ? -(long)Decimal() : (long)Decimal();
    }

    public int Int32() => (int)Signed();

    /// <summary>A hexadecimal number, with or without 0x, after any blanks.</summary>
    public ulong Hex()
    {
        SkipBlanks();
        if (rest.StartsWith("0x"u8))
        {
            rest = rest[2..];
        }

        ulong value = 0;
        int i = 0;
        for (; i < rest.Length; i++)
        {
            int digit = HexDigit(rest[i]);
            if (digit < 0)
            {
                break;
            }

            value = (value << 4) | (uint)digit;
        }

        return Number(value, i);
    }

    /// <summary>An octal number, after any blanks.</summary>
    public ulong Octal()
    {
        SkipBlanks();
        ulong value = 0;
        int i = 0;
        for (; i < rest.Length && (uint)(rest[i] - '0') < 8; i++)
        {
            value = (value << 3) | (uint)(rest[i] - '0');
        }

        return Number(value, i);
    }

    /// <summary>All the numbers up to the end, each of which may be negative.</summary>
    public int[] Int32s()
    {
        var numbers = new List<int>();
        for (SkipBlanks(); !AtEnd; SkipBlanks())
        {
            numbers.Add(Int32());
        }

        return [.. numbers];
    }

    /// <summary>All the numbers up to the end, without signs.</summary>
    public uint[] UInt32s()
    {
        var numbers = new List<uint>();
        for (SkipBlanks(); !AtEnd; SkipBlanks())
        {
            numbers.Add((uint)Decimal());
        }

        return [.. numbers];
    }

    /// <summary>The bytes of a run of hexadecimal digits.</summary>
    public byte[] HexBytes(int count)
    {
        byte[] bytes = new byte[count];
        for (int i = 0; i < count; i++)
        {
            if (rest.Length < 2 || HexDigit(rest[0]) < 0 || HexDigit(rest[1]) < 0)
            {
                Fail("hexadecimal bytes");
            }

            bytes[i] = (byte)((HexDigit(rest[0]) << 4) | HexDigit(rest[1]));
            rest = rest[2..];
        }

        return bytes;
    }

    private static int HexDigit(byte c) => c switch
    {
        >= (byte)'0' and <= (byte)'9' => c - '0',
        >= (byte)'a' and <= (byte)'f' => c - 'a' + 10,
        >= (byte)'A' and <= (byte)'F' => c - 'A' + 10,
        _ => -1,
    };

    private ReadOnlySpan<byte> Until(byte first, byte second)
    {
        int end = rest.IndexOfAny(first, second);
        ReadOnlySpan<byte> taken = end < 0 ? rest : rest[..end];
        rest = end < 0 ? default : rest[end..];
        return taken;
    }

    private ulong Number(ulong value, int digits)
    {
        if (digits == 0)
        {
            Fail("a number");
        }

        rest = rest[digits..];
        return value;
    }

    [DoesNotReturn]
    private readonly void Fail(string wanted)
    {
        string found = Encoding.UTF8.GetString(rest[..Math.Min(rest.Length, 80)]);
        throw new FormatException($"text of /proc: wanted {wanted}, found '{found}'");
    }
}
