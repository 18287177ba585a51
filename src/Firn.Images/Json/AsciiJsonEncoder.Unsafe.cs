using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;

namespace Firn.Images;

/// <summary>Escapes what is not printable ASCII, and nothing that is but quotes and backslashes.</summary>
/// <remarks>
/// CRIU's decoder writes JSON so. The encoders of .NET escape <c>+</c> too, which base64 is full of, or else nothing above ASCII.
/// </remarks>
internal sealed class AsciiJsonEncoder : JavaScriptEncoder
{
    public override int MaxOutputCharactersPerInputCharacter => 12;

    public override bool WillEncode(int unicodeScalar) => unicodeScalar is < ' ' or > '~' or '"' or '\\';

    public override unsafe int FindFirstCharacterToEncode(char* text, int textLength)
    {
        // SAFETY: the base class gives a buffer of this length.
        var characters = new ReadOnlySpan<char>(text, textLength);
        for (int i = 0; i < characters.Length; i++)
        {
            if (WillEncode(characters[i]))
            {
                return i;
            }
        }

        return -1;
    }

    public override unsafe bool TryEncodeUnicodeScalar(int unicodeScalar, char* buffer, int bufferLength, out int numberOfCharactersWritten)
    {
        // SAFETY: as above.
        var output = new Span<char>(buffer, bufferLength);
        string text = unicodeScalar switch
        {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\b' => "\\b",
            '\f' => "\\f",
            _ => Escape(unicodeScalar),
        };
        numberOfCharactersWritten = text.TryCopyTo(output) ? text.Length : 0;
        return numberOfCharactersWritten > 0;
    }

    private static string Escape(int unicodeScalar)
    {
        var escaped = new StringBuilder();
        foreach (char unit in char.ConvertFromUtf32(unicodeScalar))
        {
            escaped.Append(CultureInfo.InvariantCulture, $"\\u{(int)unit:x4}");
        }

        return escaped.ToString();
    }
}
