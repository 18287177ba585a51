using Firn.Cli.Talk;
using Firn.Engine;
using Microsoft.Extensions.Logging;

namespace Firn.Cli.Commands;

/// <summary>`firn dump`.</summary>
internal static class DumpCommand
{
    public static int Run(Invocation invocation)
    {
        if (invocation.Tree == 0)
        {
            throw new UsageException("which tree? name the pid of its root with -t PID");
        }

        Directories.MustExist(invocation);
        using LogFile log = LogFile.Open(invocation);
        return Failure.Guard(
            "dump",
            () =>
            {
                DumpOptions options = invocation.ToDumpOptions(log.Descriptor);
                DumpResult result = ProgressDisplay.Run(progress => Checkpointer.Dump(options, log, progress));
                Directories.Keep(log, () => Statistics.Write(result, invocation.WorkPath));
                log.LogInformation("Dumping finished successfully");
                Tell(invocation, options, result);
                return 0;
            },
            log.HasFile ? log : null);
    }

    private static void Tell(Invocation invocation, DumpOptions options, DumpResult result)
    {
        if (invocation.Json)
        {
            Account.WriteJson(result, options.ImagesDirectory);
        }
        else if (invocation.Verbosity > 0)
        {
            StandardError.WriteLine(Account.Of(result, options.ImagesDirectory));
        }
    }
}
