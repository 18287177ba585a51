using System.Text;
using Firn.Linux;

namespace Firn.Cli.Talk;

/// <summary>
/// Lines for people, on standard error, straight to the kernel: nothing is set up for them, so that a run that says little starts fast.
/// </summary>
internal static class StandardError
{
    private const int Descriptor = 2;

    /// <summary>Whether a person is likely to be looking on.</summary>
    public static bool IsTerminal { get; } = !Console.IsErrorRedirected;

    /// <summary>Writes a line.</summary>
    public static void WriteLine(string line) => Write(Descriptor, Encoding.UTF8.GetBytes(line + "\n"));

    /// <summary>Writes bytes to a descriptor, all of them; a reader who has gone away is no reason to fail.</summary>
    public static void Write(int descriptor, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            SysResult written = Sys.Write(descriptor, bytes);
            if (written.IsError && written.Errno != Linux.Abi.Errno.EINTR)
            {
                return;
            }

            bytes = bytes[(written.IsError ? 0 : written.Int32)..];
        }
    }
}
