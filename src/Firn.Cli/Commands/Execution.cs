using System.Collections;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Cli.Commands;

/// <summary>Executing another program in place of this one (`--exec-cmd`), which becomes the parent of what was restored.</summary>
internal static class Execution
{
    private const int X_OK = 1;

    /// <summary>Executes a command. Returns only if that fails.</summary>
    /// <param name="command">The program, looked for in PATH where it has no slash, and its arguments.</param>
    public static Errno Run(IReadOnlyList<string> command)
    {
        // The runtime ignores it, and what is ignored stays so.
        _ = Sys.SetSignalAction(Signal.SIGPIPE, default);
        string[] environment =
        [
            .. Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(variable => $"{variable.Key}={variable.Value}"),
        ];
        return Sys.Execute([Find(command[0]), .. command.Skip(1)], environment).Errno;
    }

    private static string Find(string program)
    {
        if (program.Contains('/', StringComparison.Ordinal))
        {
            return program;
        }

        string path = Environment.GetEnvironmentVariable("PATH") ?? "/usr/local/bin:/usr/bin:/bin";
        return path.Split(':')
            .Select(directory => Path.Combine(directory, program))
            .FirstOrDefault(candidate => !Sys.AccessAt(At.AT_FDCWD, candidate, X_OK).IsError) ?? program;
    }
}
