using Microsoft.Extensions.Logging;

namespace Firn.Engine.Hooks;

/// <summary>Calls all hooks of a dump or restore at a moment, in the order in which they were given.</summary>
/// <param name="hooks">The hooks.</param>
/// <param name="imagesDirectory">What they are told.</param>
/// <param name="log">Where log lines go.</param>
internal sealed class HookCaller(IReadOnlyList<IHooks> hooks, string imagesDirectory, ILogger log)
{
    /// <summary>The root of the tree as Firn's pid namespace sees it, once it is known.</summary>
    public int RootPid { get; set; }

    /// <summary>Whether there is anyone to call.</summary>
    public bool IsAny => hooks.Count > 0;

    /// <summary>Calls all; the first that fails is the last.</summary>
    /// <exception cref="HookException">One says that it must not go on.</exception>
    public void Call(string name)
    {
        if (hooks.Count == 0)
        {
            return;
        }

        log.LogDebug("hook {Name}", name);
        var call = new HookCall(name, RootPid, imagesDirectory);
        foreach (IHooks hook in hooks)
        {
            hook.Call(call);
        }
    }

    /// <summary>Calls all at a moment from which there is no way back: what fails is logged.</summary>
    public void CallForLog(string name)
    {
        try
        {
            Call(name);
        }
        catch (HookException exception)
        {
            log.LogError("{Reason}", exception.Message);
        }
    }

    /// <summary>Asks all which resources are external.</summary>
    /// <exception cref="HookException">One says that it must not go on.</exception>
    public IReadOnlyList<string> QueryExternal() => [.. hooks.SelectMany(hook => hook.QueryExternal())];

    /// <summary>Offers a terminal's master to all, until one takes it.</summary>
    /// <exception cref="HookException">One says that it must not go on.</exception>
    public bool OfferTerminal(int master) => hooks.Any(hook => hook.TakeTerminal(master));
}
