namespace Firn.Cli;

/// <summary>What a user can ask for.</summary>
[Flags]
internal enum Verbs
{
    None = 0,
    Dump = 1,
    Restore = 2,
    Check = 4,
    Decode = 8,
    Encode = 16,
    Demo = 32,
    Freeze = 64,
    Thaw = 128,
    Swrk = 256,
    Service = 512,
    Cpuinfo = 1024,
    Install = 2048,
    Criu = Dump | Restore | Check | Swrk | Service | Cpuinfo,
    All = Criu | Decode | Encode | Demo | Freeze | Thaw | Install,
}

/// <summary>Whether an option has an argument, as getopt_long(3) means it.</summary>
internal enum ArgumentRule
{
    None,
    Required,

    /// <summary>Only when attached: `-v4`, `--verbosity=4`.</summary>
    Optional,
}

/// <summary>What becomes of an option of CRIU.</summary>
internal enum Support
{
    /// <summary>It does what CRIU's documentation says.</summary>
    Works,

    /// <summary>It is taken and changes nothing, because what it allows or speeds up needs no permission or help in Firn.</summary>
    Accepted,

    /// <summary>It is refused by name: to ignore it would break what the user counts on.</summary>
    NotYet,
}

/// <summary>One row of <see cref="Options.Table"/>.</summary>
internal sealed record CommandOption
{
    /// <summary>The long name, without dashes.</summary>
    public required string Name { get; init; }

    /// <summary>The letter of the short form, or NUL.</summary>
    public char Letter { get; init; }

    /// <summary>Whether it has an argument.</summary>
    public ArgumentRule Rule { get; init; }

    /// <summary>What the argument is called in the help.</summary>
    public string Argument { get; init; } = string.Empty;

    /// <summary>What the help says.</summary>
    public required string Help { get; init; }

    /// <summary>The verbs that it is for, as the help shows it.</summary>
    public Verbs Verbs { get; init; }

    /// <summary>Whether CRIU has it: then every verb of CRIU's takes it, as CRIU does, whether it means something there or not.</summary>
    public bool OfCriu { get; init; } = true;

    /// <summary>Whether `--no-NAME` takes it back.</summary>
    public bool Negatable { get; init; }

    /// <summary>What becomes of it.</summary>
    public Support Support { get; init; }

    /// <summary>
    /// Puts it into the invocation; the value is null where there is no argument, and <see cref="Options.Off"/> for `--no-NAME`.
    /// </summary>
    public Action<Invocation, string?>? Put { get; init; }

    /// <summary>How a user would write it.</summary>
    public string Spelling => Letter == '\0' ? $"--{Name}" : $"-{Letter}/--{Name}";
}
