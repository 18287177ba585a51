using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>A system call failed where it had to succeed.</summary>
/// <param name="call">The call with its arguments.</param>
/// <param name="errno">The kernel's error number.</param>
public sealed class LinuxException(string call, Errno errno) : Exception($"{call}: {errno} ({ErrnoText.Describe(errno)})")
{
    /// <summary>The call with its arguments.</summary>
    public string Call { get; } = call;

    /// <summary>The kernel's error number.</summary>
    public Errno Errno { get; } = errno;
}
