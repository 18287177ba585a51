namespace Firn.Engine.Hooks;

/// <summary>Somebody who takes part in a dump or restore: a container engine by its notifications, a script, a .NET application.</summary>
/// <remarks>
/// Called on the tracer thread, which waits; from <see cref="HookNames.NetworkLock"/> to the end of a dump, and in all of a restore after
/// <see cref="HookNames.PreRestore"/>, the tree stands still meanwhile.
/// </remarks>
public interface IHooks
{
    /// <summary>A moment has come.</summary>
    /// <exception cref="HookException">
    /// It must not go on: the dump leaves the tree running, the restore leaves nothing. At <see cref="HookNames.PreResume"/> and
    /// <see cref="HookNames.PostResume"/> there is no way back: then it is only logged.
    /// </exception>
    void Call(HookCall call);

    /// <summary>
    /// Asks which further resources are somebody else's business, while the frozen tree is looked at (`query-ext-files`).
    /// </summary>
    /// <returns>Strings of the grammar of `--external`.</returns>
    /// <exception cref="HookException">It must not go on.</exception>
    IReadOnlyList<string> QueryExternal() => [];

    /// <summary>Offers the master of a terminal whose slave the tree holds (`orphan-pts-master`).</summary>
    /// <param name="master">The descriptor, which stays the caller's.</param>
    /// <returns>Whether it was taken; if no one takes it, the restore can't go on.</returns>
    /// <exception cref="HookException">It must not go on.</exception>
    bool TakeTerminal(int master) => false;
}

/// <summary>One call of a hook.</summary>
/// <param name="Name">The moment, one of <see cref="HookNames"/>.</param>
/// <param name="RootPid">The root of the tree as Firn's pid namespace sees it, or 0 while there is none.</param>
/// <param name="ImagesDirectory">The images directory.</param>
public readonly record struct HookCall(string Name, int RootPid, string ImagesDirectory);

/// <summary>The moments, by CRIU's names (criu(8), `--action-script`).</summary>
public static class HookNames
{
    /// <summary>Before the tree is frozen.</summary>
    public const string PreDump = "pre-dump";

    /// <summary>The frozen tree has a network namespace of its own, which is about to be locked.</summary>
    public const string NetworkLock = "network-lock";

    /// <summary>The network namespace is about to be let go.</summary>
    public const string NetworkUnlock = "network-unlock";

    /// <summary>The image set is complete, the tree is still frozen. Who fails here keeps the tree running.</summary>
    public const string PostDump = "post-dump";

    /// <summary>The images are read; there is no task yet.</summary>
    public const string PreRestore = "pre-restore";

    /// <summary>The root exists in its namespaces, which are still empty.</summary>
    public const string SetupNamespaces = "setup-namespaces";

    /// <summary>The namespaces have their content.</summary>
    public const string PostSetupNamespaces = "post-setup-namespaces";

    /// <summary>All tasks are made. The last moment from which there is a way back.</summary>
    public const string PostRestore = "post-restore";

    /// <summary>The tree is about to be thawed.</summary>
    public const string PreResume = "pre-resume";

    /// <summary>The tree runs.</summary>
    public const string PostResume = "post-resume";

    /// <summary>Which resources are external; see <see cref="IHooks.QueryExternal"/>.</summary>
    public const string QueryExternalFiles = "query-ext-files";

    /// <summary>A terminal's master; see <see cref="IHooks.TakeTerminal"/>.</summary>
    public const string OrphanTerminalMaster = "orphan-pts-master";
}

/// <summary>A hook has said that a dump or restore must not go on.</summary>
/// <param name="hook">The moment, one of <see cref="HookNames"/>.</param>
/// <param name="message">One sentence that says who and why.</param>
public sealed class HookException(string hook, string message) : CheckpointException(message)
{
    /// <summary>The moment, one of <see cref="HookNames"/>.</summary>
    public string Hook { get; } = hook;
}
