using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace Firn.Linux.Tests.Abi;

/// <summary>A C file of static assertions, one a line, that gcc checks against the installed headers (after Tmds.LibC).</summary>
/// <param name="headers">The headers to include.</param>
internal sealed class CProgram(params string[] headers)
{
    private const string FileName = "firn-abi.c";

    private readonly List<string> names = [];
    private readonly StringBuilder text = new();

    /// <summary>How many assertions there are.</summary>
    public int Count => names.Count;

    /// <summary>Adds an assertion, on a line of its own whose number is its place.</summary>
    public void Assert(string name, string condition)
    {
        names.Add(name);
        text.Append(CultureInfo.InvariantCulture, $"#line {names.Count} \"{FileName}\"\n_Static_assert({condition}, \"wrong\");\n");
    }

    /// <summary>Compiles, and tells which assertions are wrong and which name something that these headers don't have.</summary>
    public (SortedSet<string> Wrong, SortedSet<string> Absent) Check()
    {
        string program = string.Concat(headers.Select(header => $"#include <{header}>\n")) + text;
        var start = new ProcessStartInfo("gcc", ["-x", "c", "-std=gnu17", "-fsyntax-only", "-fmax-errors=0", "-D_GNU_SOURCE", "-w", "-"])
        {
            RedirectStandardInput = true,
            RedirectStandardError = true,
        };
        start.Environment["LC_ALL"] = "C";
        using Process gcc = Process.Start(start)!;
        Task<string> reading = gcc.StandardError.ReadToEndAsync();
        gcc.StandardInput.Write(program);
        gcc.StandardInput.Close();
        string errors = reading.GetAwaiter().GetResult();
        gcc.WaitForExit();

        var wrong = new SortedSet<string>(StringComparer.Ordinal);
        var absent = new SortedSet<string>(StringComparer.Ordinal);
        foreach (string line in errors.Split('\n'))
        {
            if (!line.Contains("error:", StringComparison.Ordinal))
            {
                continue;
            }

            string[] parts = line.Split(':');
            if (parts[0] != FileName)
            {
                throw new InvalidOperationException($"gcc: {line}");
            }

            string name = names[int.Parse(parts[1], CultureInfo.InvariantCulture) - 1];
            (line.Contains("static assertion failed", StringComparison.Ordinal) ? wrong : absent).Add(name);
        }

        // Something absent makes the assertion fail too: absence is the cause.
        wrong.ExceptWith(absent);
        return (wrong, absent);
    }
}
