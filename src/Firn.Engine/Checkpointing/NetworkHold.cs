using Firn.Engine.Hooks;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Checkpointing;

/// <summary>The network of a frozen tree, held while it is dumped. Disposing it lets go.</summary>
/// <remarks>
/// <para>Hooks are told of it whenever the tree has a namespace of its own, also where that is external, as CRIU does.</para>
/// <para>
/// Packets are locked out only where connections are saved: while the tree may run on, by a table that goes with Firn, however Firn ends;
/// once it is to be killed, by one that stays until the restore. nf_tables (net/netfilter/nf_tables_api.c, NFT_TABLE_F_OWNER).
/// </para>
/// </remarks>
internal sealed class NetworkHold : IDisposable
{
    private readonly DumpPlan plan;
    private readonly List<Fd> silenced = [];
    private bool isHeld;
    private bool isLeft;
    private PacketLock? packets;
    private string lastingName = string.Empty;

    private NetworkHold(DumpPlan plan) => this.plan = plan;

    /// <summary>Sockets of connections that have to end without a word to their peers when the tree is killed.</summary>
    public List<Fd> EndSilently { get; } = [];

    /// <summary>Whether packets are or were locked out.</summary>
    public bool HasLocked => packets is not null;

    /// <summary>Takes hold of it, if the tree has one of its own.</summary>
    /// <exception cref="HookException">A hook says no: nothing is held.</exception>
    public static NetworkHold Take(DumpPlan plan)
    {
        var hold = new NetworkHold(plan);
        string? own = Sys.ReadLink("/proc/self/ns/net", out _);
        if (Sys.ReadLink($"/proc/{plan.Options.Tree}/ns/net", out _) is { } network && network != own)
        {
            plan.Hooks.Call(HookNames.NetworkLock);
            hold.isHeld = true;
        }

        return hold;
    }

    /// <summary>Lets no packet through. The thread is in the network namespace in question.</summary>
    /// <param name="name">What <see cref="Leave"/> calls the lock that stays.</param>
    /// <param name="connections">The connections, or null for all of the namespace.</param>
    /// <exception cref="CheckpointException">The kernel has no nftables, or refuses.</exception>
    public void LockPackets(string name, IReadOnlyCollection<ConnectionEnds>? connections)
    {
        lastingName = name;
        try
        {
            packets = PacketLock.Take(name + "-dump", connections, isOwned: true);
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
    public void UnlockPackets()
    {
        SysResult result = packets?.Unlock() ?? default;
        if (result.IsError)
        {
            plan.Log.LogWarning("the network can't be unlocked: {Errno}; it is when Firn ends", result.Errno);
        }
    }

    /// <summary>
    /// The tree is about to be killed: what outlives it stays as it is, the lock stays, and connections end without a word. From here on
    /// Firn's end would be the tree's, since the lock would stay without a Firn to remove it.
    /// </summary>
    /// <exception cref="LinuxException">The kernel refuses; the tree may run on.</exception>
    public void Leave(FrozenTree tree)
    {
        if (packets is not null)
        {
            foreach (DumpedThread thread in tree.Tasks.SelectMany(task => task.Threads))
            {
                thread.Tracee?.SetOptions(PtraceOptions.PTRACE_O_EXITKILL | PtraceOptions.PTRACE_O_TRACESYSGOOD);
            }

            packets.AddLasting(lastingName);
        }

        foreach (Fd socket in EndSilently)
        {
            silenced.Add(socket);
            Sys.SetSocketOption(socket.Number, SocketLevel.IPPROTO_TCP, TcpOption.TCP_REPAIR, TcpOption.TCP_REPAIR_ON)
                .OrThrow($"setsockopt({socket}, TCP_REPAIR)");
        }

        silenced.Clear();
        isLeft = true;
    }

    /// <summary>Lets go. There is no way back from here, so what hooks say is only logged.</summary>
    public void LetGo()
    {
        if (isLeft)
        {
            return;
        }

        if (isHeld)
        {
            isHeld = false;
            plan.Hooks.CallForLog(HookNames.NetworkUnlock);
        }

        UnlockPackets();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Fd socket in silenced)
        {
            _ = Sys.SetSocketOption(socket.Number, SocketLevel.IPPROTO_TCP, TcpOption.TCP_REPAIR, TcpOption.TCP_REPAIR_OFF_NO_WP);
        }

        if (silenced.Count > 0)
        {
            packets?.RemoveLasting(lastingName);
        }

        LetGo();
        packets?.Dispose();
        packets = null;
    }
}
