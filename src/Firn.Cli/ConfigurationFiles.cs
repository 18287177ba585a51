namespace Firn.Cli;

/// <summary>
/// CRIU's configuration files: one option a line by its long name without dashes, `#` begins a comment, quotes hold spaces together.
/// </summary>
/// <remarks>
/// Read in CRIU's order, so that what comes later wins: /etc/criu/default.conf, ~/.criu/default.conf, --config or CRIU_CONFIG_FILE, the
/// command line.
/// </remarks>
internal static class ConfigurationFiles
{
    /// <summary>The arguments that the files stand for, a file at a time.</summary>
    public static IEnumerable<string[]> Read(string[] arguments)
    {
        if (!arguments.Contains("--no-default-config"))
        {
            string? home = Environment.GetEnvironmentVariable("HOME");
            foreach (string? path in (string?[])["/etc/criu/default.conf", home is null ? null : $"{home}/.criu/default.conf"])
            {
                if (path is not null && File.Exists(path))
                {
                    yield return [.. Parse(File.ReadLines(path))];
                }
            }
        }

        string? named = Named(arguments) ?? Environment.GetEnvironmentVariable("CRIU_CONFIG_FILE");
        if (named is not null)
        {
            yield return File.Exists(named)
                ? [.. Parse(File.ReadLines(named))]
                : throw new UsageException($"--config: there is no file {named}");
        }
    }

    /// <summary>The arguments that lines stand for.</summary>
    public static IEnumerable<string> Parse(IEnumerable<string> lines)
    {
        foreach (string line in lines)
        {
            List<string> words = Words(line);
            if (words.Count > 0)
            {
                string name = words[0].TrimStart('-');
                yield return words.Count == 1 ? $"--{name}" : $"--{name}={string.Join(' ', words.Skip(1))}";
            }
        }
    }

    private static string? Named(string[] arguments)
    {
        int at = Array.IndexOf(arguments, "--config");
        return at >= 0 && at + 1 < arguments.Length
            ? arguments[at + 1]
            : Array.Find(arguments, argument => argument.StartsWith("--config=", StringComparison.Ordinal))?["--config=".Length..];
    }

    private static List<string> Words(string line)
    {
        List<string> words = [];
        var word = new System.Text.StringBuilder();
        bool quoted = false;
        bool begun = false;
        foreach (char letter in line)
        {
            if (letter == '"')
            {
                quoted = !quoted;
                begun = true;
            }
            else if (!quoted && letter == '#')
            {
                break;
            }
            else if (!quoted && char.IsWhiteSpace(letter))
            {
                Finish();
            }
            else
            {
                _ = word.Append(letter);
                begun = true;
            }
        }

        Finish();
        return words;

        void Finish()
        {
            if (begun)
            {
                words.Add(word.ToString());
                _ = word.Clear();
                begun = false;
            }
        }
    }
}
