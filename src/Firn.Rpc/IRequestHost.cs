using Firn.Engine;
using Microsoft.Extensions.Logging;

namespace Firn.Rpc;

/// <summary>The program that serves requests: it knows the table of options, its configuration files, and how a log looks.</summary>
public interface IRequestHost
{
    /// <summary>
    /// Understands the options of a request, on top of those of the configuration files and the command line, and opens the log.
    /// </summary>
    /// <param name="verb">`dump` or `restore`.</param>
    /// <param name="options">What the request says, in order.</param>
    /// <param name="configurationFile">A file whose options win over those of the request; it need not be there.</param>
    /// <exception cref="RequestException">The options can't be understood; the log, if it could be opened, says so too.</exception>
    IRequestWork Open(string verb, IReadOnlyList<RequestOption> options, string? configurationFile);
}

/// <summary>A request whose options are understood, and its log.</summary>
public interface IRequestWork : IDisposable
{
    /// <summary>The log.</summary>
    ILogger Log { get; }

    /// <summary>The first error that was logged, as its line stands in the log but without the time; null so far.</summary>
    string? FirstError { get; }

    /// <summary>The options of a dump.</summary>
    DumpOptions DumpOptions { get; }

    /// <summary>The options of a restore.</summary>
    RestoreOptions RestoreOptions { get; }

    /// <summary>Where statistics go.</summary>
    string WorkDirectory { get; }

    /// <summary>Logs what went wrong, a line for each thing.</summary>
    void Fail(Exception exception);

    /// <summary>
    /// Executes a program in place of this one, with the log as its standard output and error. Returns only if that fails.
    /// </summary>
    /// <param name="command">The program, looked for in PATH, and its arguments.</param>
    void Execute(IReadOnlyList<string> command);
}

/// <summary>One option of a request, by its long name on the command line.</summary>
/// <param name="Name">The name.</param>
/// <param name="Value">Its argument, or null.</param>
/// <param name="IsOff">Whether it is said to be off, as `--no-NAME`.</param>
public readonly record struct RequestOption(string Name, string? Value = null, bool IsOff = false);
