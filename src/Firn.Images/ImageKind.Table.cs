namespace Firn.Images;

/// <content>The table of all kinds: name, magic, file name pattern, payload rule, message types.</content>
public sealed partial class ImageKind
{
    /// <summary>Before the magic of every ordinary image.</summary>
    internal const uint CommonMagic = 0x54564319;

    /// <summary>Before the magic of the files that are for people and later runs, not for a restore.</summary>
    internal const uint ServiceMagic = 0x55105940;

    private const uint InventoryMagic = 0x58313116;

    // Filled by the constructor; the first member, so that it is there when the rows below are made.
    private static readonly List<ImageKind> Table = [];

    /// <summary>Versions, the dumper's own namespaces, options. The only one without the common magic.</summary>
    public static readonly ImageKind Inventory = One("INVENTORY", 0x58313116, "inventory.img",
        ImageMessage.Of<InventoryEntry>(WireShapes.InventoryEntry));

    /// <summary>The tasks, parents before children.</summary>
    public static readonly ImageKind Pstree = Many("PSTREE", 0x50273030, "pstree.img",
        ImageMessage.Of<PstreeEntry>(WireShapes.PstreeEntry));

    /// <summary>One thread, by its id.</summary>
    public static readonly ImageKind Core = One("CORE", 0x55053847, "core-%u.img", ImageMessage.Of<CoreEntry>(WireShapes.CoreEntry));

    /// <summary>Which kernel objects a task uses, by its id.</summary>
    public static readonly ImageKind Ids = One("IDS", 0x54432030, "ids-%u.img",
        ImageMessage.Of<TaskKobjIdsEntry>(WireShapes.TaskKobjIdsEntry));

    /// <summary>The address space of a task, by its id.</summary>
    public static readonly ImageKind Mm = One("MM", 0x57492820, "mm-%u.img", ImageMessage.Of<MmEntry>(WireShapes.MmEntry));

    /// <summary>The private pages of a task, by its id. See <see cref="PageMap"/>.</summary>
    public static readonly ImageKind Pagemap = Many("PAGEMAP", 0x56084025, "pagemap-%u.img",
        ImageMessage.Of<PagemapHead>(WireShapes.PagemapHead), ImageMessage.Of<PagemapEntry>(WireShapes.PagemapEntry));

    /// <summary>The pages of a shared memory object, by its shmid. See <see cref="PageMap"/>.</summary>
    public static readonly ImageKind PagemapShmem = Many("PAGEMAP", 0x56084025, "pagemap-shmem-%u.img",
        ImageMessage.Of<PagemapHead>(WireShapes.PagemapHead), ImageMessage.Of<PagemapEntry>(WireShapes.PagemapEntry));

    /// <summary>The content of pages, by the id that the page map names.</summary>
    public static readonly ImageKind Pages = Raw("PAGES", "pages-%u.img");

    /// <summary>All open files.</summary>
    public static readonly ImageKind Files = Many("FILES", 0x56303138, "files.img", ImageMessage.Of<FileEntry>(WireShapes.FileEntry));

    /// <summary>A descriptor table, by its kernel object id.</summary>
    public static readonly ImageKind Fdinfo = Many("FDINFO", 0x56213732, "fdinfo-%u.img",
        ImageMessage.Of<FdinfoEntry>(WireShapes.FdinfoEntry));

    /// <summary>The directories of a task, by its id.</summary>
    public static readonly ImageKind Fs = One("FS", 0x51403912, "fs-%u.img", ImageMessage.Of<FsEntry>(WireShapes.FsEntry));

    /// <summary>What stands in for lost names.</summary>
    public static readonly ImageKind RemapFpath = Many("REMAP_FPATH", 0x59133954, "remap-fpath.img",
        ImageMessage.Of<RemapFilePathEntry>(WireShapes.RemapFilePathEntry));

    /// <summary>A file without a name, with its content, by the remap id.</summary>
    public static readonly ImageKind GhostFile = Many("GHOST_FILE", 0x52583605, "ghost-file-%x.img", PayloadRule.Ghost,
        ImageMessage.Of<GhostFileEntry>(WireShapes.GhostFileEntry), ImageMessage.Of<GhostChunkEntry>(WireShapes.GhostChunkEntry));

    /// <summary>The bytes waiting in pipes.</summary>
    public static readonly ImageKind PipesData = Many("PIPES_DATA", 0x56453709, "pipes-data.img", PayloadRule.Pipe,
        ImageMessage.Of<PipeDataEntry>(WireShapes.PipeDataEntry));

    /// <summary>The bytes waiting in FIFOs.</summary>
    public static readonly ImageKind FifoData = Many("FIFO_DATA", 0x59333054, "fifo-data.img", PayloadRule.Pipe,
        ImageMessage.Of<PipeDataEntry>(WireShapes.PipeDataEntry));

    /// <summary>The packets waiting in sockets.</summary>
    public static readonly ImageKind SkQueues = Many("SK_QUEUES", 0x56264026, "sk-queues.img", PayloadRule.Packet,
        ImageMessage.Of<SkPacketEntry>(WireShapes.SkPacketEntry));

    /// <summary>
    /// What waits in sockets and can be read only by taking something away, as connections from a listener. Firn's own.
    /// </summary>
    public static readonly ImageKind SkLate = Many("SK_LATE", 0x46524e45, "sk-late.img", PayloadRule.Packet,
        ImageMessage.Of<SkPacketEntry>(WireShapes.SkPacketEntry));

    /// <summary>An established connection and its queues, by the socket's inode.</summary>
    public static readonly ImageKind TcpStream = One("TCP_STREAM", 0x51465506, "tcp-stream-%x.img", PayloadRule.TcpStream,
        ImageMessage.Of<TcpStreamEntry>(WireShapes.TcpStreamEntry));

    /// <summary>The terminals.</summary>
    public static readonly ImageKind TtyInfo = Many("TTY_INFO", 0x59453036, "tty-info.img",
        ImageMessage.Of<TtyInfoEntry>(WireShapes.TtyInfoEntry));

    /// <summary>The bytes waiting in terminals.</summary>
    public static readonly ImageKind TtyData = Many("TTY_DATA", 0x59413026, "tty-data.img",
        ImageMessage.Of<TtyDataEntry>(WireShapes.TtyDataEntry));

    /// <summary>The locks on files.</summary>
    public static readonly ImageKind FileLocks = Many("FILE_LOCKS", 0x54323616, "filelocks.img",
        ImageMessage.Of<FileLockEntry>(WireShapes.FileLockEntry));

    /// <summary>The objects of memfd_create(2).</summary>
    public static readonly ImageKind Memfd = Many("MEMFD_INODE", 0x48453499, "memfd.img",
        ImageMessage.Of<MemfdInodeEntry>(WireShapes.MemfdInodeEntry));

    /// <summary>The BPF maps.</summary>
    public static readonly ImageKind BpfmapFile = Many("BPFMAP_FILE", 0x57506142, "bpfmap-file.img",
        ImageMessage.Of<BpfmapFileEntry>(WireShapes.BpfmapFileEntry));

    /// <summary>The content of BPF maps.</summary>
    public static readonly ImageKind BpfmapData = Many("BPFMAP_DATA", 0x64324033, "bpfmap-data.img", PayloadRule.BpfMap,
        ImageMessage.Of<BpfmapDataEntry>(WireShapes.BpfmapDataEntry));

    /// <summary>The control groups.</summary>
    public static readonly ImageKind Cgroup = One("CGROUP", 0x59383330, "cgroup.img", ImageMessage.Of<CgroupEntry>(WireShapes.CgroupEntry));

    /// <summary>The filters of system calls.</summary>
    public static readonly ImageKind Seccomp = One("SECCOMP", 0x64413049, "seccomp.img",
        ImageMessage.Of<SeccompEntry>(WireShapes.SeccompEntry));

    /// <summary>The AppArmor policies.</summary>
    public static readonly ImageKind Apparmor = One("APPARMOR", 0x59423047, "apparmor.img",
        ImageMessage.Of<ApparmorEntry>(WireShapes.ApparmorEntry));

    /// <summary>The mounts of a namespace, by its id.</summary>
    public static readonly ImageKind Mnts = Many("MNTS", 0x55563928, "mountpoints-%u.img", ImageMessage.Of<MntEntry>(WireShapes.MntEntry));

    /// <summary>The content of a tmpfs, by mount id: the old form.</summary>
    public static readonly ImageKind TmpfsImg = Raw("TMPFS_IMG", "tmpfs-%u.tar.gz.img");

    /// <summary>The content of a tmpfs, by device number.</summary>
    public static readonly ImageKind TmpfsDev = Raw("TMPFS_DEV", "tmpfs-dev-%u.tar.gz.img");

    /// <summary>The daemon's side of an autofs mount.</summary>
    public static readonly ImageKind Autofs = Many("AUTOFS", 0x49353943, "autofs-%u.img",
        ImageMessage.Of<AutofsEntry>(WireShapes.AutofsEntry));

    /// <summary>The registered executable formats.</summary>
    public static readonly ImageKind BinfmtMisc = Many("BINFMT_MISC", 0x67343323, "binfmt-misc.img",
        ImageMessage.Of<BinfmtMiscEntry>(WireShapes.BinfmtMiscEntry));

    /// <summary>The names of a UTS namespace, by its id.</summary>
    public static readonly ImageKind Utsns = One("UTSNS", 0x54473203, "utsns-%u.img", ImageMessage.Of<UtsnsEntry>(WireShapes.UtsnsEntry));

    /// <summary>The settings of an IPC namespace, by its id.</summary>
    public static readonly ImageKind IpcVar = One("IPC_VAR", 0x53115007, "ipcns-var-%u.img",
        ImageMessage.Of<IpcVarEntry>(WireShapes.IpcVarEntry));

    /// <summary>The shared memory segments of an IPC namespace.</summary>
    public static readonly ImageKind IpcnsShm = Many("IPCNS_SHM", 0x46283044, "ipcns-shm-%u.img", PayloadRule.IpcShm,
        ImageMessage.Of<IpcShmEntry>(WireShapes.IpcShmEntry));

    /// <summary>The message queues of an IPC namespace.</summary>
    public static readonly ImageKind IpcnsMsg = Many("IPCNS_MSG", 0x55453737, "ipcns-msg-%u.img", PayloadRule.IpcMsg,
        ImageMessage.Of<IpcMsgEntry>(WireShapes.IpcMsgEntry), ImageMessage.Of<IpcMsg>(WireShapes.IpcMsg));

    /// <summary>The semaphores of an IPC namespace.</summary>
    public static readonly ImageKind IpcnsSem = Many("IPCNS_SEM", 0x59573019, "ipcns-sem-%u.img", PayloadRule.IpcSem,
        ImageMessage.Of<IpcSemEntry>(WireShapes.IpcSemEntry));

    /// <summary>The identity maps of a user namespace.</summary>
    public static readonly ImageKind Userns = One("USERNS", 0x55474906, "userns-%u.img",
        ImageMessage.Of<UsernsEntry>(WireShapes.UsernsEntry));

    /// <summary>The clocks of a time namespace.</summary>
    public static readonly ImageKind Timens = One("TIMENS", 0x43114433, "timens-%u.img",
        ImageMessage.Of<TimensEntry>(WireShapes.TimensEntry));

    /// <summary>The outside name of a process namespace.</summary>
    public static readonly ImageKind Pidns = One("PIDNS", 0x61157326, "pidns-%u.img", ImageMessage.Of<PidnsEntry>(null));

    /// <summary>The settings of a network namespace.</summary>
    public static readonly ImageKind Netns = One("NETNS", 0x55933752, "netns-%u.img", ImageMessage.Of<NetnsEntry>(WireShapes.NetnsEntry));

    /// <summary>The devices of a network namespace.</summary>
    public static readonly ImageKind Netdev = Many("NETDEV", 0x57373951, "netdev-%u.img",
        ImageMessage.Of<NetDeviceEntry>(WireShapes.NetDeviceEntry));

    /// <summary>What <c>ip addr save</c> wrote.</summary>
    public static readonly ImageKind Ifaddr = Raw("IFADDR", "ifaddr-%u.img");

    /// <summary>What <c>ip route save</c> wrote.</summary>
    public static readonly ImageKind Route = Raw("ROUTE", "route-%u.img");

    /// <summary>What <c>ip -6 route save</c> wrote.</summary>
    public static readonly ImageKind Route6 = Raw("ROUTE6", "route6-%u.img");

    /// <summary>What <c>ip rule save</c> wrote.</summary>
    public static readonly ImageKind Rule = Raw("RULE", "rule-%u.img");

    /// <summary>What <c>iptables-save</c> wrote.</summary>
    public static readonly ImageKind Iptables = Raw("IPTABLES", "iptables-%u.img");

    /// <summary>What <c>ip6tables-save</c> wrote.</summary>
    public static readonly ImageKind Ip6tables = Raw("IP6TABLES", "ip6tables-%u.img");

    /// <summary>What <c>nft list ruleset</c> wrote.</summary>
    public static readonly ImageKind Nftables = Raw("NFTABLES", "nftables-%u.img");

    /// <summary>Netlink messages with the tracked connections.</summary>
    public static readonly ImageKind NetnsCt = Raw("NETNF_CT", "netns-ct-%u.img");

    /// <summary>Netlink messages with the expected connections.</summary>
    public static readonly ImageKind NetnsExp = Raw("NETNF_EXP", "netns-exp-%u.img");

    /// <summary>The features of the processor.</summary>
    public static readonly ImageKind Cpuinfo = One("CPUINFO", 0x61404013, "cpuinfo.img",
        ImageMessage.Of<CpuinfoEntry>(WireShapes.CpuinfoEntry));

    /// <summary>How a dump went.</summary>
    public static readonly ImageKind StatsDump = One("STATS", 0x57093306, "stats-dump", ImageMessage.Of<StatsEntry>(WireShapes.StatsEntry));

    /// <summary>How a restore went.</summary>
    public static readonly ImageKind StatsRestore = One("STATS", 0x57093306, "stats-restore",
        ImageMessage.Of<StatsEntry>(WireShapes.StatsEntry));

    /// <summary>Paths of inodes, found earlier.</summary>
    public static readonly ImageKind IrmapCache = Many("IRMAP_CACHE", 0x57004059, "irmap-cache",
        ImageMessage.Of<IrmapCacheEntry>(WireShapes.IrmapCacheEntry));

    // ---- written by older versions only: readers must know them, writers need not.

    /// <summary>What epoll instances watch.</summary>
    public static readonly ImageKind EventpollTfd = Many("EVENTPOLL_TFD", 0x44433746, "eventpoll-tfd.img",
        ImageMessage.Of<EventpollTfdEntry>(WireShapes.EventpollTfdEntry));

    /// <summary>The watches of inotify instances.</summary>
    public static readonly ImageKind InotifyWd = Many("INOTIFY_WD", 0x54562009, "inotify-wd.img",
        ImageMessage.Of<InotifyWdEntry>(WireShapes.InotifyWdEntry));

    /// <summary>The marks of fanotify groups.</summary>
    public static readonly ImageKind FanotifyMark = Many("FANOTIFY_MARK", 0x56506035, "fanotify-mark.img",
        ImageMessage.Of<FanotifyMarkEntry>(WireShapes.FanotifyMarkEntry));

    /// <summary>Open files with a path.</summary>
    public static readonly ImageKind RegFiles = Many("REG_FILES", 0x50363636, "reg-files.img",
        ImageMessage.Of<RegFileEntry>(WireShapes.RegFileEntry));

    /// <summary>Open files from outside.</summary>
    public static readonly ImageKind ExtFiles = Many("EXT_FILES", 0x59255641, "ext-files.img",
        ImageMessage.Of<ExtFileEntry>(WireShapes.ExtFileEntry));

    /// <summary>Descriptors of namespaces.</summary>
    public static readonly ImageKind NsFiles = Many("NS_FILES", 0x61394011, "ns-files.img",
        ImageMessage.Of<NsFileEntry>(WireShapes.NsFileEntry));

    /// <summary>Event counters.</summary>
    public static readonly ImageKind EventfdFile = Many("EVENTFD_FILE", 0x44523722, "eventfd.img",
        ImageMessage.Of<EventfdFileEntry>(WireShapes.EventfdFileEntry));

    /// <summary>Epoll instances.</summary>
    public static readonly ImageKind EventpollFile = Many("EVENTPOLL_FILE", 0x45023858, "eventpoll.img",
        ImageMessage.Of<EventpollFileEntry>(WireShapes.EventpollFileEntry));

    /// <summary>Descriptors that read signals.</summary>
    public static readonly ImageKind Signalfd = Many("SIGNALFD", 0x57323820, "signalfd.img",
        ImageMessage.Of<SignalfdEntry>(WireShapes.SignalfdEntry));

    /// <summary>Inotify instances.</summary>
    public static readonly ImageKind InotifyFile = Many("INOTIFY_FILE", 0x48424431, "inotify.img",
        ImageMessage.Of<InotifyFileEntry>(WireShapes.InotifyFileEntry));

    /// <summary>Fanotify groups.</summary>
    public static readonly ImageKind FanotifyFile = Many("FANOTIFY_FILE", 0x55096122, "fanotify.img",
        ImageMessage.Of<FanotifyFileEntry>(WireShapes.FanotifyFileEntry));

    /// <summary>Ends of pipes.</summary>
    public static readonly ImageKind Pipes = Many("PIPES", 0x56513555, "pipes.img", ImageMessage.Of<PipeEntry>(WireShapes.PipeEntry));

    /// <summary>Open FIFOs.</summary>
    public static readonly ImageKind Fifo = Many("FIFO", 0x58364939, "fifo.img", ImageMessage.Of<FifoEntry>(WireShapes.FifoEntry));

    /// <summary>Unix sockets.</summary>
    public static readonly ImageKind Unixsk = Many("UNIXSK", 0x54373943, "unixsk.img",
        ImageMessage.Of<UnixSkEntry>(WireShapes.UnixSkEntry));

    /// <summary>Internet sockets.</summary>
    public static readonly ImageKind Inetsk = Many("INETSK", 0x56443851, "inetsk.img",
        ImageMessage.Of<InetSkEntry>(WireShapes.InetSkEntry));

    /// <summary>Packet sockets.</summary>
    public static readonly ImageKind Packetsk = Many("PACKETSK", 0x60454618, "packetsk.img",
        ImageMessage.Of<PacketSockEntry>(WireShapes.PacketSockEntry));

    /// <summary>Netlink sockets.</summary>
    public static readonly ImageKind Netlinksk = Many("NETLINK_SK", 0x58005614, "netlinksk.img",
        ImageMessage.Of<NetlinkSkEntry>(WireShapes.NetlinkSkEntry));

    /// <summary>Open terminals.</summary>
    public static readonly ImageKind TtyFiles = Many("TTY_FILES", 0x59433025, "tty.img",
        ImageMessage.Of<TtyFileEntry>(WireShapes.TtyFileEntry));

    /// <summary>Open tun devices.</summary>
    public static readonly ImageKind Tunfile = Many("TUNFILE", 0x57143751, "tunfile.img",
        ImageMessage.Of<TunfileEntry>(WireShapes.TunfileEntry));

    /// <summary>Timers that are read.</summary>
    public static readonly ImageKind Timerfd = Many("TIMERFD", 0x50493712, "timerfd.img",
        ImageMessage.Of<TimerfdEntry>(WireShapes.TimerfdEntry));

    /// <summary>Descriptors of processes.</summary>
    public static readonly ImageKind Pidfd = Many("PIDFD", 0x54435556, "pidfd.img", ImageMessage.Of<PidfdEntry>(WireShapes.PidfdEntry));

    /// <summary>The mappings of a task; now in <see cref="Mm"/>.</summary>
    public static readonly ImageKind Vmas = Many("VMAS", 0x54123737, "vmas-%u.img", ImageMessage.Of<VmaEntry>(WireShapes.VmaEntry));

    /// <summary>What signals do; now in <see cref="Core"/>.</summary>
    public static readonly ImageKind Sigacts = Many("SIGACT", 0x55344201, "sigacts-%u.img", ImageMessage.Of<SaEntry>(WireShapes.SaEntry));

    /// <summary>Interval timers; now in <see cref="Core"/>.</summary>
    public static readonly ImageKind Itimers = Many("ITIMERS", 0x57464056, "itimers-%u.img",
        ImageMessage.Of<ItimerEntry>(WireShapes.ItimerEntry));

    /// <summary>Timers of timer_create(2); now in <see cref="Core"/>.</summary>
    public static readonly ImageKind PosixTimers = Many("POSIX_TIMERS", 0x52603957, "posix-timers-%u.img",
        ImageMessage.Of<PosixTimerEntry>(WireShapes.PosixTimerEntry));

    /// <summary>Credentials; now in <see cref="Core"/>.</summary>
    public static readonly ImageKind Creds = One("CREDS", 0x54023547, "creds-%u.img", ImageMessage.Of<CredsEntry>(WireShapes.CredsEntry));

    /// <summary>Resource limits; now in <see cref="Core"/>.</summary>
    public static readonly ImageKind Rlimit = Many("RLIMIT", 0x57113925, "rlimit-%u.img",
        ImageMessage.Of<RlimitEntry>(WireShapes.RlimitEntry));

    /// <summary>Signals for a whole task; now in <see cref="Core"/>.</summary>
    public static readonly ImageKind SignalS = Many("SIGNAL", 0x59255647, "signal-s-%u.img",
        ImageMessage.Of<SiginfoEntry>(WireShapes.SiginfoEntry));

    /// <summary>Signals for one thread; now in <see cref="Core"/>.</summary>
    public static readonly ImageKind SignalP = Many("SIGNAL", 0x59255647, "signal-p-%u.img",
        ImageMessage.Of<SiginfoEntry>(WireShapes.SiginfoEntry));

    /// <summary>The executable formats of one mount.</summary>
    public static readonly ImageKind BinfmtMiscMount = Many("BINFMT_MISC", 0x67343323, "binfmt-misc-%u.img",
        ImageMessage.Of<BinfmtMiscEntry>(WireShapes.BinfmtMiscEntry));

    private static ImageKind One(string name, uint magic, string pattern, ImageMessage message)
        => new(name, magic, pattern, single: true, PayloadRule.None, message);

    private static ImageKind One(string name, uint magic, string pattern, PayloadRule payload, ImageMessage message)
        => new(name, magic, pattern, single: true, payload, message);

    private static ImageKind Many(string name, uint magic, string pattern, params ImageMessage[] messages)
        => new(name, magic, pattern, single: false, PayloadRule.None, messages);

    private static ImageKind Many(string name, uint magic, string pattern, PayloadRule payload, params ImageMessage[] messages)
        => new(name, magic, pattern, single: false, payload, messages);

    private static ImageKind Raw(string name, string pattern)
        => new(name, 0, pattern, single: false, PayloadRule.Raw);
}
