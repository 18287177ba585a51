namespace Firn.Cli;

/// <summary>
/// Reads a command line as getopt_long(3) does for CRIU: options and the verb in any order, unique beginnings of long names, letters
/// together.
/// </summary>
/// <remarks>
/// Scripts that call CRIU rely on these rules (`-v4`, `-vvv`, `-oLOG`, `--leave-run`), and System.CommandLine has others: so that library
/// makes the help and the suggestions, from the same table, and this reads.
/// </remarks>
internal static class CommandLine
{
    /// <summary>The verbs that Firn adds: they come first on the line, because their options are their own.</summary>
    private static readonly Dictionary<string, Verbs> OwnVerbs = new()
    {
        ["decode"] = Verbs.Decode,
        ["encode"] = Verbs.Encode,
        ["demo"] = Verbs.Demo,
        ["freeze"] = Verbs.Freeze,
        ["thaw"] = Verbs.Thaw,
    };

    private static readonly Dictionary<string, Verbs> CriuVerbs = new()
    {
        ["dump"] = Verbs.Dump,
        ["restore"] = Verbs.Restore,
        ["check"] = Verbs.Check,
    };

    private static readonly string[] LaterVerbs = ["pre-dump", "page-server", "lazy-pages", "service", "swrk", "dedup", "cpuinfo", "exec"];

    /// <summary>Understands a command line.</summary>
    /// <exception cref="UsageException">It can't be understood, or asks for what this version doesn't have.</exception>
    public static Invocation Parse(string[] arguments)
    {
        var invocation = new Invocation();
        Verbs scope = arguments.Length > 0 && OwnVerbs.TryGetValue(arguments[0], out Verbs own) ? own : Verbs.Criu;
        if (scope == Verbs.Criu)
        {
            foreach (string[] lines in ConfigurationFiles.Read(arguments))
            {
                Read(invocation, scope, lines);
            }
        }

        Read(invocation, scope, arguments);
        if (invocation.Operands.Count > 0)
        {
            invocation.Verb = invocation.Operands[0];
            invocation.Operands.RemoveAt(0);
        }

        if (invocation.Verb == "help")
        {
            invocation.Help = true;
            invocation.Verb = invocation.Operands.Count > 0 ? invocation.Operands[0] : string.Empty;
        }

        Judge(invocation, scope);
        return invocation;
    }

    private static void Judge(Invocation invocation, Verbs scope)
    {
        if (invocation.Help || invocation.Version)
        {
            return;
        }

        string verb = invocation.Verb;
        if (verb.Length == 0)
        {
            throw new UsageException("a command is needed, such as dump, restore, check or demo; see `firn --help`");
        }

        if (LaterVerbs.Contains(verb))
        {
            throw new UsageException($"{verb} is a command of CRIU that this version of Firn does not have yet");
        }

        if (scope == Verbs.Criu && !CriuVerbs.TryGetValue(verb, out scope))
        {
            throw new UsageException($"there is no command `{verb}`{HelpText.Suggestion(verb)}; see `firn --help`");
        }

        CommandOption? stray = invocation.Used.FirstOrDefault(option => !option.OfCriu && (option.Verbs & scope) == 0);
        if (stray is not null)
        {
            throw new UsageException($"{verb}: {stray.Spelling} does not belong to this command; see `firn {verb} --help`");
        }

        CommandOption? later = invocation.Used.FirstOrDefault(option => option.Support == Support.NotYet);
        if (later is not null)
        {
            throw new UsageException(
                $"{verb}: {later.Spelling} is an option of CRIU that this version of Firn does not have yet; leave it out if you can");
        }

        if (scope is not (Verbs.Decode or Verbs.Encode) && invocation.Operands.Count > 0)
        {
            throw new UsageException($"{verb}: `{invocation.Operands[0]}` is one word too many; values of options follow their option");
        }

        if (invocation.Sibling && !invocation.Detached)
        {
            throw new UsageException($"{verb}: --restore-sibling makes sense only with --restore-detached");
        }
    }

    private static void Read(Invocation invocation, Verbs scope, string[] arguments)
    {
        bool onlyOperands = false;
        for (int index = 0; index < arguments.Length; index++)
        {
            string argument = arguments[index];
            if (onlyOperands || argument.Length < 2 || argument[0] != '-')
            {
                invocation.Operands.Add(argument);
            }
            else if (argument == "--")
            {
                onlyOperands = true;
            }
            else if (argument[1] == '-')
            {
                Long(invocation, scope, arguments, ref index);
            }
            else
            {
                Letters(invocation, scope, arguments, ref index);
            }
        }
    }

    private static void Long(Invocation invocation, Verbs scope, string[] arguments, ref int index)
    {
        string argument = arguments[index];
        int equals = argument.IndexOf('=', StringComparison.Ordinal);
        string name = equals < 0 ? argument[2..] : argument[2..equals];
        (CommandOption option, bool negated) = Find(scope, name);
        string? value = equals < 0 ? null : argument[(equals + 1)..];
        if (value is not null && option.Rule == ArgumentRule.None)
        {
            throw new UsageException($"--{option.Name} has no argument");
        }

        if (value is null && option.Rule == ArgumentRule.Required)
        {
            value = Next(arguments, ref index, $"--{option.Name} {option.Argument}");
        }

        Put(invocation, option, negated ? Options.Off : value, $"--{option.Name}");
    }

    private static void Letters(Invocation invocation, Verbs scope, string[] arguments, ref int index)
    {
        string argument = arguments[index];
        for (int at = 1; at < argument.Length; at++)
        {
            char letter = argument[at];
            CommandOption option = Array.Find(Options.Table, option => option.Letter == letter && InScope(option, scope))
                ?? throw new UsageException($"there is no option -{letter}; see `firn --help`");
            string? rest = at + 1 < argument.Length ? argument[(at + 1)..] : null;
            switch (option.Rule)
            {
                case ArgumentRule.None:
                    Put(invocation, option, null, $"-{letter}");
                    continue;
                case ArgumentRule.Required:
                    rest ??= Next(arguments, ref index, $"-{letter} {option.Argument}");
                    break;
            }

            Put(invocation, option, rest, $"-{letter}");
            return;
        }
    }

    private static (CommandOption Option, bool Negated) Find(Verbs scope, string name)
    {
        List<(CommandOption Option, bool Negated, string Name)> found = [];
        foreach (CommandOption option in Options.Table)
        {
            if (!InScope(option, scope))
            {
                continue;
            }

            if (option.Name == name)
            {
                return (option, false);
            }

            if (option.Negatable && name.StartsWith("no-", StringComparison.Ordinal) && name.AsSpan(3).SequenceEqual(option.Name))
            {
                return (option, true);
            }

            if (option.Name.StartsWith(name, StringComparison.Ordinal))
            {
                found.Add((option, false, option.Name));
            }
            else if (option.Negatable && name.Length > 3 && $"no-{option.Name}".StartsWith(name, StringComparison.Ordinal))
            {
                found.Add((option, true, $"no-{option.Name}"));
            }
        }

        return found.Count switch
        {
            1 => (found[0].Option, found[0].Negated),
            0 => throw new UsageException(Unknown(scope, name)),
            _ => throw new UsageException($"--{name} can mean {string.Join(" or ", found.Select(one => $"--{one.Name}"))}"),
        };
    }

    private static string Unknown(Verbs scope, string name)
        => Array.Find(Options.Table, option => option.Name == name) is { } elsewhere
            ? $"--{name} is an option of {HelpText.Names(elsewhere.Verbs)}, and not of {HelpText.Names(scope)}"
            : $"there is no option --{name}{HelpText.Suggestion($"--{name}")}; see `firn --help`";

    private static bool InScope(CommandOption option, Verbs scope)
        => scope == Verbs.Criu ? option.OfCriu || (option.Verbs & Verbs.Criu) != 0 : (option.Verbs & scope) != 0;

    private static string Next(string[] arguments, ref int index, string spelling)
        => ++index < arguments.Length ? arguments[index] : throw new UsageException($"{spelling}: the argument is missing");

    private static void Put(Invocation invocation, CommandOption option, string? value, string spelling)
    {
        _ = invocation.Used.Add(option);
        try
        {
            option.Put?.Invoke(invocation, value);
        }
        catch (UsageException exception)
        {
            throw new UsageException($"{spelling}: {exception.Message}");
        }
    }
}
