using Firn.Engine.Hooks;
using Firn.Linux.Abi;

namespace Firn.Engine;

/// <summary>What a dump is asked to do. Named after CRIU's long options.</summary>
public sealed record DumpOptions
{
    /// <summary>The root of the tree (`--tree`), as this process's pid namespace sees it.</summary>
    public required int Tree { get; init; }

    /// <summary>The images directory (`--images-dir`); it exists.</summary>
    public required string ImagesDirectory { get; init; }

    /// <summary>Let the tree run on afterwards (`--leave-running`).</summary>
    public bool LeaveRunning { get; init; }

    /// <summary>Leave the tree stopped afterwards (`--leave-stopped`).</summary>
    public bool LeaveStopped { get; init; }

    /// <summary>Accept a session, group or terminal from outside the tree (`--shell-job`).</summary>
    public bool ShellJob { get; init; }

    /// <summary>Save file locks (`--file-locks`).</summary>
    public bool FileLocks { get; init; }

    /// <summary>Link files back that have lost their path but not their last name (`--link-remap`).</summary>
    public bool LinkRemap { get; init; }

    /// <summary>The largest unlinked file that is saved whole, in bytes (`--ghost-limit`).</summary>
    public long GhostLimit { get; init; } = 1 << 20;

    /// <summary>Save established TCP connections (`--tcp-established`).</summary>
    public bool TcpEstablished { get; init; }

    /// <summary>Save connections as closed sockets (`--tcp-close`).</summary>
    public bool TcpClose { get; init; }

    /// <summary>Leave out connections that no one has accepted yet, or that aren't established (`--skip-in-flight`).</summary>
    public bool SkipInFlight { get; init; }

    /// <summary>How the network is locked while connections are saved (`--network-lock`).</summary>
    public NetworkLock NetworkLock { get; init; }

    /// <summary>Allow unix sockets whose peer is outside the tree (`--ext-unix-sk`).</summary>
    public bool ExternalUnixSockets { get; init; }

    /// <summary>Resources that are somebody else's business (`--external`).</summary>
    public ExternalResources External { get; init; } = ExternalResources.None;

    /// <summary>
    /// Accept terminals whose master is outside the tree: the restore offers a new one to its hooks (`--orphan-pts-master`).
    /// </summary>
    public bool OrphanTerminals { get; init; }

    /// <summary>
    /// The inode of the socket that the tree has asked for its own dump through, or 0: its end is saved as one that finds an answer.
    /// </summary>
    public ulong ServiceSocket { get; init; }

    /// <summary>Who takes part (`--action-script`, the notifications of a container engine).</summary>
    public IReadOnlyList<IHooks> Hooks { get; init; } = [];

    /// <summary>
    /// Namespaces of the tree's own whose content isn't saved, as somebody else fills them at the restore (`--empty-ns`): CLONE_NEWNET or
    /// none.
    /// </summary>
    public CloneFlags EmptyNamespaces { get; init; }

    /// <summary>Seconds to wait for the tree to stand still (`--timeout`).</summary>
    public int TimeoutSeconds { get; init; } = 10;

    /// <summary>
    /// The control group whose freezer stops the tree (`--freeze-cgroup`); null to use one that holds the tree and nothing else, if any.
    /// </summary>
    public string? FreezeCgroup { get; init; }

    /// <summary>What is done about control groups (`--manage-cgroups`).</summary>
    public CgroupMode ManageCgroups { get; init; }

    /// <summary>Other roots of the tree's control groups (`--cgroup-root`).</summary>
    public IReadOnlyList<CgroupRoot> CgroupRoots { get; init; } = [];

    /// <summary>
    /// A directory in which the hierarchies are mounted, each by the name of its controllers (`--cgroup-yard`); null for where they are
    /// found.
    /// </summary>
    public string? CgroupYard { get; init; }

    /// <summary>Which properties of control groups are saved besides or instead of the usual (`--cgroup-props`), in CRIU's form.</summary>
    public IReadOnlyList<string> CgroupProperties { get; init; } = [];

    /// <summary>The controllers whose groups are saved (`--cgroup-dump-controller`); all, if none is named.</summary>
    public IReadOnlyList<string> CgroupControllers { get; init; } = [];

    /// <summary>Mount points that are left out, with all below them (`--skip-mnt`).</summary>
    public IReadOnlyList<string> SkippedMounts { get; init; } = [];

    /// <summary>Types of file systems without content of their own, which are just mounted again; `all` for any (`--enable-fs`).</summary>
    public IReadOnlyList<string> EnabledFileSystems { get; init; } = [];
}
