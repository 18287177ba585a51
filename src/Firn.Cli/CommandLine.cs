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
        ["install"] = Verbs.Install,
    };

    private static readonly Dictionary<string, Verbs> CriuVerbs = new()
    {
        ["dump"] = Verbs.Dump,
        ["restore"] = Verbs.Restore,
        ["check"] = Verbs.Check,
        ["swrk"] = Verbs.Swrk,
        ["service"] = Verbs.Service,
        ["cpuinfo"] = Verbs.Cpuinfo,
    };

    private static readonly string[] LaterVerbs = ["pre-dump", "page-server", "lazy-pages", "dedup", "exec"];

    /// <summary>Understands a command line.</summary>
    /// <exception cref="UsageException">It can't be understood, or asks for what this version doesn't have.</exception>
    public static Invocation Parse(string[] arguments)
    {
        Invocation invocation = Read(arguments, out Verbs scope);
        Judge(invocation, scope);
        return invocation;
    }

    /// <summary>Begins a request to `swrk` or a service: with what its configuration files and its own command line say.</summary>
    /// <exception cref="UsageException">They can't be understood.</exception>
    public static Invocation BeginRequest(string[] arguments, string verb)
    {
        Invocation invocation = Read(arguments, out _);
        invocation.Verb = verb;
        invocation.Operands.Clear();

        // The pid file of a service is its own.
        invocation.PidFile = null;
        return invocation;
    }

    /// <summary>Puts one option of a request.</summary>
    /// <param name="invocation">Where to.</param>
    /// <param name="name">Its long name.</param>
    /// <param name="value">Its argument, or null.</param>
    /// <param name="isOff">Whether it is said to be off; of one that can't be taken back, that says nothing.</param>
    /// <exception cref="UsageException">It can't be.</exception>
    public static void Put(Invocation invocation, string name, string? value, bool isOff)
    {
        CommandOption option = Array.Find(Options.Table, option => option.Name == name)
            ?? throw new UsageException($"--{name} is an option of CRIU that this version of Firn does not have");
        if (!isOff)
        {
            Put(invocation, option, value, $"--{name}");
        }
        else if (option is { Negatable: true, Support: Support.Works })
        {
            Put(invocation, option, Options.Off, $"--{name}");
        }
    }

    /// <summary>Ends a request: with what a configuration file says that the request names.</summary>
    /// <exception cref="UsageException">It asks for what this version doesn't have, or makes no sense.</exception>
    public static void EndRequest(Invocation invocation, string? configurationFile)
    {
        if (configurationFile is not null)
        {
            Read(invocation, Verbs.Criu, [.. ConfigurationFiles.Parse(File.ReadLines(configurationFile))]);
        }

        JudgeOptions(invocation);
    }

    private static Invocation Read(string[] arguments, out Verbs scope)
    {
        var invocation = new Invocation();
        scope = arguments.Length > 0 && OwnVerbs.TryGetValue(arguments[0], out Verbs own) ? own : Verbs.Criu;
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

        // What stands in a configuration file is for the requests, each of which is judged.
        if (scope is not (Verbs.Swrk or Verbs.Service))
        {
            JudgeOptions(invocation);
        }

        int words = scope is Verbs.Decode or Verbs.Encode || invocation.ExecutesCommand ? int.MaxValue
            : scope is Verbs.Swrk or Verbs.Cpuinfo ? 1
            : 0;
        if (invocation.Operands.Count > words)
        {
            throw new UsageException($"{verb}: `{invocation.Operands[words]}` is one word too many; values of options follow their option");
        }
    }

    private static void JudgeOptions(Invocation invocation)
    {
        string verb = invocation.Verb;
        CommandOption? later = invocation.Used.FirstOrDefault(option => option.Support == Support.NotYet);
        if (later is not null)
        {
            throw new UsageException(
                $"{verb}: {later.Spelling} is an option of CRIU that this version of Firn does not have yet; leave it out if you can");
        }

        if (invocation.ExecutesCommand && (invocation.Detached || invocation.Operands.Count == 0))
        {
            throw new UsageException($"{verb}: --exec-cmd needs a command behind `--`, and does not go with --restore-detached");
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
