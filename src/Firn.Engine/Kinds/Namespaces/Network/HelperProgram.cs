using System.Collections;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces.Network;

/// <summary>Programs that read and write rules in a form of their own, which the image format has taken over from them.</summary>
/// <remarks>They run in the namespaces that the thread is in: posix_spawn(3).</remarks>
internal static class HelperProgram
{
    private static readonly string[] Directories = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin"];

    /// <summary>Where the first of some programs is that is there; null if none is.</summary>
    public static string? Find(params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            foreach (string directory in Directories)
            {
                string path = $"{directory}/{name}";
                if (!Sys.StatAt(At.AT_FDCWD, path, out _).IsError)
                {
                    return path;
                }
            }
        }

        return null;
    }

    /// <summary>Runs a program to its end; what it says goes to Firn's standard error.</summary>
    /// <param name="arguments">Its path and its arguments.</param>
    /// <param name="input">Its standard input; null for nothing.</param>
    /// <param name="output">Its standard output; null for nothing.</param>
    /// <returns>Whether it ended well.</returns>
    /// <exception cref="LinuxException">It can't be started.</exception>
    public static bool Run(IReadOnlyList<string> arguments, Fd? input, Fd? output)
    {
        using Fd nothing = Sys.Open("/dev/null", OpenFlags.O_RDWR | OpenFlags.O_CLOEXEC);
        List<string> environment =
        [
            .. Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(variable => $"{variable.Key}={variable.Value}"),
        ];
        int pid = Spawn.Start(
            arguments, environment, [((input ?? nothing).Number, 0), ((output ?? nothing).Number, 1), (2, 2)], newSession: false);
        while (true)
        {
            SysResult waited = Sys.Wait4(pid, out int status, 0);
            if (waited.Errno != Errno.EINTR)
            {
                return !waited.IsError && status == 0;
            }
        }
    }
}
