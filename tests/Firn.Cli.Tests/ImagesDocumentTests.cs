using System.Text.RegularExpressions;
using Firn.Engine.Tests.RoundTrip;

namespace Firn.Cli.Tests;

/// <summary>docs/images.md names every field that Firn has added to the format.</summary>
public sealed partial class ImagesDocumentTests
{
    [Fact]
    public void Every_field_of_Firns_own_is_named()
    {
        string document = File.ReadAllText(Path.Combine(Programs.Top, "docs/images.md"));
        string[] fields = [.. Directory.GetFiles(Path.Combine(Programs.Top, "src/Firn.Images/Protos"), "*.proto")
            .SelectMany(path => OwnField().Matches(File.ReadAllText(path)))
            .Select(match => $"`{match.Groups[1].Value}` {match.Groups[2].Value}")];
        Assert.NotEmpty(fields);
        Assert.Equal([], fields.Where(field => !document.Contains(field, StringComparison.Ordinal)));
    }

    [GeneratedRegex(@"(\w+) = (1\d\d\d)\b")]
    private static partial Regex OwnField();
}
