using System.Text.RegularExpressions;
using Firn.Engine.Tests.RoundTrip;
using Firn.Images;

namespace Firn.Cli.Tests;

/// <summary>docs/errors.md has a row for every identifier and every exception that the code can give a user.</summary>
public sealed partial class ErrorTableTests
{
    private static readonly string Table = File.ReadAllText(Path.Combine(Programs.Top, "docs/errors.md"));

    [Fact]
    public void Every_identifier_of_a_problem_has_a_row()
    {
        string[] identifiers = [.. Sources("src/Firn.Engine").SelectMany(Identifiers).Distinct().Order(StringComparer.Ordinal)];

        // Fewer would mean that the search has gone blind.
        Assert.True(identifiers.Length >= 75, string.Join(' ', identifiers));
        Assert.Equal([], identifiers.Where(identifier => !HasRow(identifier)));
    }

    [Fact]
    public void Every_row_of_a_problem_is_of_the_code()
    {
        HashSet<string> identifiers = [.. Sources("src/Firn.Engine").SelectMany(Identifiers)];
        IEnumerable<string> rows = Row().Matches(Table).Select(match => match.Groups[1].Value).Where(
            row => char.IsAsciiLetterLower(row[0]) || char.IsAsciiDigit(row[0]));
        Assert.Equal([], rows.Where(row => !identifiers.Contains(row)));
    }

    [Fact]
    public void Every_diagnostic_of_an_image_has_a_row()
    {
        string[] diagnostics = [.. typeof(ImageDiagnostic).GetFields().Select(field => (string)field.GetRawConstantValue()!)];
        Assert.NotEmpty(diagnostics);
        Assert.Equal([], diagnostics.Where(diagnostic => !HasRow(diagnostic)));
    }

    [Fact]
    public void Every_exception_has_a_row()
    {
        string[] exceptions = [.. Sources("src").SelectMany(source => Exceptions().Matches(source)).Select(match => match.Groups[1].Value)];
        Assert.Contains("UnsupportedResourceException", exceptions);
        Assert.Equal([], exceptions.Where(exception => !HasRow(exception)));
    }

    private static bool HasRow(string identifier) => Table.Contains($"\n| `{identifier}` |", StringComparison.Ordinal);

    private static IEnumerable<string> Sources(string directory)
        => Directory.EnumerateFiles(Path.Combine(Programs.Top, directory), "*.cs", SearchOption.AllDirectories)
            .Where(path => !path.Contains("/obj/", StringComparison.Ordinal))
            .Select(File.ReadAllText);

    private static IEnumerable<string> Identifiers(string source)
        => Named().Matches(source)
            .Concat(Image().Matches(source))
            .Select(match => match.Groups[1].Value)
            .Concat(IsList(source) ? Listed().Matches(source).Select(match => FromWhat(match.Groups[1].Value)) : []);

    private static bool IsList(string source) => source.Contains("class UnsupportedFile ", StringComparison.Ordinal);

    /// <summary>As UnsupportedFile makes the identifier of what a descriptor is.</summary>
    private static string FromWhat(string what) => what.Replace(' ', '-').Replace('_', '-').ToLowerInvariant();

    /// <summary>The first text that is an identifier, where a problem is added, refused by a kind's own method, or objected to.</summary>
    [GeneratedRegex("""(?:Problems\.Add\(|Refuse\(|=> new\(|return \()\s*(?:[a-z]\w*,\s*)*"([a-z0-9]+(?:-[a-z0-9]+)*)",""")]
    private static partial Regex Named();

    /// <summary>The same where images are said not to fit together.</summary>
    [GeneratedRegex("""new ImageFormatException\([^;]*?"([a-z]+(?:-[a-z]+)*)",""")]
    private static partial Regex Image();

    /// <summary>A row of the list of descriptors that are known by name, and refused.</summary>
    [GeneratedRegex("""^        \((?:"[^"]*"|SocketFamily\.\w+), "([^"]*)", """, RegexOptions.Multiline)]
    private static partial Regex Listed();

    [GeneratedRegex("""^\| `([^`]+)` \|""", RegexOptions.Multiline)]
    private static partial Regex Row();

    [GeneratedRegex("""class (\w+Exception)\b""")]
    private static partial Regex Exceptions();
}
