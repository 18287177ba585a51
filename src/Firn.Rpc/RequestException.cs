using Firn.Linux.Abi;

namespace Firn.Rpc;

/// <summary>A request that can't be served as it is. Its message is one sentence, with what to do.</summary>
/// <param name="message">The sentence.</param>
/// <param name="errno">What the reply gives as cr_errno.</param>
public sealed class RequestException(string message, Errno errno = Errno.EBADRQC) : Exception(message)
{
    /// <summary>What the reply gives as cr_errno; EBADRQC is CRIU's for options that can't be.</summary>
    public Errno Errno { get; } = errno;
}
