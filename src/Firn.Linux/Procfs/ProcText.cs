using System.Text;

namespace Firn.Linux.Procfs;

/// <summary>Names in the texts of /proc, from the kernel's escaped bytes to strings.</summary>
internal static class ProcText
{
    /// <summary>Undoes every octal escape (<c>\040</c>): right where the kernel escapes the backslash too, as in mountinfo.</summary>
    public static string Unescape(ReadOnlySpan<byte> text) => Decode(text, default);

    /// <summary>Undoes <c>\012</c> alone: maps and smaps escape the newline but not the backslash (seq_path(m, path, "\n")).</summary>
    public static string UnescapeNewlines(ReadOnlySpan<byte> text) => Decode(text, "012"u8);

    /// <summary>Takes the name before a line's colon as chars, so that a switch can tell it; false if there is none that fits.</summary>
    public static bool TryKey(ReadOnlySpan<byte> line, Span<char> buffer, out ReadOnlySpan<char> key)
    {
        int colon = line.IndexOf((byte)':');
        if (colon < 0 || colon > buffer.Length)
        {
            key = default;
            return false;
        }

        key = buffer[..Encoding.Latin1.GetChars(line[..colon], buffer)];
        return true;
    }

    private static string Decode(ReadOnlySpan<byte> text, ReadOnlySpan<byte> only)
    {
        if (!text.Contains((byte)'\\'))
        {
            return Encoding.UTF8.GetString(text);
        }

        byte[] decoded = new byte[text.Length];
        int length = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && IsEscape(text[(i + 1)..], only))
            {
                decoded[length++] = (byte)(((text[i + 1] - '0') << 6) | ((text[i + 2] - '0') << 3) | (text[i + 3] - '0'));
                i += 3;
            }
            else
            {
                decoded[length++] = text[i];
            }
        }

        return Encoding.UTF8.GetString(decoded, 0, length);
    }

    private static bool IsEscape(ReadOnlySpan<byte> text, ReadOnlySpan<byte> only)
        => text.Length >= 3 && IsOctal(text[0]) && IsOctal(text[1]) && IsOctal(text[2]) && (only.IsEmpty || text.StartsWith(only));

    private static bool IsOctal(byte c) => c is >= (byte)'0' and <= (byte)'7';
}
