using System.Globalization;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Rpc.Messages;

namespace Firn.Rpc;

/// <summary>Turns the options of a request into those of the command line, which has the one table of what they mean.</summary>
internal static class OptionsFromRequest
{
    private const uint CLONE_NEWNET = 0x4000_0000;

    private static readonly string[] CgroupModes = ["ignore", "none", "props", "soft", "full", "strict", "soft"];

    /// <summary>Gives the options in the order in which they are to be understood: first those that say where the log is.</summary>
    /// <param name="opts">The request's.</param>
    /// <param name="peer">The process whose descriptors the request names.</param>
    /// <param name="isService">Whether the request came to a service, which some options are not for.</param>
    /// <exception cref="RequestException">One can't be.</exception>
    public static List<RequestOption> Read(Opts opts, int peer, bool isService)
    {
        if (isService && (opts.RstSibling || opts.InheritFd.Count > 0 || opts.Ps is { HasFd: true }))
        {
            throw new RequestException("rst_sibling, inherit_fd and ps.fd work only with `swrk`, which is the caller's own child");
        }

        List<RequestOption> all = [];
        ReadDirectories(all, opts, peer);
        ReadLog(all, opts);
        ReadFlags(all, opts);
        ReadTexts(all, opts);
        ReadLists(all, opts);
        ReadCgroups(all, opts);
        return all;
    }

    private static void ReadDirectories(List<RequestOption> all, Opts opts, int peer)
    {
        string images = opts.ImagesDirFd != -1 ? DirectoryOf(peer, opts.ImagesDirFd, "images_dir_fd")
            : opts.HasImagesDir ? opts.ImagesDir
            : throw new RequestException("the request names no images directory: neither images_dir_fd nor images_dir");
        all.Add(new("images-dir", images));
        if (opts.HasWorkDirFd && opts.WorkDirFd != -1)
        {
            all.Add(new("work-dir", DirectoryOf(peer, opts.WorkDirFd, "work_dir_fd")));
        }
    }

    // The directory that another process has open: by its path where that leads there, so that messages and hooks can name it.
    private static string DirectoryOf(int peer, int number, string field)
    {
        string link = string.Create(CultureInfo.InvariantCulture, $"/proc/{peer}/fd/{number}");
        SysResult found = Sys.StatAt(At.AT_FDCWD, link, out FileStat there);
        if (found.IsError)
        {
            throw new RequestException(
                $"{field} {number} can't be used: {link}: {ErrnoText.Describe(found.Errno)}; it must be open in the caller {peer}",
                found.Errno);
        }

        return Sys.ReadLink(link, out _) is { } path
            && !Sys.StatAt(At.AT_FDCWD, path, out FileStat here).IsError
            && here.st_ino == there.st_ino
            && here.st_dev == there.st_dev
                ? path
                : link;
    }

    private static void ReadLog(List<RequestOption> all, Opts opts)
    {
        if (opts.HasLogFile)
        {
            if (opts.LogFile.Contains('/', StringComparison.Ordinal) || opts.LogFile.Length == 0)
            {
                throw new RequestException($"log_file is `{opts.LogFile}`, and must be a name in the work directory, without a slash");
            }

            all.Add(new("log-file", opts.LogFile));
        }
        else if (opts.LogToStderr)
        {
            all.Add(new("log-file", IsOff: true));
        }

        if (opts.HasLogLevel)
        {
            all.Add(new("verbosity", Text(Math.Clamp(opts.LogLevel, 0, 4))));
        }
    }

    private static void ReadFlags(List<RequestOption> all, Opts opts)
    {
        Flag("leave-running", opts.HasLeaveRunning, opts.LeaveRunning);
        Flag("leave-stopped", opts.HasLeaveStopped, opts.LeaveStopped);
        Flag("ext-unix-sk", opts.HasExtUnixSk, opts.ExtUnixSk);
        Flag("tcp-established", opts.HasTcpEstablished, opts.TcpEstablished);
        Flag("skip-in-flight", opts.HasTcpSkipInFlight, opts.TcpSkipInFlight);
        Flag("tcp-close", opts.HasTcpClose, opts.TcpClose);
        Flag("evasive-devices", opts.HasEvasiveDevices, opts.EvasiveDevices);
        Flag("shell-job", opts.HasShellJob, opts.ShellJob);
        Flag("file-locks", opts.HasFileLocks, opts.FileLocks);
        Flag("track-mem", opts.HasTrackMem, opts.TrackMem);
        Flag("auto-dedup", opts.HasAutoDedup, opts.AutoDedup);
        Flag("link-remap", opts.HasLinkRemap, opts.LinkRemap);
        Flag("force-irmap", opts.HasForceIrmap, opts.ForceIrmap);
        Flag("restore-sibling", opts.HasRstSibling, opts.RstSibling);
        Flag("enable-external-sharing", opts.HasExtSharing, opts.ExtSharing);
        Flag("enable-external-masters", opts.HasExtMasters, opts.ExtMasters);
        Flag("weak-sysctls", opts.HasWeakSysctls, opts.WeakSysctls);
        Flag("lazy-pages", opts.HasLazyPages, opts.LazyPages);
        Flag("orphan-pts-master", opts.HasOrphanPtsMaster, opts.OrphanPtsMaster);
        Flag("tls", opts.HasTls, opts.Tls);
        Flag("tls-no-cn-verify", opts.HasTlsNoCnVerify, opts.TlsNoCnVerify);
        Flag("mntns-compat-mode", opts.HasMntnsCompatMode, opts.MntnsCompatMode);
        Flag("skip-file-rwx-check", opts.HasSkipFileRwxCheck, opts.SkipFileRwxCheck);
        Flag("unprivileged", opts.HasUnprivileged, opts.Unprivileged);
        Flag("display-stats", opts.HasDisplayStats, opts.DisplayStats);
        if (opts.AutoExtMnt)
        {
            all.Add(new("ext-mount-map", "auto"));
        }

        void Flag(string name, bool isThere, bool value)
        {
            if (isThere)
            {
                all.Add(new(name, IsOff: !value));
            }
        }
    }

    private static void ReadTexts(List<RequestOption> all, Opts opts)
    {
        Value("root", opts.HasRoot, opts.Root);
        Value("prev-images-dir", opts.HasParentImg, opts.ParentImg);
        Value("ghost-limit", opts.HasGhostLimit, Text(opts.GhostLimit));
        Value("timeout", opts.HasTimeout, Text(opts.Timeout));
        Value("cpu-cap", opts.HasCpuCap, Text(opts.CpuCap));
        Value("lsm-profile", opts.HasLsmProfile, opts.LsmProfile);
        Value("lsm-mount-context", opts.HasLsmMountContext, opts.LsmMountContext);
        Value("tls-cacert", opts.HasTlsCacert, opts.TlsCacert);
        Value("tls-cacrl", opts.HasTlsCacrl, opts.TlsCacrl);
        Value("tls-cert", opts.HasTlsCert, opts.TlsCert);
        Value("tls-key", opts.HasTlsKey, opts.TlsKey);
        Value("pre-dump-mode", opts.HasPreDumpMode, opts.PreDumpMode == PreDumpMode.VmRead ? "read" : "splice");
        Value("network-lock", opts.HasNetworkLock, opts.NetworkLock switch
        {
            NetworkLockMethod.Nftables => "nftables",
            NetworkLockMethod.Skip => "skip",
            _ => "iptables",
        });
        if (opts.Ps is { } server)
        {
            all.Add(new("page-server"));
            Value("address", server.HasAddress, server.Address);
            Value("port", server.HasPort, Text(server.Port));
            Value("ps-socket", server.HasFd, Text(server.Fd));
        }

        // Only of the network namespace can CRIU leave out the content; all that it ignores is ignored.
        Value("empty-ns", (opts.EmptyNs & CLONE_NEWNET) != 0, "net");

        void Value(string name, bool isThere, string value)
        {
            if (isThere)
            {
                all.Add(new(name, value));
            }
        }
    }

    private static void ReadLists(List<RequestOption> all, Opts opts)
    {
        Each("external", opts.ExtMnt, map => $"mnt[{map.Key}]:{map.Val}");
        Each("external", opts.Veths, pair => $"veth[{pair.IfIn}]:{pair.IfOut}");
        Each("external", opts.External, text => text);
        Each("ext-unix-sk", opts.UnixSkIno, socket => Text(socket.Inode));
        Each("skip-mnt", opts.SkipMnt, path => path);
        Each("enable-fs", opts.EnableFs, names => names);
        Each("irmap-scan-path", opts.IrmapScanPaths, path => path);
        Each("join-ns", opts.JoinNs, join => $"{join.Ns}:{join.NsFile}{(join.HasExtraOpt ? "," + join.ExtraOpt : string.Empty)}");
        Each("inherit-fd", opts.InheritFd, inherited => string.Create(CultureInfo.InvariantCulture, $"fd[{inherited.Fd}]:{inherited.Key}"));

        void Each<T>(string name, IEnumerable<T> values, Func<T, string> text)
            => all.AddRange(values.Select(one => new RequestOption(name, text(one))));
    }

    private static void ReadCgroups(List<RequestOption> all, Opts opts)
    {
        if (opts.HasManageCgroupsMode)
        {
            int mode = (int)opts.ManageCgroupsMode;
            if (mode < 0 || mode >= CgroupModes.Length)
            {
                throw new RequestException($"manage_cgroups_mode {mode} is no mode");
            }

            all.Add(new("manage-cgroups", CgroupModes[mode]));
        }
        else if (opts.HasManageCgroups)
        {
            all.Add(new("manage-cgroups", opts.ManageCgroups ? "soft" : "ignore"));
        }

        // A controller without a name is that of version 2; without a controller it is about all.
        all.AddRange(opts.CgRoot.Select(root => new RequestOption("cgroup-root", root.HasCtrl ? $"{root.Ctrl}:{root.Path}" : root.Path)));
        all.AddRange(opts.CgroupDumpController.Select(name => new RequestOption("cgroup-dump-controller", name)));
        Value("cgroup-props", opts.HasCgroupProps, opts.CgroupProps);
        Value("cgroup-props-file", opts.HasCgroupPropsFile, opts.CgroupPropsFile);
        Value("cgroup-yard", opts.HasCgroupYard, opts.CgroupYard);
        Value("freeze-cgroup", opts.HasFreezeCgroup, opts.FreezeCgroup);

        void Value(string name, bool isThere, string value)
        {
            if (isThere)
            {
                all.Add(new(name, value));
            }
        }
    }

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
