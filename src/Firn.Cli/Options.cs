using System.Globalization;
using Firn.Engine;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Cli;

/// <summary>
/// All options of the command line: what is parsed, what configuration files may say, and what the help shows comes from here alone.
/// </summary>
/// <remarks>Names, letters and meanings are those of CRIU 4.2 where it has them (criu(8)).</remarks>
internal static class Options
{
    /// <summary>The value that stands for `--no-NAME`.</summary>
    public const string Off = "\0off";

    /// <summary>The table.</summary>
    public static readonly CommandOption[] Table =
    [
        // ---- what, where to, and what then
        Value("tree", 't', Verbs.Dump | Verbs.Freeze | Verbs.Thaw, "PID", "the tree of processes below PID", (to, text)
            => to.Tree = Positive(text)),
        Value("images-dir", 'D', Verbs.Dump | Verbs.Restore, "DIR",
            "the images directory (default: the current one)", (to, text) => to.ImagesDirectory = text),
        Value("work-dir", 'W', Verbs.Dump | Verbs.Restore | Verbs.Service, "DIR",
            "directory of logs, pid file and statistics (default: the images directory)", (to, text) => to.WorkDirectory = text),
        Flag("leave-running", 'R', Verbs.Dump,
            "let the tree run on after the dump, instead of killing it", (to, _) => (to.LeaveRunning, to.LeaveStopped) = (true, false)),
        Flag("leave-stopped", 's', Verbs.Dump | Verbs.Restore,
            "leave the tree stopped afterwards", (to, _) => (to.LeaveRunning, to.LeaveStopped) = (false, true)),
        Switch("restore-detached", 'd', Verbs.Restore,
            "return once the tree runs, instead of waiting for its end", (to, on) => to.Detached = on),
        Switch("daemon", '\0', Verbs.Service, "go on in the background; the same as --restore-detached", (to, on) => to.Detached = on),
        Switch("restore-sibling", 'S', Verbs.Restore,
            "make the root a child of Firn's parent (with --restore-detached)", (to, on) => to.Sibling = on),
        Value("pidfile", '\0', Verbs.Restore | Verbs.Service, "FILE",
            "write the root's pid into FILE; or that of the service", (to, text) => to.PidFile = text),

        Switch("exec-cmd", '\0', Verbs.Restore,
            "execute the command behind `--` in place of Firn then, as the parent of the tree", (to, on) => to.ExecutesCommand = on),

        // ---- what may be saved
        Switch("shell-job", 'j', Verbs.Dump | Verbs.Restore,
            "accept a session, process group or terminal from outside the tree", (to, on) => to.ShellJob = on),
        Switch("file-locks", 'l', Verbs.Dump | Verbs.Restore, "save file locks", (to, on) => to.FileLocks = on),
        Value("ghost-limit", '\0', Verbs.Dump, "SIZE",
            "the largest unlinked file to save whole, with K, M or G (default: 1M)", (to, text) => to.GhostLimit = Size(text)),
        Switch("link-remap", '\0', Verbs.Dump,
            "link files back that have lost their path but not their last name", (to, on) => to.LinkRemap = on),
        Switch("tcp-established", '\0', Verbs.Dump | Verbs.Restore,
            "save and restore TCP connections, so that they go on", (to, on) => to.TcpEstablished = on),
        Switch("tcp-close", '\0', Verbs.Dump | Verbs.Restore,
            "save or restore TCP connections as closed sockets", (to, on) => to.TcpClose = on),
        Switch("skip-in-flight", '\0', Verbs.Dump,
            "leave out TCP connections that are not accepted or not established yet", (to, on) => to.SkipInFlight = on),
        Value("network-lock", '\0', Verbs.Dump | Verbs.Restore, "METHOD",
            "how the network is locked meanwhile: nftables (default; iptables means the same) or skip",
            (to, text) => to.NetworkLock = NetworkLockOf(text)),
        Optional(
            "ext-unix-sk", 'x', Verbs.Dump | Verbs.Restore, "INODE", "allow unix sockets whose peer is outside the tree", AllowUnixSockets),
        Value("external", '\0', Verbs.Dump | Verbs.Restore, "TYPE[ID]:VALUE",
            "a resource that is somebody else's business", (to, text) => to.External.Add(External(text))),
        Value("root", 'r', Verbs.Dump | Verbs.Restore, "DIR",
            "where the root of a tree with mounts of its own lies (default: /)", (to, text) => to.Root = Path.GetFullPath(text)),
        Value("ext-mount-map", 'M', Verbs.Dump | Verbs.Restore, "KEY:VALUE",
            "as --external mnt[KEY]:VALUE; `auto` as mnt[]", MapMount),
        Switch("enable-external-sharing", '\0', Verbs.None, "with `-M auto`, mounts that share with the outside too",
            (to, on) => AllowMounts(to, on, 's')),
        Switch("enable-external-masters", '\0', Verbs.None, "with `-M auto`, mounts that have a master outside too",
            (to, on) => AllowMounts(to, on, 'm')),
        Switch("orphan-pts-master", '\0', Verbs.Dump | Verbs.Restore,
            "accept terminals of programs outside; their masters are offered to a container engine", (to, on) => to.OrphanTerminals = on),
        Value("action-script", '\0', Verbs.Dump | Verbs.Restore, "FILE",
            "start FILE at each moment of a dump or restore; it can stop it by its exit status", (to, text) => to.ActionScripts.Add(text)),
        Value("skip-mnt", '\0', Verbs.Dump, "PATH",
            "leave out what is mounted at PATH, and on it", (to, text) => to.SkippedMounts.Add(text)),
        Value("enable-fs", '\0', Verbs.Dump, "NAMES",
            "types of file systems that are just mounted again, separated by commas; `all` for any",
            (to, text) => to.EnabledFileSystems.AddRange(text.Split(',', StringSplitOptions.RemoveEmptyEntries))),
        Value("inherit-fd", '\0', Verbs.Restore, "fd[N]:KEY", "use descriptor N of Firn's for the resource KEY", Inherit),
        Switch("skip-file-rwx-check", '\0', Verbs.Restore,
            "accept files whose permissions have changed since the dump", (to, on) => to.SkipModeCheck = on),
        Switch("allow-changed-files", '\0', Verbs.Restore,
            "accept files whose size, time of modification, build id or mode has changed since the dump",
            (to, on) => to.AllowChangedFiles = on),
        Value("timeout", '\0', Verbs.Dump | Verbs.Restore | Verbs.Freeze, "SECONDS",
            "how long to wait for the tree to stand still, or for a pid (default: 10)", (to, text) => to.TimeoutSeconds = Number(text)),
        Value(
            "close", '\0', Verbs.Dump | Verbs.Restore, "FD", "close a descriptor first", (to, text) => to.Closed = Sys.Close(Number(text))),

        // ---- cgroups
        Value("freeze-cgroup", '\0', Verbs.Dump | Verbs.Freeze | Verbs.Thaw, "CGROUP",
            "use the freezer of this cgroup (default: that of the tree, if it has one)", (to, text) => to.FreezeCgroup = text),
        Optional("manage-cgroups", '\0', Verbs.Dump | Verbs.Restore, "MODE",
            "save and restore cgroups: ignore (without the option), none, props, soft (without MODE), full or strict",
            (to, text) => to.ManageCgroups = CgroupModeOf(text)),
        Value("cgroup-root", '\0', Verbs.Dump | Verbs.Restore, "[CONTROLLER:]/PATH",
            "the tree's cgroup is to be at this path instead of where it was", (to, text) => to.CgroupRoots.Add(RootOf(text))),
        Value("cgroup-props", '\0', Verbs.Dump, "TEXT",
            "save these properties of cgroups, too, or instead", (to, text) => to.CgroupProperties.Add(text)),
        Value("cgroup-props-file", '\0', Verbs.Dump, "FILE",
            "the same from a file", (to, text) => to.CgroupProperties.Add(ReadFile(text))),
        Value("cgroup-dump-controller", '\0', Verbs.Dump, "NAME",
            "save only the cgroups of this controller, and of others that are named so", (to, text) => to.CgroupControllers.Add(text)),
        Value("cgroup-yard", '\0', Verbs.Dump | Verbs.Restore, "DIR",
            "find the hierarchies of cgroups in DIR, mounted by the names of their controllers", (to, text) => to.CgroupYard = text),
        Own("leave-frozen", '\0', Verbs.Restore,
            "leave the tree frozen in its cgroup, until `firn thaw`", (to, _) => to.LeaveFrozen = true),

        // ---- what is said
        Value("log-file", 'o', Verbs.Criu | Verbs.Freeze | Verbs.Thaw, "FILE",
            "write the log into FILE, in the work directory", (to, text) => to.LogFile = text),
        Optional("verbosity", 'v', Verbs.Criu | Verbs.Demo | Verbs.Freeze | Verbs.Thaw, "LEVEL",
            "0 nothing, 1 errors, 2 warnings (default), 3 information, 4 everything; -vv is one more than -v", Verbosity),
        Switch("display-stats", '\0', Verbs.Dump | Verbs.Restore, "print the account at the end; Firn always does", null, Support.Accepted),
        Value("empty-ns", '\0', Verbs.Dump | Verbs.Restore, "NAME",
            "don't save or fill this namespace of the tree's own: `net`, the only one that can be left", EmptyNamespace),
        Value("join-ns", 'J', Verbs.Restore, "NAME:PID|FILE",
            "put the tree into a namespace that exists, in place of its own: net, ipc, uts, time or mnt, of PID or kept by FILE", Join),
        Value("veth-pair", '\0', Verbs.Restore, "INSIDE=OUTSIDE[@BRIDGE]",
            "as --external veth[INSIDE]:OUTSIDE[@BRIDGE]", MapVeth),
        Own("new-pid-namespace", '\0', Verbs.Restore,
            "restore a tree without a pid namespace of its own into a new one, so that no pid can be taken",
            (to, _) => to.NewPidNamespace = true),
        Own("json", '\0', Verbs.Criu | Verbs.Freeze | Verbs.Thaw,
            "print the answer as JSON on standard output", (to, _) => to.Json = true),
        Flag("help", 'h', Verbs.All, "print this help", (to, _) => to.Help = true),
        Flag("version", 'V', Verbs.All, "print the version", (to, _) => to.Version = true),
        Value("config", '\0', Verbs.Criu, "FILE", "read options from FILE too, one `name value` a line", null),
        Flag("no-default-config", '\0', Verbs.Criu, "don't read /etc/criu/default.conf and ~/.criu/default.conf", null),

        // ---- service, install
        Value("address", '\0', Verbs.Service, "PATH",
            "the socket to listen at (default: criu_service.socket in the work directory)", (to, text) => to.Address = text),
        Value("status-fd", '\0', Verbs.Service, "FD",
            "write a zero byte to FD once clients can connect", (to, text) => to.StatusFd = Number(text)),
        OwnValue("prefix", '\0', Verbs.Install, "DIR",
            "install into DIR/bin (default: /usr/local)", (to, text) => to.Prefix = text),
        Own("as-criu", '\0', Verbs.Install, "make it found under the name `criu` too, by container engines", (to, _) => to.AsCriu = true),
        Own("force", '\0', Verbs.Install, "replace a program of another make", (to, _) => to.Force = true),

        // ---- check
        OwnValue("pid", '\0', Verbs.Check, "PID",
            "say what stands in the way of a dump of the tree below PID", (to, text) => to.Pid = Positive(text)),
        Value("feature", '\0', Verbs.Check, "NAME",
            "ask for one feature of the kernel; `list` lists them", (to, text) => to.Features.Add(text)),
        Switch("extra", '\0', Verbs.Check, "fail if a feature is absent that only some processes need", (to, on) => to.CheckExtra = on),
        Switch("experimental", '\0', Verbs.Check, "fail if an experimental feature is absent", (to, on) => to.CheckExperimental = on),
        Flag("all", '\0', Verbs.Check, "--extra and --experimental", (to, _) => (to.CheckExtra, to.CheckExperimental) = (true, true)),

        // ---- decode, encode
        OwnValue("in", 'i', Verbs.Decode | Verbs.Encode, "FILE",
            "the file to read (default: standard input)", (to, text) => to.InputFile = text),
        OwnValue("out", 'o', Verbs.Decode | Verbs.Encode, "FILE",
            "the file to write (default: standard output)", (to, text) => to.OutputFile = text),
        Own("pretty", '\0', Verbs.Decode, "indent the JSON; Firn always does", null),

        // ---- options of CRIU that change nothing here
        Accepted("log-pid", "one log serves the whole tree: tasks write none themselves"),
        Accepted("force-irmap", "watches are resolved by file handle"),
        Accepted("evasive-devices", "devices are opened by their path"),
        Accepted("weak-sysctls", "no sysctl is restored without a namespace of its own"),
        Accepted("deprecated", "nothing is deprecated yet"),
        Accepted("ghost-fiemap", "holes of unlinked files are always found"),
        Accepted("mntns-compat-mode", "there is one way to make mounts"),
        Accepted("allow-uprobes", "nothing to allow"),
        AcceptedValue("libdir", 'L', "DIR", "there are no plugins"),
        AcceptedValue("irmap-scan-path", '\0', "PATH", "watches are resolved by file handle"),
        AcceptedValue("file-validation", '\0', "METHOD", "size, permissions, and build id or time of modification are compared"),
        AcceptedValue("pre-dump-mode", '\0', "MODE", "concerns pre-dump"),
        Optional("cpu-cap", '\0', Verbs.None, "CAPABILITIES", "which features of the processor must be there", null, Support.Accepted),

        // ---- options of CRIU that this version refuses by name
        NotYet("prev-images-dir", ArgumentRule.Required), NotYet("track-mem"), NotYet("auto-dedup"), NotYet("lazy-pages"), NotYet("stream"),
        NotYet("page-server"), NotYet("port", ArgumentRule.Required), NotYet(
            "ps-socket", ArgumentRule.Required),
        NotYet("tls"), NotYet(
            "tls-cacert", ArgumentRule.Required), NotYet("tls-cacrl", ArgumentRule.Required),
        NotYet("tls-cert", ArgumentRule.Required), NotYet("tls-key", ArgumentRule.Required), NotYet("tls-no-cn-verify"),
        NotYet("exec-cmd"),
        NotYet("lsm-profile", ArgumentRule.Required), NotYet(
            "lsm-mount-context", ArgumentRule.Required),
        NotYet("unprivileged"),
    ];

    private static CommandOption Flag(string name, char letter, Verbs verbs, string help, Action<Invocation, string?>? put)
        => new() { Name = name, Letter = letter, Verbs = verbs, Help = help, Put = put };

    private static CommandOption Switch(
        string name,
        char letter,
        Verbs verbs,
        string help,
        Action<Invocation, bool>? put,
        Support support = Support.Works)
        => new()
        {
            Name = name,
            Letter = letter,
            Verbs = verbs,
            Help = help,
            Negatable = true,
            Support = support,
            Put = put is null ? null : (to, value) => put(to, value != Off),
        };

    private static CommandOption Value(string name, char letter, Verbs verbs, string argument, string help, Action<Invocation, string>? put)
        => new()
        {
            Name = name,
            Letter = letter,
            Verbs = verbs,
            Rule = ArgumentRule.Required,
            Argument = argument,
            Help = help,
            Put = put is null ? null : (to, value) => put(to, value!),
        };

    private static CommandOption Optional(
        string name,
        char letter,
        Verbs verbs,
        string argument,
        string help,
        Action<Invocation, string?>? put,
        Support support = Support.Works)
        => new()
        {
            Name = name,
            Letter = letter,
            Verbs = verbs,
            Rule = ArgumentRule.Optional,
            Argument = argument,
            Help = help,
            Put = put,
            Support = support,
        };

    private static CommandOption Own(string name, char letter, Verbs verbs, string help, Action<Invocation, string?>? put)
        => Flag(name, letter, verbs, help, put) with { OfCriu = false };

    private static CommandOption OwnValue(
        string name, char letter, Verbs verbs, string argument, string help, Action<Invocation, string> put)
        => Value(name, letter, verbs, argument, help, put) with { OfCriu = false };

    private static CommandOption Accepted(string name, string why)
        => new() { Name = name, Help = why, Negatable = true, Support = Support.Accepted };

    private static CommandOption AcceptedValue(string name, char letter, string argument, string why)
        => new()
        {
            Name = name,
            Letter = letter,
            Rule = ArgumentRule.Required,
            Argument = argument,
            Help = why,
            Support = Support.Accepted,
        };

    private static CommandOption NotYet(string name, ArgumentRule rule = ArgumentRule.None, char letter = '\0')
        => new()
        {
            Name = name,
            Letter = letter,
            Rule = rule,
            Help = string.Empty,
            Negatable = rule == ArgumentRule.None,
            Support = Support.NotYet,
        };

    private static void AllowUnixSockets(Invocation to, string? inode)
    {
        to.ExternalUnixSockets = true;
        if (inode is not null)
        {
            to.External.Add(new ExternalResource("unix", inode, null));
        }
    }

    private static ExternalResource External(string text)
        => ExternalResource.TryParse(text, out ExternalResource? resource)
            ? resource
            : throw new UsageException($"`{text}` is not of the form TYPE[ID]:VALUE");

    private static void MapMount(Invocation to, string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        if (text == "auto")
        {
            AllowMounts(to, true, null);
        }
        else if (colon > 0)
        {
            to.External.Add(new ExternalResource("mnt", text[..colon], text[(colon + 1)..]));
        }
        else
        {
            throw new UsageException($"`{text}` is not of the form KEY:VALUE, nor `auto`");
        }
    }

    // Firn finds mounts from outside by itself where `-M auto` or `mnt[]` says so; the flags may come before or after.
    private static void AllowMounts(Invocation to, bool on, char? flag)
    {
        to.FindsMounts |= flag is null;
        string flags = to.MountFlags.Replace($"{flag}", string.Empty, StringComparison.Ordinal);
        to.MountFlags = on && flag is not null ? $"{flags}{flag}" : flags;
    }

    private static void Inherit(Invocation to, string text)
    {
        int end = text.IndexOf("]:", StringComparison.Ordinal);
        if (!text.StartsWith("fd[", StringComparison.Ordinal) || end < 0 || end + 2 == text.Length)
        {
            throw new UsageException($"`{text}` is not of the form fd[N]:KEY");
        }

        to.InheritFd[text[(end + 2)..]] = Number(text[3..end]);
    }

    private static void EmptyNamespace(Invocation to, string name)
        => to.EmptyNamespaces |= name == "net"
            ? CloneFlags.CLONE_NEWNET
            : throw new UsageException($"`{name}` is no namespace that can be left empty: only `net` can");

    // What is behind a comma is CRIU's, for a user namespace alone.
    private static void Join(Invocation to, string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        string name = colon < 0 ? text : text[..colon];
        if (!JoinedNamespace.Names.Contains(name))
        {
            throw new UsageException(name switch
            {
                "pid" => "a pid namespace can't be joined: its ids may be taken; hand it in by --inherit-fd",
                "user" => "a user namespace can't be joined: within it no task may choose the pid of another",
                "cgroup" => "a cgroup namespace can't be joined: it follows the tree's control groups (--cgroup-root)",
                _ => $"`{text}` is not of the form NAME:PID or NAME:FILE, with the NAME of a namespace: "
                    + string.Join(", ", JoinedNamespace.Names),
            });
        }

        string where = text[(colon + 1)..];
        if (colon < 0 || where.Length == 0)
        {
            throw new UsageException($"`{text}` names no namespace: give a PID or a FILE behind the colon");
        }

        string path = where.All(char.IsAsciiDigit) ? $"/proc/{where}/ns/{name}" : Path.GetFullPath(where);
        to.JoinedNamespaces.Add(new JoinedNamespace(name, path));
    }

    private static void MapVeth(Invocation to, string text)
    {
        string[] parts = text.Split('=', 2);
        if (parts.Length != 2 || parts[0].Length == 0 || parts[1].Length == 0)
        {
            throw new UsageException($"`{text}` is not of the form INSIDE=OUTSIDE[@BRIDGE]");
        }

        to.External.Add(new ExternalResource("veth", parts[0], parts[1]));
    }

    private static CgroupMode CgroupModeOf(string? mode) => mode switch
    {
        null => CgroupMode.Default,
        "ignore" => CgroupMode.Ignore,
        "none" => CgroupMode.None,
        "props" => CgroupMode.Properties,
        "soft" => CgroupMode.Soft,
        "full" => CgroupMode.Full,
        "strict" => CgroupMode.Strict,
        _ => throw new UsageException($"`{mode}` is not a mode of --manage-cgroups: ignore, none, props, soft, full or strict"),
    };

    private static CgroupRoot RootOf(string text)
    {
        int colon = text.IndexOf(":/", StringComparison.Ordinal);
        return text.StartsWith('/') ? new CgroupRoot(null, text)
            : colon >= 0 ? new CgroupRoot(text[..colon], text[(colon + 1)..])
            : throw new UsageException($"`{text}` is not of the form [CONTROLLER:]/PATH");
    }

    private static string ReadFile(string path)
        => File.Exists(path) ? File.ReadAllText(path) : throw new UsageException($"{path} does not exist");

    /// <remarks>-v is one more; -vvv reaches here as `vv`; -v4 and --verbosity=4 set it.</remarks>
    private static void Verbosity(Invocation to, string? text)
    {
        if (text is null)
        {
            to.Verbosity++;
        }
        else if (text.AsSpan().Trim('v').IsEmpty)
        {
            to.Verbosity += text.Length + 1;
        }
        else
        {
            to.Verbosity = Number(text);
        }
    }

    private static NetworkLock NetworkLockOf(string text) => text switch
    {
        "iptables" or "nftables" => NetworkLock.Nftables,
        "skip" => NetworkLock.Skip,
        _ => throw new UsageException($"--network-lock {text} is no method; there are iptables, nftables and skip"),
    };

    private static int Number(string text)
        => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value)
            ? value
            : throw new UsageException($"`{text}` is not a number");

    private static int Positive(string text)
        => Number(text) is > 0 and int value ? value : throw new UsageException($"`{text}` is not a pid");

    private static long Size(string text)
    {
        int shift = text.Length == 0 ? 0 : char.ToUpperInvariant(text[^1]) switch { 'K' => 10, 'M' => 20, 'G' => 30, _ => 0 };
        return long.TryParse(shift == 0 ? text : text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out long value)
            && value <= long.MaxValue >> shift
            ? value << shift
            : throw new UsageException($"`{text}` is not a size; give bytes, or a number with K, M or G");
    }
}
