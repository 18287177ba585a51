using Firn.Engine;
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

    public bool ShellJob { get; set; }

    public bool FileLocks { get; set; }

    public bool LinkRemap { get; set; }

    public bool TcpEstablished { get; set; }

    public bool ExternalUnixSockets { get; set; }

    public bool SkipFileCheck { get; set; }

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

    public string? CgroupYard { get; set; }

    public string? Root { get; set; }

    public List<string> External { get; } = [];

    public Dictionary<string, int> InheritFd { get; } = [];

    public List<string> Features { get; } = [];

    public bool CheckExtra { get; set; }

    public bool CheckExperimental { get; set; }

    /// <summary>What the last close of `--close` answered.</summary>
    public SysResult Closed { get; set; }

    public string? InputFile { get; set; }

    public string? OutputFile { get; set; }

    /// <summary>The directory of logs, pid files and statistics.</summary>
    public string WorkPath => Path.GetFullPath(WorkDirectory ?? ImagesDirectory);

    public DumpOptions ToDumpOptions() => new()
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
        ExternalUnixSockets = ExternalUnixSockets,
        EmptyNamespaces = EmptyNamespaces,
        External = External,
        TimeoutSeconds = TimeoutSeconds,
        FreezeCgroup = FreezeCgroup,
        ManageCgroups = ManageCgroups,
        CgroupRoots = CgroupRoots,
        CgroupProperties = CgroupProperties,
        CgroupControllers = CgroupControllers,
        CgroupYard = CgroupYard,
    };

    public RestoreOptions ToRestoreOptions() => new()
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
        PidFile = PidFile is null ? null : Path.Combine(WorkPath, PidFile),
        SkipFileCheck = SkipFileCheck,
        NewPidNamespace = NewPidNamespace,
        EmptyNamespaces = EmptyNamespaces,
        InheritFd = InheritFd,
        Root = Root,
        External = External,
        TimeoutSeconds = TimeoutSeconds,
    };
}
