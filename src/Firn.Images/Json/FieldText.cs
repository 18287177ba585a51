using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Firn.Images;

/// <summary>Numbers and bytes as text and back, in the forms that CRIU's decoder has.</summary>
internal static class FieldText
{
    private const int Base64BytesPerLine = 57;
    private const int QuotedLineLength = 76;

    internal static string Hex(ulong value) => string.Create(CultureInfo.InvariantCulture, $"0x{value:x}");

    /// <summary>The names of all set bits, and what has none as a last number; nothing at all for zero.</summary>
    internal static string Flags(ulong value, (string Name, ulong Value)[] table)
    {
        var parts = new List<string>();
        foreach ((string name, ulong bit) in table)
        {
            if ((value & bit) != 0)
            {
                parts.Add(name);
                value &= ~bit;
            }
        }

        if (value != 0)
        {
            parts.Add(Hex(value));
        }

        return string.Join(" | ", parts);
    }

    internal static bool TryParseFlags(string text, (string Name, ulong Value)[] table, out ulong value)
    {
        value = 0;
        foreach (string part in text.Split('|', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            if (!TryName(part, table, out ulong bits) && !TryParseNumber(part, out bits))
            {
                return false;
            }

            value |= bits;
        }

        return true;
    }

    internal static bool TryName(string name, (string Name, ulong Value)[] table, out ulong value)
    {
        foreach ((string candidate, ulong number) in table)
        {
            if (candidate == name)
            {
                value = number;
                return true;
            }
        }

        value = 0;
        return false;
    }

    /// <summary>A decimal number, or a hexadecimal one with 0x.</summary>
    internal static bool TryParseNumber(string text, out ulong value) => text.StartsWith("0x", StringComparison.Ordinal)
        ? ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value)
        : ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);

    /// <summary>A device number: the kernel's own has 20 bits of minor, that of stat(2) is spread over the word.</summary>
    internal static string Device(ulong value, bool old)
    {
        (ulong major, ulong minor) = old
            ? (((value >> 8) & 0xfff) | ((value >> 32) & ~0xfffUL), (value & 0xff) | ((value >> 12) & 0xffffff00))
            : (value >> 20, value & 0xfffff);
        return string.Create(CultureInfo.InvariantCulture, $"{major}:{minor}");
    }

    internal static bool TryParseDevice(string text, bool old, out ulong value)
    {
        value = 0;
        string[] parts = text.Split(':');
        if (parts.Length != 2 || !TryParseNumber(parts[0], out ulong major) || !TryParseNumber(parts[1], out ulong minor))
        {
            return false;
        }

        value = old
            ? ((major & 0xfff) << 8) | ((major & ~0xfffUL) << 32) | (minor & 0xff) | ((minor & ~0xffUL) << 12)
            : (major << 20) | minor;
        return old || (minor >> 20 == 0 && major >> 12 == 0);
    }

    /// <summary>An internet address from one word or from four, each in network order as it lies in memory.</summary>
    internal static string Address(ReadOnlySpan<uint> words)
    {
        Span<byte> bytes = stackalloc byte[4 * words.Length];
        for (int i = 0; i < words.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[(4 * i)..], words[i]);
        }

        return words.Length == 1 ? new IPAddress(bytes).ToString() : Ipv6(bytes);
    }

    internal static bool TryParseAddress(string text, out uint[] words)
    {
        words = [];
        if (!IPAddress.TryParse(text, out IPAddress? address))
        {
            return false;
        }

        byte[] bytes = address.GetAddressBytes();
        words = new uint[bytes.Length / 4];
        for (int i = 0; i < words.Length; i++)
        {
            words[i] = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(4 * i));
        }

        return address.AddressFamily is AddressFamily.InterNetwork or AddressFamily.InterNetworkV6;
    }

    /// <summary>Base64 in lines of 76 characters, each with an end of line, as MIME has it.</summary>
    internal static string Base64(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder((bytes.Length / 3 * 4) + (bytes.Length / Base64BytesPerLine) + 8);
        Span<char> line = stackalloc char[QuotedLineLength];
        while (bytes.Length > 0)
        {
            ReadOnlySpan<byte> part = bytes[..Math.Min(bytes.Length, Base64BytesPerLine)];
            Convert.TryToBase64Chars(part, line, out int length);
            text.Append(line[..length]).Append('\n');
            bytes = bytes[part.Length..];
        }

        return text.ToString();
    }

    internal static bool TryParseBase64(string text, out ReadOnlyMemory<byte> bytes)
    {
        byte[] buffer = new byte[(text.Length / 4 * 3) + 3];
        bool valid = Convert.TryFromBase64String(text, buffer, out int length);
        bytes = buffer.AsMemory(0, length);
        return valid;
    }

    /// <summary>Quoted-printable; ends of line are quoted too, so that a name with any bytes comes back as it was.</summary>
    internal static string Quoted(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder();
        int column = 0;
        for (int i = 0; i < bytes.Length; i++)
        {
            bool last = i + 1 == bytes.Length;
            byte next = bytes[i];
            bool loneDot = next == '.' && column == 0 && (last || bytes[i + 1] == 0);
            bool plain = next is (>= (byte)' ' and <= (byte)'~' and not (byte)'=') or (byte)'\t';
            bool lastBlank = last && next is (byte)' ' or (byte)'\t';
            int width = plain && !loneDot && !lastBlank ? 1 : 3;
            if (column + width >= QuotedLineLength && (width > 1 || !last))
            {
                text.Append("=\n");
                column = 0;
            }

            column += width;
            _ = width == 1 ? text.Append((char)next) : text.Append(CultureInfo.InvariantCulture, $"={next:X2}");
        }

        return text.ToString();
    }

    internal static bool TryParseQuoted(string text, out ReadOnlyMemory<byte> bytes)
    {
        var result = new List<byte>(text.Length);
        bytes = default;
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] != '=')
            {
                result.Add((byte)text[i]);
                if (text[i] > '~')
                {
                    return false;
                }
            }
            else if (i + 1 < text.Length && text[i + 1] == '\n')
            {
                i++;
            }
            else if (i + 2 < text.Length && TryParseNumber($"0x{text.AsSpan(i + 1, 2)}", out ulong value))
            {
                result.Add((byte)value);
                i += 2;
            }
            else
            {
                return false;
            }
        }

        bytes = result.ToArray();
        return true;
    }

    // The longest run of zero groups is left out; unlike .NET's own form, no part is ever shown as an IPv4 address.
    private static string Ipv6(ReadOnlySpan<byte> bytes)
    {
        int start = -1;
        int length = 1;
        for (int i = 0; i < 8; i++)
        {
            int run = 0;
            while (i + run < 8 && BinaryPrimitives.ReadUInt16BigEndian(bytes[(2 * (i + run))..]) == 0)
            {
                run++;
            }

            (start, length) = run > length ? (i, run) : (start, length);
        }

        var text = new StringBuilder();
        for (int i = 0; i < 8; i++)
        {
            if (i == start)
            {
                text.Append("::");
                i += length - 1;
                continue;
            }

            _ = i > 0 && text[^1] != ':' ? text.Append(':') : text;
            text.Append(CultureInfo.InvariantCulture, $"{BinaryPrimitives.ReadUInt16BigEndian(bytes[(2 * i)..]):x}");
        }

        return text.ToString();
    }
}
