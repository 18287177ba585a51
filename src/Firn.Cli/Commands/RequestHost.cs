using Firn.Cli.Talk;
using Firn.Engine;
using Firn.Linux;
using Firn.Rpc;
using Microsoft.Extensions.Logging;

namespace Firn.Cli.Commands;

/// <summary>Understands requests by the table of options, as the command line is.</summary>
/// <param name="arguments">The command line of this program, which comes before each request.</param>
internal sealed class RequestHost(string[] arguments) : IRequestHost
{
    private const string DefaultLog = "criu.log";

    /// <inheritdoc/>
    public IRequestWork Open(string verb, IReadOnlyList<RequestOption> options, string? configurationFile)
    {
        var invocation = new Invocation();
        try
        {
            invocation = CommandLine.BeginRequest(arguments, verb);
            bool isSilent = false;
            foreach (RequestOption option in options)
            {
                isSilent |= option is { Name: "log-file", IsOff: true };
                CommandLine.Put(invocation, option.Name, option.Value, option.IsOff);
            }

            invocation.LogFile = isSilent ? null : invocation.LogFile ?? DefaultLog;

            // Engines name one whether it is there or not.
            string? file = File.Exists(configurationFile) ? configurationFile : null;
            CommandLine.EndRequest(invocation, file);
            Directories.MustExist(invocation);
            var work = new Work(invocation);
            if (file is not null)
            {
                work.Log.LogInformation("Would overwrite RPC settings with values from {File}", file);
            }

            return work;
        }
        catch (UsageException exception)
        {
            Record(invocation, exception);
            throw new RequestException(exception.Message);
        }
    }

    // What is known of the log by then came first in the request.
    private static void Record(Invocation invocation, UsageException exception)
    {
        try
        {
            invocation.LogFile ??= DefaultLog;
            using LogFile log = LogFile.Open(invocation);
            log.LogError("{Sentence}", exception.Message);
        }
        catch (UsageException)
        {
            // Where no log can be, the reply alone says it.
        }
    }

    private sealed class Work : IRequestWork
    {
        private readonly Invocation invocation;
        private readonly LogFile log;

        public Work(Invocation invocation)
        {
            this.invocation = invocation;
            log = LogFile.Open(invocation);
        }

        public ILogger Log => log;

        public string? FirstError => log.FirstError;

        public DumpOptions DumpOptions => invocation.ToDumpOptions(log.Descriptor);

        public RestoreOptions RestoreOptions => invocation.ToRestoreOptions(log.Descriptor);

        public string WorkDirectory => invocation.WorkPath;

        public void Fail(Exception exception)
        {
            if (!Failure.IsExpected(exception) && exception is not RequestException)
            {
                log.LogError(exception, "a mistake in Firn, please report it: {Whole}", exception);
                return;
            }

            foreach (string sentence in Failure.Sentences(exception))
            {
                log.LogError("{Sentence}", sentence);
            }
        }

        public void Execute(IReadOnlyList<string> command)
        {
            _ = Sys.Dup3(log.Descriptor, 1, 0);
            _ = Sys.Dup3(log.Descriptor, 2, 0);
            log.LogError("exec-cmd: {Command} can't be executed: {Reason}", command[0], ErrnoText.Describe(Execution.Run(command)));
        }

        public void Dispose() => log.Dispose();
    }
}
