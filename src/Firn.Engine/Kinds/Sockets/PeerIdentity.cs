using Firn.Engine.Kinds.Events;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>
/// Makes the calls by which the kernel learns whom SO_PEERCRED shows: listen, connect and socketpair, by a process with that id.
/// </summary>
/// <remarks>
/// Kernel: net/unix/af_unix.c, init_peercred(). The task itself comes later, and takes the same id again; the socket goes on showing the
/// number, though the process that it stands for has ended.
/// </remarks>
internal static class PeerIdentity
{
    /// <summary>Makes a call as somebody.</summary>
    /// <param name="context">The restore.</param>
    /// <param name="who">Who is to be seen; null where images don't say.</param>
    /// <param name="call">The call.</param>
    /// <returns>What it gives; or an error where nobody can have that id: EEXIST of a task that is there already.</returns>
    public static SysResult Call(RestoreContext context, SkCredentialsEntry? who, Func<Identity, SysResult> call)
    {
        if (who is not { Pid: > 0 })
        {
            return new SysResult(-(nint)Errno.ESRCH);
        }

        var identity = new Identity(who.Pid, who.Uid, who.Gid);
        return PassingProcess.WithinPids(context, () => call(identity));
    }
}
