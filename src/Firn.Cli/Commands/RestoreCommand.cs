using Firn.Cli.Talk;
using Firn.Engine;
using Firn.Linux;
using Firn.Linux.Abi;
using Microsoft.Extensions.Logging;

namespace Firn.Cli.Commands;

/// <summary>`firn restore`.</summary>
internal static class RestoreCommand
{
    public static int Run(Invocation invocation)
    {
        Directories.MustExist(invocation);
        using LogFile log = LogFile.Open(invocation);
        int root = 0;
        int status = Failure.Guard(
            "restore",
            () =>
            {
                RestoreOptions options = invocation.ToRestoreOptions(log.Descriptor);
                RestoreResult result = ProgressDisplay.Run(progress => Checkpointer.Restore(options, log, progress));
                root = result.ChildPid;
                Directories.Keep(log, () => Statistics.Write(result, invocation.WorkPath));
                log.LogInformation("Restore finished successfully. Tasks resumed.");
                Tell(invocation, result);
                return 0;
            },
            log.HasFile ? log : null);
        if (status == 0 && invocation.ExecutesCommand)
        {
            log.Flush();
            string reason = ErrnoText.Describe(Execution.Run(invocation.Operands));
            StandardError.WriteLine($"restore: {invocation.Operands[0]} can't be executed: {reason}; the tree runs");
            return 1;
        }

        return status != 0 || invocation.Detached ? status : WaitFor(root, log);
    }

    /// <summary>Waits for the tree's root and gives its exit status, 128 and the signal if one killed it.</summary>
    /// <remarks>Whatever else of the tree is handed to this process meanwhile is reaped too.</remarks>
    private static int WaitFor(int root, LogFile log)
    {
        while (true)
        {
            SysResult waited = Sys.Wait4(-1, out int status, WaitOptions.__WALL);
            if (waited.Errno == Errno.EINTR)
            {
                continue;
            }

            if (waited.IsError)
            {
                log.LogWarning("the tree's root {Pid} is not a child of this process: its exit status can't be known", root);
                return 0;
            }

            int signal = status & 0x7F;
            if (waited.Int32 == root && signal != 0x7F)
            {
                return signal == 0 ? (status >> 8) & 0xFF : 128 + signal;
            }
        }
    }

    private static void Tell(Invocation invocation, RestoreResult result)
    {
        if (invocation.Json)
        {
            Account.WriteJson(result);
        }
        else if (invocation.Verbosity > 0)
        {
            StandardError.WriteLine(Account.Of(result));
        }
    }
}
