using Firn.Engine.Freezing;
using Firn.Engine.Hooks;
using Firn.Engine.Tree;
using Firn.Linux;

namespace Firn.Engine.Checkpointing;

/// <summary>The network of a frozen tree, held while it is dumped. Disposing it lets go.</summary>
/// <remarks>Hooks are told of it whenever the tree has a namespace of its own, also where that is external, as CRIU does.</remarks>
internal sealed class NetworkHold : IDisposable
{
    private readonly DumpPlan plan;
    private bool isHeld;
    private bool isLeft;

    private NetworkHold(DumpPlan plan) => this.plan = plan;

    /// <summary>What holds back packets, as far as connections are saved.</summary>
    public PacketHold Packets { get; } = new();

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

    /// <summary>The tree is not going to run on: what outlives it stays as it is.</summary>
    /// <exception cref="LinuxException">It can't be left so; the tree may run on.</exception>
    public void Leave(FrozenTree tree)
    {
        Packets.Leave(tree.Tasks);
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

        Packets.Unlock(plan.Log);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        LetGo();
        Packets.Dispose();
    }
}
