using System.Diagnostics;

namespace Firn.Images.Tests;

/// <summary>The image sets that CRIU 4.2 wrote, unpacked once for each run of the tests.</summary>
public static class CriuSets
{
    private static readonly Lazy<IReadOnlyList<CriuFile>> Unpacked = new(Unpack);

    /// <summary>Every file of every set.</summary>
    public static IReadOnlyList<CriuFile> Files => Unpacked.Value;

    /// <summary>The names of all files, for theories.</summary>
    public static IEnumerable<object[]> Names => Files.Select(file => new object[] { file.Name });

    /// <summary>The file of a name such as <c>sleep/pstree.img</c>.</summary>
    public static CriuFile Get(string name) => Files.Single(file => file.Name == name);

    private static List<CriuFile> Unpack()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("firn-images-");
        try
        {
            List<CriuFile> files = [];
            foreach (string set in new[] { "kitchen", "pipeline", "sleep" })
            {
                string archive = Path.Combine(AppContext.BaseDirectory, "criu-images", set + ".tar.xz");
                using Process tar = Process.Start("tar", ["-xJf", archive, "-C", folder.FullName]);
                tar.WaitForExit();
                Assert.Equal(0, tar.ExitCode);
                foreach (string path in Directory.EnumerateFiles(Path.Combine(folder.FullName, set)).Order(StringComparer.Ordinal))
                {
                    string decoded = Path.Combine(folder.FullName, set, "decoded", Path.GetFileNameWithoutExtension(path) + ".json");
                    string? json = File.Exists(decoded) ? File.ReadAllText(decoded) : null;
                    files.Add(new CriuFile($"{set}/{Path.GetFileName(path)}", File.ReadAllBytes(path), json));
                }
            }

            return files;
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}

/// <summary>One file of a set, and what CRIU's decoder says of it.</summary>
public sealed record CriuFile(string Name, byte[] Bytes, string? Json)
{
    public ImageKind Kind => ImageKind.TryParse(Name, out ImageKind? kind, out _) ? kind : throw new InvalidOperationException(Name);

    public override string ToString() => Name;
}
