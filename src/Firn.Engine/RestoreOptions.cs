using Firn.Engine.Hooks;
using Firn.Linux.Abi;

namespace Firn.Engine;

/// <summary>What a restore is asked to do. Named after CRIU's long options.</summary>
public sealed record RestoreOptions
{
    /// <summary>The images directory (`--images-dir`).</summary>
    public required string ImagesDirectory { get; init; }

    /// <summary>Detach from the tree once it runs (`--restore-detached`).</summary>
    public bool Detached { get; init; }

    /// <summary>Make the root a sibling, a child of this process's parent (`--restore-sibling`).</summary>
    public bool Sibling { get; init; }

    /// <summary>Leave the tree stopped (`--leave-stopped`).</summary>
    public bool LeaveStopped { get; init; }

    /// <summary>Leave the tree frozen in its cgroup, not one instruction run, until it is thawed (`--leave-frozen`).</summary>
    public bool LeaveFrozen { get; init; }

    /// <summary>Take session, group and terminal from the caller (`--shell-job`).</summary>
    public bool ShellJob { get; init; }

    /// <summary>Restore file locks (`--file-locks`).</summary>
    public bool FileLocks { get; init; }

    /// <summary>Restore established TCP connections (`--tcp-established`).</summary>
    public bool TcpEstablished { get; init; }

    /// <summary>Restore TCP connections as closed sockets (`--tcp-close`).</summary>
    public bool TcpClose { get; init; }

    /// <summary>How the network is locked while connections are made again (`--network-lock`).</summary>
    public NetworkLock NetworkLock { get; init; }

    /// <summary>
    /// Restore a tree that had no pid namespace of its own into a new one (`--new-pid-namespace`), so that no pid is ever taken.
    /// </summary>
    public bool NewPidNamespace { get; init; }

    /// <summary>Where to write the root's pid (`--pidfile`).</summary>
    public string? PidFile { get; init; }

    /// <summary>Accept files whose mode has changed since the dump (`--skip-file-rwx-check`).</summary>
    public bool SkipModeCheck { get; init; }

    /// <summary>
    /// Accept files that have changed since the dump in size, time of modification, build id or mode (`--allow-changed-files`).
    /// </summary>
    public bool AllowChangedFiles { get; init; }

    /// <summary>Descriptors handed in from outside (`--inherit-fd`): key to descriptor.</summary>
    public IReadOnlyDictionary<string, int> InheritFd { get; init; } = new Dictionary<string, int>();

    /// <summary>Where the root of the tree's own mount namespace lies (`--root`); null for Firn's own root.</summary>
    public string? Root { get; init; }

    /// <summary>Resources that are somebody else's business (`--external`).</summary>
    public ExternalResources External { get; init; } = ExternalResources.None;

    /// <summary>Give terminals whose master was outside the tree a new one, and offer it to the hooks (`--orphan-pts-master`).</summary>
    public bool OrphanTerminals { get; init; }

    /// <summary>Who takes part (`--action-script`, the notifications of a container engine).</summary>
    public IReadOnlyList<IHooks> Hooks { get; init; } = [];

    /// <summary>
    /// Namespaces of the tree's own that are made, and left empty for somebody else to fill (`--empty-ns`): CLONE_NEWNET or none.
    /// </summary>
    public CloneFlags EmptyNamespaces { get; init; }

    /// <summary>
    /// Namespaces that exist, which the tree is put into in place of its own of that kind, or of Firn's (`--join-ns`). What the images
    /// hold of the tree's own is left out.
    /// </summary>
    public IReadOnlyList<JoinedNamespace> JoinedNamespaces { get; init; } = [];

    /// <summary>Seconds to wait for a pid that is still taken.</summary>
    public int TimeoutSeconds { get; init; } = 10;

    /// <summary>What is done about control groups (`--manage-cgroups`).</summary>
    public CgroupMode ManageCgroups { get; init; }

    /// <summary>Other roots of the tree's control groups (`--cgroup-root`).</summary>
    public IReadOnlyList<CgroupRoot> CgroupRoots { get; init; } = [];

    /// <summary>
    /// A directory in which the hierarchies are mounted, each by the name of its controllers (`--cgroup-yard`); null for where they are
    /// found.
    /// </summary>
    public string? CgroupYard { get; init; }

    /// <summary>
    /// Whether the engine that asks has put Firn into the control groups of the container: Firn leaves them, and only the tree goes there.
    /// </summary>
    public bool LeaveCgroups { get; init; }
}
