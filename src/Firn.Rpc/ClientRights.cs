using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Rpc;

/// <summary>What a client of a service may do by itself: the service must not be its way to more.</summary>
internal static class ClientRights
{
    /// <summary>Whether who has connected has the user and all capabilities of this process, in the same user namespace.</summary>
    /// <remarks>SO_PEERPIDFD (Linux 6.5) tells afterwards whether the process looked at is the one that connected.</remarks>
    public static bool AreEnough(int socket)
    {
        if (Sys.GetSocketOption(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_PEERPIDFD, out int pidFd).IsError)
        {
            return false;
        }

        using var peer = new Fd(pidFd);
        Sys.GetSocketOption(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_PEERCRED, out Ucred credentials)
            .OrThrow("getsockopt(SO_PEERCRED)");
        try
        {
            ProcStatus own = ProcStatus.Read(Sys.GetPid());
            ProcStatus other = ProcStatus.Read(credentials.pid);
            bool isSameUser = Sys.ReadLink("/proc/self/ns/user", out _) is { } space
                && Sys.ReadLink($"/proc/{credentials.pid}/ns/user", out _) == space;
            bool isAlive = !Sys.PidfdSendSignal(peer.Number, Signal.None).IsError;
            return isAlive && isSameUser && credentials.uid == own.Uid[1] && (own.CapEff & ~other.CapEff) == 0;
        }
        catch (LinuxException)
        {
            // It has ended.
            return false;
        }
    }
}
