using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Tree;

/// <summary>The packets of the TCP connections of a frozen tree, held back while it is dumped. Disposing it lets go.</summary>
/// <remarks>
/// Only where connections are saved: while the tree may run on, by a table that goes with Firn, however Firn ends; once it is to be killed,
/// by one that stays until the restore. nf_tables (net/netfilter/nf_tables_api.c, NFT_TABLE_F_OWNER).
/// </remarks>
internal sealed class PacketHold : IDisposable
{
    private readonly List<Fd> silenced = [];
    private readonly List<PacketLock> locks = [];
    private string lastingName = string.Empty;
    private bool isLeaving;

    /// <summary>Sockets of connections that have to end without a word to their peers when the tree is killed.</summary>
    public List<Fd> EndSilently { get; } = [];

    /// <summary>Whether packets are or were held back.</summary>
    public bool HasLocked => locks.Count > 0;

    /// <summary>Lets no packet through. The thread is in the network namespace in question, of which there may be several.</summary>
    /// <param name="name">What <see cref="Leave"/> calls the lock that stays.</param>
    /// <param name="connections">The connections, or null for all of the namespace.</param>
    /// <exception cref="CheckpointException">The kernel has no nftables, or refuses.</exception>
    public void Lock(string name, IReadOnlyCollection<ConnectionEnds>? connections)
    {
        lastingName = name;
        try
        {
            locks.Add(PacketLock.Take(name + "-dump", connections, isOwned: true));
        }
        catch (LinuxException exception)
        {
            throw new CheckpointException(
                $"the network can't be locked for the dump: {exception.Message}; load the kernel's nf_tables, or use --network-lock skip "
                    + "where nothing comes in meanwhile",
                exception)
            { Phase = "dump", Errno = exception.Errno };
        }
    }

    /// <summary>Lets packets through again.</summary>
    public void Unlock(ILogger log)
    {
        foreach (SysResult result in locks.ConvertAll(held => held.Unlock()))
        {
            if (result.IsError)
            {
                log.LogWarning("the network can't be unlocked: {Errno}; it is when Firn ends", result.Errno);
            }
        }
    }

    /// <summary>
    /// The tree is about to be killed: the lock stays, and connections end without a word. From here on Firn's end would be the tree's,
    /// since the lock would stay without a Firn to remove it.
    /// </summary>
    /// <exception cref="LinuxException">The kernel refuses; the tree may run on.</exception>
    public void Leave(IEnumerable<DumpedTask> tasks)
    {
        isLeaving = true;
        if (locks.Count > 0)
        {
            foreach (DumpedThread thread in tasks.SelectMany(task => task.Threads))
            {
                thread.Tracee?.SetOptions(PtraceOptions.PTRACE_O_EXITKILL | PtraceOptions.PTRACE_O_TRACESYSGOOD);
            }

            locks.ForEach(held => held.AddLasting(lastingName));
        }

        foreach (Fd socket in EndSilently)
        {
            silenced.Add(socket);
            Sys.SetSocketOption(socket.Number, SocketLevel.IPPROTO_TCP, TcpOption.TCP_REPAIR, TcpOption.TCP_REPAIR_ON)
                .OrThrow($"setsockopt({socket}, TCP_REPAIR)");
        }

        silenced.Clear();
        isLeaving = false;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Fd socket in silenced)
        {
            _ = Sys.SetSocketOption(socket.Number, SocketLevel.IPPROTO_TCP, TcpOption.TCP_REPAIR, TcpOption.TCP_REPAIR_OFF_NO_WP);
        }

        if (isLeaving)
        {
            locks.ForEach(held => held.RemoveLasting(lastingName));
        }

        locks.ForEach(held => held.Dispose());
        locks.Clear();
    }
}
