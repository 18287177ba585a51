using Firn.Engine;
using Firn.Images;
using Firn.Linux;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Cli.Talk;

/// <summary>Turns what went wrong into a sentence for people, a line of the log, and exit status 1.</summary>
internal static class Failure
{
    /// <summary>Does a command and says what went wrong, if anything did.</summary>
    public static int Guard(string verb, Func<int> command, ILogger? log = null)
    {
        try
        {
            return command();
        }
        catch (Exception exception) when (IsExpected(exception))
        {
            foreach (string sentence in Sentences(exception))
            {
                StandardError.WriteLine($"{verb}: {sentence}");
                log?.LogError("{Sentence}", sentence);
            }

            return 1;
        }
        catch (Exception exception)
        {
            // A mistake in Firn: its stack trace is what helps, and the exit status is that of any failure.
            StandardError.WriteLine($"{verb}: this is a mistake in Firn, please report it with these lines:\n{exception}");
            log?.LogError(exception, "a mistake in Firn");
            return 1;
        }
    }

    /// <summary>The sentences for what went wrong: one each for all that stands in the way of a dump, or just one.</summary>
    public static IEnumerable<string> Sentences(Exception exception) => exception switch
    {
        UnsupportedResourceException unsupported => unsupported.Problems.Select(problem => problem.ToString()),
        _ => [exception.Message],
    };

    /// <summary>Whether it is of the kinds that are foreseen, whose message is a sentence for people.</summary>
    public static bool IsExpected(Exception exception) => exception
        is CheckpointException
        or UsageException
        or ImageFormatException
        or LinuxException
        or TraceeLostException
        or TraceeBusyException
        or RemoteCallException
        or IOException
        or UnauthorizedAccessException;
}
