using System.Collections;
using System.Globalization;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Hooks;

/// <summary>A program that is started at each moment (`--action-script`). It says by exit status 0 that the work may go on.</summary>
/// <remarks>
/// It finds the moment in CRTOOLS_SCRIPT_ACTION, the images directory in CRTOOLS_IMAGE_DIR, and the root of the tree, once there is one,
/// in CRTOOLS_INIT_PID. Its standard input is empty; what it prints goes to one descriptor, such as the log's.
/// </remarks>
/// <param name="program">Its path.</param>
/// <param name="output">The descriptor for its standard output and standard error.</param>
public sealed class ActionScript(string program, int output = 2) : IHooks
{
    /// <inheritdoc/>
    public void Call(HookCall call)
    {
        List<string> environment =
        [
            .. Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(variable => $"{variable.Key}={variable.Value}")
                .Where(variable => !variable.StartsWith("CRTOOLS_", StringComparison.Ordinal)),
            $"CRTOOLS_SCRIPT_ACTION={call.Name}",
            $"CRTOOLS_IMAGE_DIR={call.ImagesDirectory}",
        ];
        if (call.RootPid > 0)
        {
            environment.Add(string.Create(CultureInfo.InvariantCulture, $"CRTOOLS_INIT_PID={call.RootPid}"));
        }

        int status = Run(call.Name, environment);
        int signal = status & 0x7F;
        if (status != 0)
        {
            string how = signal == 0 ? $"exited with status {(status >> 8) & 0xFF}" : $"was killed by signal {signal}";
            throw new HookException(call.Name, $"script {program} {how} at {call.Name}; what it printed says why");
        }
    }

    private int Run(string name, List<string> environment)
    {
        using Fd nothing = Sys.Open("/dev/null", OpenFlags.O_RDONLY);
        int pid;
        try
        {
            pid = Spawn.Start([program], environment, [(nothing.Number, 0), (output, 1), (output, 2)], newSession: false);
        }
        catch (LinuxException exception)
        {
            throw new HookException(
                name, $"script {program} can't be started: {exception.Errno} ({ErrnoText.Describe(exception.Errno)}); is it executable?");
        }

        while (true)
        {
            SysResult waited = Sys.Wait4(pid, out int status, 0);
            if (waited.Errno != Errno.EINTR)
            {
                return waited.IsError ? 0 : status;
            }
        }
    }
}
