using Firn.Engine.Hooks;

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

    /// <summary>Take session, group and terminal from the caller (`--shell-job`).</summary>
    public bool ShellJob { get; init; }

    /// <summary>Restore file locks (`--file-locks`).</summary>
    public bool FileLocks { get; init; }

    /// <summary>Where to write the root's pid (`--pidfile`).</summary>
    public string? PidFile { get; init; }

    /// <summary>Accept files whose size or mode has changed since the dump (`--skip-file-rwx-check` for the mode).</summary>
    public bool SkipFileCheck { get; init; }

    /// <summary>Descriptors handed in from outside (`--inherit-fd`): key to descriptor.</summary>
    public IReadOnlyDictionary<string, int> InheritFd { get; init; } = new Dictionary<string, int>();

    /// <summary>Resources that are somebody else's business (`--external`).</summary>
    public ExternalResources External { get; init; } = ExternalResources.None;

    /// <summary>Give terminals whose master was outside the tree a new one, and offer it to the hooks (`--orphan-pts-master`).</summary>
    public bool OrphanTerminals { get; init; }

    /// <summary>Who takes part (`--action-script`, the notifications of a container engine).</summary>
    public IReadOnlyList<IHooks> Hooks { get; init; } = [];

    /// <summary>Seconds to wait for a pid that is still taken.</summary>
    public int TimeoutSeconds { get; init; } = 10;
}
