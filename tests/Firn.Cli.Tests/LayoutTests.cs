using Firn.Engine.Tests.RoundTrip;

namespace Firn.Cli.Tests;

/// <summary>What the compiler does not hold of the project's form.</summary>
public sealed class LayoutTests
{
    private const int MostColumns = 140;

    [Fact]
    public void No_line_is_longer_than_140_columns()
    {
        IEnumerable<string> found = Sources().SelectMany(path => File.ReadLines(path)
            .Select((line, index) => (line.Length, Place: $"{Path.GetRelativePath(Programs.Top, path)}:{index + 1}"))
            .Where(line => line.Length > MostColumns)
            .Select(line => line.Place));
        Assert.Equal([], found);
    }

    [Fact]
    public void Unsafe_code_stands_only_in_files_that_say_so()
    {
        IEnumerable<string> found = Sources()
            .Where(path => path.Contains("/src/", StringComparison.Ordinal) && !path.EndsWith(".Unsafe.cs", StringComparison.Ordinal))
            .Where(path => File.ReadLines(path).Any(line => line.Split("//")[0].Split(' ').Contains("unsafe")));
        Assert.Equal([], found);
    }

    [Fact]
    public void The_solution_has_all_projects()
    {
        string solution = File.ReadAllText(Path.Combine(Programs.Top, "Firn.slnx"));
        IEnumerable<string> projects = Files("*.csproj").Select(path => Path.GetRelativePath(Programs.Top, path));
        Assert.Equal([], projects.Where(project => !solution.Contains($"\"{project}\"", StringComparison.Ordinal)));
    }

    [Fact]
    public void No_folder_of_the_engine_leads_back_to_itself()
    {
        Dictionary<string, HashSet<string>> uses = [];
        string top = Path.Combine(Programs.Top, "src/Firn.Engine");
        foreach (string path in Sources().Where(path => path.StartsWith(top + "/", StringComparison.Ordinal)))
        {
            string folder = "Firn.Engine" + Path.GetDirectoryName(path)![top.Length..].Replace('/', '.');
            uses.TryAdd(folder, []);
            uses[folder].UnionWith(File.ReadLines(path)
                .Where(line => line.StartsWith("using Firn.Engine.", StringComparison.Ordinal))
                .Select(line => line["using ".Length..].TrimEnd(';')));
        }

        Assert.Equal([], uses.Keys.Where(folder => Reach(folder, []).Contains(folder)));

        HashSet<string> Reach(string folder, HashSet<string> found)
        {
            foreach (string used in uses.GetValueOrDefault(folder) ?? [])
            {
                if (found.Add(used))
                {
                    Reach(used, found);
                }
            }

            return found;
        }
    }

    [Fact]
    public void Beside_the_folders_of_kinds_stand_only_the_lists_of_them()
        => Assert.Equal(
            ["FileKinds.cs", "NamespaceKinds.cs", "TaskKinds.cs"],
            Directory.GetFiles(Path.Combine(Programs.Top, "src/Firn.Engine/Kinds")).Select(Path.GetFileName).Order(StringComparer.Ordinal));

    private static IEnumerable<string> Sources() => Files("*.cs");

    private static IEnumerable<string> Files(string pattern)
        => ((string[])["src", "tests", "bench"])
            .SelectMany(name => Directory.EnumerateFiles(Path.Combine(Programs.Top, name), pattern, SearchOption.AllDirectories))
            .Where(path => !path.Contains("/obj/", StringComparison.Ordinal) && !path.Contains("/bin/", StringComparison.Ordinal));
}
