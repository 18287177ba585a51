using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>A socket that was handed in for one of the images (`--inherit-fd fd[N]:socket:[INODE]`).</summary>
internal static class InheritedSocket
{
    /// <summary>A descriptor of it, or null where none was handed in.</summary>
    public static Fd? Of(RestoreContext context, uint inode)
        => context.Options.InheritFd.TryGetValue($"socket:[{inode}]", out int number)
            || context.Options.InheritFd.TryGetValue($"socket[{inode}]", out number)
                ? new Fd(Sys.Fcntl(number, FcntlCommand.F_DUPFD_CLOEXEC, 0).OrThrow($"fcntl({number}, F_DUPFD_CLOEXEC)").Int32)
                : null;
}
