using Firn.Images;
using Firn.Images.Tests;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Image sets of CRIU restore with Firn, and image sets of Firn say what those of CRIU say.</summary>
public sealed class CriuCompatibilityTests : IDisposable
{
    public static IEnumerable<TheoryDataRow<string>> Names => [new("sleep"), new("pipeline"), new("kitchen")];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_set_that_CRIU_wrote_restores_and_goes_on(string name)
    {
        var program = new CriuProgram(name);
        program.NeedsTheVeryFiles();
        using var space = new PidNamespace();
        string own = CriuProgram.Furnish(space);
        string images = program.Unpack(space);
        space.FirnMust(["restore", "-D", images, "-d", .. program.Options]);
        Assert.Empty(program.LastingPids.Except(space.Pids));
        program.MustGoOn(space, own);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void The_same_program_dumped_by_Firn_decodes_to_the_same_messages(string name)
    {
        var program = new CriuProgram(name);
        using var space = new PidNamespace();
        string own = CriuProgram.Furnish(space);
        int pid = program.Start(space, own);

        // The counter of the pipeline is without its `sleep` for a moment between two lines; the set has it.
        string images = space.MakeDirectory("images");
        PidNamespace.Until(() => space.Pids.Count == program.Pids.Count(), "all processes of the set are there");
        space.FirnMust(["dump", "-t", $"{pid}", "-D", images, .. program.Options]);

        var wanted = new ImageSetShape(
            program.Files.Where(file => file.Json is not null).ToDictionary(file => Path.GetFileName(file.Name), file => file.Json!));
        var found = new ImageSetShape(Directory.EnumerateFiles(images, "*.img")
            .Where(path => ImageKind.TryParse(Path.GetFileName(path), out ImageKind? kind, out _) && !kind.IsRaw)
            .Where(path => !Path.GetFileName(path).StartsWith("ghost-file", StringComparison.Ordinal))
            .ToDictionary(path => Path.GetFileName(path), path => ImageJson.Decode(File.ReadAllBytes(path), Path.GetFileName(path))));
        string difference = ImageSetShape.Difference(wanted, found);
        Assert.True(difference.Length == 0, $"- CRIU's set alone, + Firn's alone:\n{difference}");

        // What CRIU's decoder gives no JSON of.
        Assert.Equal(Raw(program.Files.Select(file => file.Name)), Raw(Directory.EnumerateFiles(images, "*.img")));
        Assert.True(File.Exists(Path.Combine(images, "stats-dump")));
    }

    [Fact]
    public void The_comparison_sees_a_field_too_few_a_field_too_many_and_another_value()
    {
        Dictionary<string, string> Set(Func<string, string> change) => new CriuProgram("kitchen").Files
            .Where(file => file.Json is not null)
            .ToDictionary(file => Path.GetFileName(file.Name), file => change(file.Json!));
        var whole = new ImageSetShape(Set(json => json));
        Assert.Equal(string.Empty, ImageSetShape.Difference(whole, new ImageSetShape(Set(json => json))));
        foreach ((string from, string to) in new[]
        {
            ("\"child_subreaper\": false", "\"child_reaper\": false"),
            ("\"umask\": 18", "\"umask\": 19"),
            ("\"counter\": 5", "\"counter\": 6"),
            ("\"thp_disabled\": false", "\"thp_disabled\": false, \"more\": 1"),
            ("MAP_GROWSDOWN", "MAP_NORESERVE"),
            ("\"ss_flags\": 2", "\"ss_flags\": 0"),
            ("\"flags\": \"0xc000000\"", "\"flags\": \"0x4000000\""),
            ("\"cs\": \"0x33\"", "\"cs\": \"0x23\""),
            ("\"blk_sigset\": \"0x800\"", "\"blk_sigset\": \"0x0\""),
            ("O_APPEND", "O_ASYNC"),
            ("\"bytes\": 11", "\"bytes\": 12"),
            ("\"mxcsr\":", "\"csr\":"),
            ("\"tfd\": 6", "\"tfd\": 5"),
            ("\"fd\": 14", "\"fd\": 140"),
        })
        {
            var changed = new ImageSetShape(Set(json => json.Replace(from, to, StringComparison.Ordinal)));
            Assert.True(ImageSetShape.Difference(whole, changed).Length > 0, $"{to} in place of {from} goes unseen");
        }
    }

    public void Dispose() => CriuProgram.Clear();

    private static IEnumerable<string> Raw(IEnumerable<string> names) => names
        .Select(name => Path.GetFileName(name))
        .Where(name => name.StartsWith("pages-", StringComparison.Ordinal) || name.StartsWith("ghost-file-", StringComparison.Ordinal))
        .Order(StringComparer.Ordinal);
}
