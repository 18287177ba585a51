using System.CommandLine;

namespace Firn.Cli;

/// <summary>Help and suggestions, made by System.CommandLine from the table of options; only touched when they are asked for.</summary>
internal static class HelpText
{
    private static readonly (string Name, Verbs Verb, string Help)[] Commands =
    [
        ("dump", Verbs.Dump, "save a running tree of processes as CRIU-format images"),
        ("restore", Verbs.Restore, "bring a tree back from its images"),
        ("check", Verbs.Check, "say what this kernel offers, or with --pid what stands in the way of a dump"),
        ("freeze", Verbs.Freeze, "stop a running tree in its cgroup, all of it at one instant"),
        ("thaw", Verbs.Thaw, "let a frozen tree run on"),
        ("swrk", Verbs.Swrk, "serve one client at descriptor FD, as container engines ask for it: criu swrk FD"),
        ("service", Verbs.Service, "serve clients that connect to a socket"),
        ("cpuinfo", Verbs.Cpuinfo, "write down what the processor can do, or compare: firn cpuinfo dump, firn cpuinfo check"),
        ("install", Verbs.Install, "put this program where it is found, and with --as-criu under that name too"),
        ("decode", Verbs.Decode, "print an image file as JSON: firn decode FILE"),
        ("encode", Verbs.Encode, "make an image file of JSON: firn encode FILE -o IMAGE"),
        ("demo", Verbs.Demo, "checkpoint, kill and restore a program before your eyes"),
    ];

    /// <summary>Prints the help of a verb, or of all.</summary>
    public static int Print(string verb)
    {
        RootCommand root = Build();
        int status = root.Parse(Commands.Any(command => command.Name == verb) ? [verb, "--help"] : ["--help"]).Invoke();
        if (verb is "dump" or "restore" or "check")
        {
            Console.Out.WriteLine("Of CRIU's other options these are taken and change nothing: " + Names(Support.Accepted) + ".");
            Console.Out.WriteLine("These are refused by name, as this version does not have them yet: " + Names(Support.NotYet) + ".");
        }

        return status;
    }

    /// <summary>A verb or option that is spelled nearly so, as the end of a sentence; empty if there is none.</summary>
    public static string Suggestion(string word)
    {
        IEnumerable<string> known = word.StartsWith('-')
            ? Options.Table.Select(option => $"--{option.Name}")
            : Commands.Select(command => command.Name);
        string? nearest = known.MinBy(name => Distance(name, word));
        return nearest is not null && Distance(nearest, word) <= 2 ? $" (did you mean `{nearest}`?)" : string.Empty;
    }

    /// <summary>The names of verbs, as a part of a sentence.</summary>
    public static string Names(Verbs verbs)
        => string.Join(" and ", Commands.Where(command => (command.Verb & verbs) != 0).Select(command => $"`{command.Name}`"));

    private static RootCommand Build()
    {
        var root = new RootCommand("Firn saves running programs as CRIU-format images and brings them back.");
        foreach ((string name, Verbs verb, string help) in Commands)
        {
            var command = new Command(name, help);
            foreach (CommandOption option in Options.Table)
            {
                if ((option.Verbs & verb) != 0 && option.Name is not ("help" or "version"))
                {
                    command.Add(Row(option));
                }
            }

            root.Add(command);
        }

        return root;
    }

    private static Option Row(CommandOption option)
    {
        string[] aliases = option.Letter == '\0' ? [] : [$"-{option.Letter}"];
        return option.Rule == ArgumentRule.None
            ? new Option<bool>($"--{option.Name}", aliases) { Description = option.Help }
            : new Option<string>($"--{option.Name}", aliases) { Description = option.Help, HelpName = option.Argument };
    }

    private static string Names(Support support)
        => string.Join(", ", Options.Table.Where(option => option.Support == support).Select(option => option.Name).Order());

    /// <summary>How many letters must be changed, added or dropped to turn one word into the other (Levenshtein).</summary>
    private static int Distance(string first, string second)
    {
        int[] row = [.. Enumerable.Range(0, second.Length + 1)];
        for (int i = 1; i <= first.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= second.Length; j++)
            {
                int change = diagonal + (first[i - 1] == second[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(change, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[second.Length];
    }
}
