using System.Runtime.InteropServices;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine;

/// <summary>How much Firn depends on a feature of the kernel.</summary>
public enum FeatureNeed
{
    /// <summary>Without it no process can be dumped or restored.</summary>
    Required,

    /// <summary>Without it processes that use something particular can't be (`criu check --extra`).</summary>
    Extra,

    /// <summary>CRIU's third category (`criu check --experimental`).</summary>
    Experimental,
}

/// <summary>One feature of the kernel that a checkpoint or restore can need.</summary>
/// <param name="Name">Its name as `criu check --feature` knows it, or Firn's own where CRIU has none.</param>
/// <param name="Need">How much depends on it.</param>
/// <param name="Meaning">What it is for.</param>
/// <param name="Supported">Whether this kernel offers it to this process.</param>
public sealed record KernelFeature(string Name, FeatureNeed Need, string Meaning, bool Supported);

/// <summary>The probes behind `firn check`: each asks the kernel itself and changes nothing, in Firn's process or elsewhere.</summary>
/// <remarks>
/// Most probes make the call with arguments that can't succeed and look at which error comes first: an unknown call, flag or option is refused
/// before its arguments are read. Where even that is not possible without a tracee or a network, the release in which it came decides.
/// </remarks>
public static class KernelFeatures
{
    private const int AF_UNIX = 1;
    private const int AF_INET = 2;
    private const int AF_NETLINK = 16;
    private const int SOCK_STREAM = 1;
    private const int SOCK_RAW = 3;
    private const int SOCK_CLOEXEC = 0x80000;

    private static readonly Version Release = ReadRelease();

    /// <summary>All features, the required ones first.</summary>
    public static IReadOnlyList<FeatureProbe> All { get; } =
    [
        new("privilege", FeatureNeed.Required, "be allowed to look into other tasks (CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN)", () => Privilege.IsThere),
        new("kcmp", FeatureNeed.Required, "tell whether two tasks share an object", () => Sys.Kcmp(Sys.GetPid(), Sys.GetPid(), KcmpType.KCMP_VM).Raw == 0),
        new("map_files", FeatureNeed.Required, "reach files that are only mapped", () => Exists("/proc/self/map_files")),
        new("pagemap_scan", FeatureNeed.Required, "find the pages of a task", () => ScanPages(0)),
        new("pidfd_getfd", FeatureNeed.Required, "take a descriptor out of a task", () => Answers(Kernel.Call(Sysno.pidfd_getfd, -1, -1, 0))),
        new("clone3_set_tid", FeatureNeed.Required, "give tasks their pids back", () => Release >= new Version(5, 5) && Answers(Kernel.Call(Sysno.clone3, 0, 0))),
        new("ptrace_peeksiginfo", FeatureNeed.Required, "read pending signals", () => Since(3, 10) && Exists("/proc/self/timers")),
        new("sock_diag", FeatureNeed.Required, "ask about sockets", () => Opens(AF_NETLINK, SOCK_RAW, 4)),
        new("memfd", FeatureNeed.Required, "scratch memory shared with a task", () => Closed(Sys.MemfdCreate("firn-check", 1))),
        new("ns_pid", FeatureNeed.Required, "read the pids of a task in its own namespace", () => Contains("/proc/self/status", "NSpid:")),
        new("fdinfo_lock", FeatureNeed.Extra, "see file locks", FdinfoShowsLocks),
        new("mnt_id", FeatureNeed.Extra, "see on which mount a file is", () => Contains("/proc/self/fdinfo/0", "mnt_id:")),
        new("timer_cr_ids", FeatureNeed.Extra, "give POSIX timers their ids back", () => !Sys.Prctl(PrctlOption.PR_TIMER_CREATE_RESTORE_IDS, 2).IsError),
        new("timerfd", FeatureNeed.Extra, "restore the ticks of a timerfd", TimerfdTicks),
        new("kcmp_epoll", FeatureNeed.Extra, "find the targets of an epoll", () => Sys.Kcmp(Sys.GetPid(), Sys.GetPid(), KcmpType.KCMP_EPOLL_TFD).Errno == Errno.EFAULT),
        new("can_map_vdso", FeatureNeed.Extra, "map a vdso at a chosen address", () => Kernel.Call(Sysno.arch_prctl, 0x2003, 0).Errno == Errno.EEXIST),
        new("get_rseq_conf", FeatureNeed.Extra, "read restartable-sequence registrations", () => Since(5, 13) && Answers(Kernel.Call(Sysno.rseq, 0, 0, 0, 0))),
        new("pagemap_scan_guard_pages", FeatureNeed.Extra, "see guard pages (MADV_GUARD_INSTALL)", () => ScanPages(0x100)),
        new("seccomp_suspend", FeatureNeed.Extra, "work on a task under seccomp", () => Since(4, 3) && Exists("/proc/sys/kernel/seccomp")),
        new("seccomp_filters", FeatureNeed.Extra, "read seccomp filters", () => Since(4, 4) && Exists("/proc/sys/kernel/seccomp/actions_avail")),
        new("mem_dirty_track", FeatureNeed.Extra, "soft-dirty tracking of changed pages", () => SmapsFlags(" sd")),
        new("uffd", FeatureNeed.Extra, "userfaultfd", () => Closed(Kernel.Call(Sysno.userfaultfd, 0x80001))),
        new("uffd-noncoop", FeatureNeed.Extra, "userfaultfd events of fork, remap and unmap", UserfaultEvents),
        new("aio_remap", FeatureNeed.Extra, "move the ring of asynchronous I/O", () => Since(3, 18) && Answers(Kernel.Call(Sysno.io_setup, 0, 0))),
        new("memfd_hugetlb", FeatureNeed.Extra, "memfd of huge pages", () => Closed(Sys.MemfdCreate("firn-check", 5))),
        new("openat2", FeatureNeed.Extra, "open below a root", () => Answers(Kernel.Call(Sysno.openat2, -1, 0, 0, 0))),
        new("sk_ns", FeatureNeed.Extra, "the network namespace of a socket", () => OnSocket(AF_INET, fd => Closed(Kernel.Call(Sysno.ioctl, fd, 0x894C, 0)))),
        new("sk_unix_file", FeatureNeed.Extra, "the file of a unix socket", () => OnSocket(AF_UNIX, fd => Kernel.Call(Sysno.ioctl, fd, 0x89E0, 0).Errno == Errno.ENOENT)),
        new("net_diag_raw", FeatureNeed.Extra, "ask about raw sockets", RawSocketDiag),
        new("tcp_half_closed", FeatureNeed.Extra, "restore half-closed TCP connections", () => Since(4, 18)),
        new("sockopt_buf_lock", FeatureNeed.Extra, "read locked socket buffers", () => Since(5, 15)),
        new("ipv6_freebind", FeatureNeed.Extra, "bind IPv6 addresses that are not there yet", () => Since(4, 15) && Exists("/proc/net/if_inet6")),
        new("pidfd_store", FeatureNeed.Extra, "hold a task by a descriptor", () => Closed(Sys.PidfdOpen(Sys.GetPid()))),
        new("userns", FeatureNeed.Extra, "user namespaces", () => Exists("/proc/self/ns/user")),
        new("cgroupns", FeatureNeed.Extra, "cgroup namespaces", () => Exists("/proc/self/ns/cgroup")),
        new("timens", FeatureNeed.Extra, "time namespaces", () => Exists("/proc/self/ns/time_for_children")),
        new("loginuid", FeatureNeed.Extra, "the login uid of a task", () => Exists("/proc/self/loginuid")),
        new("apparmor_stacking", FeatureNeed.Extra, "stacked AppArmor profiles", () => Contains("/sys/kernel/security/apparmor/features/domain/stack", "yes")),
        new("tun", FeatureNeed.Extra, "tun devices", () => Openable("/dev/net/tun")),
        new("tun_ns", FeatureNeed.Extra, "the network namespace of a tun device", () => Since(5, 5) && Openable("/dev/net/tun")),
        new("nsid", FeatureNeed.Extra, "ids of network namespaces", () => Since(4, 0) && Exists("/proc/self/ns/net")),
        new("link_nsid", FeatureNeed.Extra, "links into other network namespaces", () => Since(4, 9) && Exists("/proc/self/ns/net")),
        new("newifindex", FeatureNeed.Extra, "network links with chosen numbers", () => Since(5, 13) && Exists("/proc/self/ns/net")),
        new("external_net_ns", FeatureNeed.Extra, "a network namespace from outside", () => Exists("/proc/self/ns/net")),
        new("nftables", FeatureNeed.Extra, "netfilter tables", () => Opens(AF_NETLINK, SOCK_RAW, 12)),
        new("network_lock_nftables", FeatureNeed.Extra, "lock the network by nftables", () => Opens(AF_NETLINK, SOCK_RAW, 12)),
        new("has_ipt_legacy", FeatureNeed.Extra, "legacy iptables", () => Exists("/proc/net/ip_tables_names")),
        new("move_mount_set_group", FeatureNeed.Extra, "put mounts into sharing groups", () => Kernel.Call(Sysno.move_mount, -1, 0, -1, 0, 0x100).Errno is Errno.EFAULT or Errno.EBADF),
        new("overlayfs_maps", FeatureNeed.Extra, "true files behind mappings on overlayfs", () => Since(6, 8)),
        new("breakpoints", FeatureNeed.Extra, "hardware breakpoints", () => !Contains("/proc/cpuinfo", "no_hw_breakpoint")),
        new("autofs", FeatureNeed.Experimental, "automounter", () => Contains("/proc/filesystems", "autofs")),
        new("compat_cr", FeatureNeed.Experimental, "32-bit tasks", () => Kernel.Call(Sysno.arch_prctl, 0x2002, 0).Errno == Errno.EEXIST),
    ];

    /// <summary>Asks the kernel for one feature.</summary>
    public static KernelFeature Probe(FeatureProbe probe) => new(probe.Name, probe.Need, probe.Meaning, probe.Ask());

    private static bool Since(int major, int minor) => Release >= new Version(major, minor);

    private static bool Answers(SysResult result) => result.Errno != Errno.ENOSYS;

    private static bool Closed(SysResult descriptor)
    {
        if (descriptor.IsError)
        {
            return false;
        }

        _ = Sys.Close(descriptor.Int32);
        return true;
    }

    private static bool Exists(string path) => !Sys.StatAt(At.AT_FDCWD, path, out _).IsError;

    private static bool Openable(string path) => Closed(Sys.OpenAt(At.AT_FDCWD, path, OpenFlags.O_RDWR | OpenFlags.O_CLOEXEC, 0));

    private static bool Contains(string path, string text)
    {
        byte[] buffer = [];
        SysResult read = Sys.ReadFile(path, ref buffer);
        return !read.IsError && System.Text.Encoding.ASCII.GetString(buffer, 0, read.Int32).Contains(text, StringComparison.Ordinal);
    }

    private static bool SmapsFlags(string flag)
    {
        byte[] buffer = [];
        SysResult read = Sys.ReadFile("/proc/self/smaps", ref buffer);
        return !read.IsError && System.Text.Encoding.ASCII.GetString(buffer, 0, read.Int32).Split('\n')
            .Any(line => line.StartsWith("VmFlags:", StringComparison.Ordinal) && line.Contains(flag, StringComparison.Ordinal));
    }

    private static bool Opens(int family, int type, int protocol) => Closed(Kernel.Call(Sysno.socket, family, type | SOCK_CLOEXEC, protocol));

    private static bool OnSocket(int family, Func<int, bool> ask)
    {
        SysResult socket = Kernel.Call(Sysno.socket, family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (socket.IsError)
        {
            return false;
        }

        using var fd = new Fd(socket.Int32);
        return ask(fd.Number);
    }

    private static bool FdinfoShowsLocks()
    {
        SysResult memory = Sys.MemfdCreate("firn-check", 1);
        if (memory.IsError)
        {
            return false;
        }

        using var fd = new Fd(memory.Int32);
        const int LOCK_EX = 2;
        return !Kernel.Call(Sysno.flock, fd.Number, LOCK_EX).IsError && Contains($"/proc/self/fdinfo/{fd.Number}", "lock:");
    }

    /// <remarks>TFD_IOC_SET_TICKS refuses zero ticks with EINVAL where it exists, and with ENOTTY where not (fs/timerfd.c).</remarks>
    private static bool TimerfdTicks()
    {
        SysResult timer = Kernel.Call(Sysno.timerfd_create, 1, (nint)OpenFlags.O_CLOEXEC);
        if (timer.IsError)
        {
            return false;
        }

        using var fd = new Fd(timer.Int32);
        ulong ticks = 0;
        return Sys.Ioctl(fd.Number, 0x40085400, ref ticks).Errno != Errno.ENOTTY;
    }

    private static bool UserfaultEvents()
    {
        const ulong Wanted = (1 << 1) | (1 << 2) | (1 << 3) | (1 << 6);
        SysResult opened = Kernel.Call(Sysno.userfaultfd, (nint)OpenFlags.O_CLOEXEC);
        if (opened.IsError)
        {
            return false;
        }

        using var fd = new Fd(opened.Int32);
        var api = new UserfaultApi { api = 0xAA };
        return !Sys.Ioctl(fd.Number, 0xC018AA3F, ref api).IsError && (api.features & Wanted) == Wanted;
    }

    /// <summary>Scans an empty range, so that only the arguments are checked.</summary>
    private static bool ScanPages(ulong category)
    {
        SysResult opened = Sys.OpenAt(At.AT_FDCWD, "/proc/self/pagemap", OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC, 0);
        if (opened.IsError)
        {
            return false;
        }

        using var fd = new Fd(opened.Int32);
        var scan = new PageScan { size = 96, category_mask = category };
        return !Sys.Ioctl(fd.Number, 0xC0606610, ref scan).IsError;
    }

    /// <summary>Asks sock_diag for all raw sockets: the answer is an error where the kernel can't tell (net/ipv4/raw_diag.c).</summary>
    private static bool RawSocketDiag()
    {
        const int NETLINK_SOCK_DIAG = 4;
        const ushort SOCK_DIAG_BY_FAMILY = 20;
        const ushort NLMSG_ERROR = 2;
        const ushort NLM_F_REQUEST_DUMP = 0x301;
        const byte IPPROTO_RAW = 255;
        SysResult socket = Kernel.Call(Sysno.socket, AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        if (socket.IsError)
        {
            return false;
        }

        using var fd = new Fd(socket.Int32);
        Span<byte> message = stackalloc byte[72];
        message.Clear();
        MemoryMarshal.Write(message, message.Length);
        MemoryMarshal.Write(message[4..], SOCK_DIAG_BY_FAMILY);
        MemoryMarshal.Write(message[6..], NLM_F_REQUEST_DUMP);
        message[16] = AF_INET;
        message[17] = IPPROTO_RAW;
        Span<byte> answer = stackalloc byte[4096];
        return !Sys.Write(fd.Number, message).IsError
            && Sys.Read(fd.Number, answer) is { IsError: false, Int32: >= 16 }
            && MemoryMarshal.Read<ushort>(answer[4..]) != NLMSG_ERROR;
    }

    private static Version ReadRelease()
    {
        byte[] buffer = [];
        SysResult read = Sys.ReadFile("/proc/sys/kernel/osrelease", ref buffer);
        string text = read.IsError ? "0.0" : System.Text.Encoding.ASCII.GetString(buffer, 0, read.Int32);
        string[] parts = text.Split('.', '-', '+', '\n');
        return parts.Length > 1 && int.TryParse(parts[0], out int major) && int.TryParse(parts[1], out int minor)
            ? new Version(major, minor)
            : new Version(0, 0);
    }

    /// <summary>struct uffdio_api (include/uapi/linux/userfaultfd.h).</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct UserfaultApi
    {
        public ulong api;
        public ulong features;
        public ulong ioctls;
    }

    /// <summary>struct pm_scan_arg (include/uapi/linux/fs.h).</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct PageScan
    {
        public ulong size;
        public ulong flags;
        public ulong start;
        public ulong end;
        public ulong walk_end;
        public ulong vec;
        public ulong vec_len;
        public ulong max_pages;
        public ulong category_inverted;
        public ulong category_mask;
        public ulong category_anyof_mask;
        public ulong return_mask;
    }
}

/// <summary>A question to the kernel.</summary>
/// <param name="Name">The feature's name.</param>
/// <param name="Need">How much depends on it.</param>
/// <param name="Meaning">What it is for.</param>
/// <param name="Ask">Asks; true if the kernel offers it.</param>
public sealed record FeatureProbe(string Name, FeatureNeed Need, string Meaning, Func<bool> Ask);
