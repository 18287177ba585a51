using Firn.Engine;
using Firn.Engine.Hooks;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Cli;

/// <summary>A command line, understood. Filled by <see cref="CommandLine"/> through the table of options.</summary>
internal sealed class Invocation
{
    public string Verb { get; set; } = string.Empty;

    public List<string> Operands { get; } = [];

    public HashSet<CommandOption> Used { get; } = [];

    public bool Help { get; set; }

    public bool Version { get; set; }

    public bool Json { get; set; }

    public int Tree { get; set; }

    public int Pid { get; set; }

    public string ImagesDirectory { get; set; } = ".";

    public string? WorkDirectory { get; set; }

    public string? LogFile { get; set; }

    /// <summary>0 nothing, 1 errors, 2 warnings, 3 information, 4 everything.</summary>
    public int Verbosity { get; set; } = 2;

    public bool LeaveRunning { get; set; }

    public bool LeaveStopped { get; set; }

    public bool Detached { get; set; }

    public bool Sibling { get; set; }

    /// <summary>Whether the operands are a command to execute after the restore.</summary>
    public bool ExecutesCommand { get; set; }

    public bool ShellJob { get; set; }

    public bool FileLocks { get; set; }

    public bool LinkRemap { get; set; }

    public bool TcpEstablished { get; set; }

    public bool TcpClose { get; set; }

    public bool SkipInFlight { get; set; }

    public NetworkLock NetworkLock { get; set; }

    public bool ExternalUnixSockets { get; set; }

    public bool SkipModeCheck { get; set; }

    /// <inheritdoc cref="RestoreOptions.AllowChangedFiles"/>
    public bool AllowChangedFiles { get; set; }

    public bool NewPidNamespace { get; set; }

    public CloneFlags EmptyNamespaces { get; set; }

    public long GhostLimit { get; set; } = 1 << 20;

    public int TimeoutSeconds { get; set; } = 10;

    public string? PidFile { get; set; }

    public string? FreezeCgroup { get; set; }

    public bool LeaveFrozen { get; set; }

    public CgroupMode ManageCgroups { get; set; }

    public List<CgroupRoot> CgroupRoots { get; } = [];

    public List<string> CgroupProperties { get; } = [];

    public List<string> CgroupControllers { get; } = [];

    public List<string> SkippedMounts { get; } = [];

    public List<string> EnabledFileSystems { get; } = [];

    public string? CgroupYard { get; set; }

    public string? Root { get; set; }

    public List<ExternalResource> External { get; } = [];

    public List<JoinedNamespace> JoinedNamespaces { get; } = [];

    /// <summary>Whether `-M auto` was given.</summary>
    public bool FindsMounts { get; set; }

    /// <summary>The flags of `mnt[]` that go with it.</summary>
    public string MountFlags { get; set; } = string.Empty;

    public bool OrphanTerminals { get; set; }

    public List<string> ActionScripts { get; } = [];

    public Dictionary<string, int> InheritFd { get; } = [];

    public List<string> Features { get; } = [];

    public bool CheckExtra { get; set; }

    public bool CheckExperimental { get; set; }

    /// <summary>What the last close of `--close` answered.</summary>
    public SysResult Closed { get; set; }

    public string? Address { get; set; }

    public int? StatusFd { get; set; }

    public string Prefix { get; set; } = "/usr/local";

    public bool AsCriu { get; set; }

    public bool Force { get; set; }

    public string? InputFile { get; set; }

    public string? OutputFile { get; set; }

    /// <summary>The directory of logs, pid files and statistics.</summary>
    public string WorkPath => Path.GetFullPath(WorkDirectory ?? ImagesDirectory);

    private ExternalResources AllExternal
        => new(FindsMounts ? External.Append(new ExternalResource("mnt", string.Empty, MountFlags)) : External);

    /// <param name="scriptOutput">The descriptor for what action scripts print.</param>
    public DumpOptions ToDumpOptions(int scriptOutput = 2) => new()
    {
        Tree = Tree,
        ImagesDirectory = Path.GetFullPath(ImagesDirectory),
        LeaveRunning = LeaveRunning,
        LeaveStopped = LeaveStopped,
        ShellJob = ShellJob,
        FileLocks = FileLocks,
        LinkRemap = LinkRemap,
        GhostLimit = GhostLimit,
        TcpEstablished = TcpEstablished,
        TcpClose = TcpClose,
        SkipInFlight = SkipInFlight,
        NetworkLock = NetworkLock,
        ExternalUnixSockets = ExternalUnixSockets,
        EmptyNamespaces = EmptyNamespaces,
        External = AllExternal,
        OrphanTerminals = OrphanTerminals,
        Hooks = [.. ActionScripts.Select(script => new ActionScript(script, scriptOutput))],
        TimeoutSeconds = TimeoutSeconds,
        FreezeCgroup = FreezeCgroup,
        ManageCgroups = ManageCgroups,
        CgroupRoots = CgroupRoots,
        CgroupProperties = CgroupProperties,
        CgroupControllers = CgroupControllers,
        SkippedMounts = SkippedMounts,
        EnabledFileSystems = EnabledFileSystems,
        CgroupYard = CgroupYard,
    };

    /// <inheritdoc cref="ToDumpOptions"/>
    public RestoreOptions ToRestoreOptions(int scriptOutput = 2) => new()
    {
        ImagesDirectory = Path.GetFullPath(ImagesDirectory),
        Detached = Detached,
        Sibling = Sibling,
        LeaveStopped = LeaveStopped,
        LeaveFrozen = LeaveFrozen,
        ManageCgroups = ManageCgroups,
        CgroupRoots = CgroupRoots,
        CgroupYard = CgroupYard,
        ShellJob = ShellJob,
        FileLocks = FileLocks,
        TcpEstablished = TcpEstablished,
        TcpClose = TcpClose,
        NetworkLock = NetworkLock,
        PidFile = PidFile is null ? null : Path.Combine(WorkPath, PidFile),
        SkipModeCheck = SkipModeCheck,
        AllowChangedFiles = AllowChangedFiles,
        NewPidNamespace = NewPidNamespace,
        JoinedNamespaces = JoinedNamespaces,
        EmptyNamespaces = EmptyNamespaces,
        InheritFd = InheritFd,
        Root = Root,
        External = AllExternal,
        OrphanTerminals = OrphanTerminals,
        Hooks = [.. ActionScripts.Select(script => new ActionScript(script, scriptOutput))],
        TimeoutSeconds = TimeoutSeconds,
    };
}
