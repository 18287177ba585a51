using Microsoft.Extensions.Logging;

namespace Firn.Cli.Commands;

/// <summary>The directories that a command works in.</summary>
internal static class Directories
{
    /// <exception cref="UsageException">The images directory or the work directory is not there.</exception>
    public static void MustExist(Invocation invocation)
    {
        if (!Directory.Exists(invocation.ImagesDirectory))
        {
            throw new UsageException($"there is no images directory {invocation.ImagesDirectory}; make it, or name another with -D");
        }

        if (!Directory.Exists(invocation.WorkPath))
        {
            throw new UsageException($"there is no work directory {invocation.WorkPath}; make it, or name another with -W");
        }
    }

    /// <summary>Writes what is good to have but no reason to fail: the dump or restore is done by then.</summary>
    public static void Keep(ILogger log, Action write)
    {
        try
        {
            write();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            log.LogWarning("the statistics can't be written: {Reason}", exception.Message);
        }
    }
}
