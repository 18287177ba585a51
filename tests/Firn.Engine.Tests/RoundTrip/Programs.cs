using System.Diagnostics;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Where the programs are that the tests run. `./test` builds them all.</summary>
internal static class Programs
{
    /// <summary>The top of the project.</summary>
    public static string Top { get; } = FindTop();

    /// <summary>The published program: what FIRN names, or out/firn.</summary>
    public static string Firn { get; } = Path.GetFullPath(Environment.GetEnvironmentVariable("FIRN") ?? Path.Combine(Top, "out/firn"));

    /// <summary>Where the sources of targets are.</summary>
    public static string TargetSources { get; } = Path.Combine(Top, "tests/Targets");

    private static string TargetDirectory { get; } = Environment.GetEnvironmentVariable("FIRN_TARGETS")
        ?? Path.Combine(Top, ".build/targets");

    /// <summary>A compiled target; compiled now if that was not done, so that one test can be run by itself.</summary>
    public static string Target(string name)
    {
        string program = Path.Combine(TargetDirectory, name);
        string source = Path.Combine(TargetSources, name + ".c");
        lock (TargetDirectory)
        {
            if (File.Exists(source) && (!File.Exists(program) || File.GetLastWriteTimeUtc(program) < File.GetLastWriteTimeUtc(source)))
            {
                Directory.CreateDirectory(TargetDirectory);
                string[] flags = File.ReadLines(source)
                    .Where(line => line.StartsWith("// gcc: ", StringComparison.Ordinal))
                    .SelectMany(line => line["// gcc: ".Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries))
                    .ToArray();
                using Process gcc = Process.Start(
                    "gcc", ["-std=gnu11", "-O1", "-g", "-Wall", "-Werror", "-pthread", "-o", program, source, .. flags, "-lm", "-lrt"]);
                gcc.WaitForExit();
                if (gcc.ExitCode != 0)
                {
                    throw new InvalidOperationException($"{source} does not compile");
                }
            }
        }

        return File.Exists(program)
            ? program
            : throw new FileNotFoundException($"{program} is missing: run ./test once, it builds all targets");
    }

    /// <summary>The command line of a .NET target: this machine's own `dotnet`, wherever it is, and the target's assembly.</summary>
    public static string[] DotnetTarget(string name)
        => [Path.GetFullPath(Path.Combine(typeof(object).Assembly.Location, "../../../../dotnet")), Target($"{name}/{name}.dll")];

    /// <summary>A file of tests/data.</summary>
    public static string Data(string name) => Path.Combine(Top, "tests/data", name);

    /// <summary>Skips the test unless a command is there.</summary>
    public static string Command(params string[] candidates)
        => Array.Find(candidates, File.Exists) ?? throw Skipped($"none of {string.Join(", ", candidates)} is installed");

    /// <summary>What skips a test, when thrown: xunit.v3 knows it by the beginning of its message.</summary>
    public static Exception Skipped(string reason) => new InvalidOperationException($"$XunitDynamicSkip${reason}");

    private static string FindTop()
    {
        string? directory = AppContext.BaseDirectory;
        while (directory is not null && !File.Exists(Path.Combine(directory, "Firn.slnx")))
        {
            directory = Path.GetDirectoryName(directory);
        }

        return directory ?? throw new DirectoryNotFoundException("Firn.slnx is in no directory above the tests");
    }
}
