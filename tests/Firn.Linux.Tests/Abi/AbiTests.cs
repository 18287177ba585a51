using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Firn.Linux.Abi;
using Xunit;

namespace Firn.Linux.Tests.Abi;

/// <summary>Every number and every structure of Firn.Linux.Abi against the C headers that are installed.</summary>
public class AbiTests(ITestOutputHelper output)
{
    // No header of a distribution has them: the kernel keeps them to itself, or they are younger than Debian 12's headers.
    private static readonly string[] Private =
    [
        "ERESTARTSYS", "ERESTARTNOINTR", "ERESTARTNOHAND", "ENOIOCTLCMD", "ERESTART_RESTARTBLOCK", "None",
    ];

    private static readonly string[] KernelHeaders =
    [
        "asm/stat.h", "asm/unistd.h", "linux/errno.h", "linux/time_types.h", "asm/signal.h", "linux/elf.h",
        "linux/capability.h", "linux/filter.h", "linux/rseq.h",
        "linux/eventpoll.h", "linux/falloc.h", "linux/fanotify.h", "linux/fcntl.h", "linux/fs.h", "linux/in.h", "linux/in6.h",
        "linux/inet_diag.h", "linux/inotify.h", "linux/kcmp.h", "linux/magic.h", "linux/memfd.h", "linux/mman.h", "linux/mount.h",
        "linux/net.h",
        "linux/netlink.h", "linux/poll.h", "linux/prctl.h", "linux/ptrace.h", "linux/random.h", "linux/resource.h", "linux/sched.h",
        "linux/sched/types.h", "linux/signalfd.h", "linux/sock_diag.h", "linux/socket.h", "asm/socket.h", "linux/sockios.h",
        "linux/stat.h", "asm/ipcbuf.h", "asm/shmbuf.h", "asm/sembuf.h", "asm/msgbuf.h", "linux/mqueue.h",
        "linux/tcp.h", "linux/termios.h", "linux/time.h", "linux/timerfd.h", "linux/udp.h", "linux/uio.h", "linux/un.h",
        "linux/unix_diag.h", "linux/wait.h", "linux/rtnetlink.h", "linux/if_link.h", "linux/if_addr.h", "linux/neighbour.h",
        "linux/fib_rules.h", "linux/veth.h", "linux/netfilter/nfnetlink.h", "linux/netfilter/nf_tables.h",
        "linux/netfilter/nfnetlink_conntrack.h", "linux/nexthop.h", "linux/netfilter/ipset/ip_set.h", "linux/if_packet.h",
        "linux/packet_diag.h", "linux/netlink_diag.h", "linux/if_tun.h", "linux/bpf.h", "linux/io_uring.h", "asm/statfs.h", "sys/user.h",
        "stddef.h",
    ];

    private static readonly string[] LibcHeaders =
    [
        "sys/socket.h", "sys/un.h", "netinet/in.h", "netinet/tcp.h", "netinet/udp.h", "sys/wait.h", "fcntl.h", "poll.h", "sys/file.h",
        "sys/mount.h", "sys/mman.h", "sys/ptrace.h", "sys/epoll.h", "sys/eventfd.h", "sys/stat.h", "signal.h", "sched.h",
        "net/if.h", "sys/user.h", "stddef.h",
    ];

    // Their name in C, where it can be had.
    private static readonly Dictionary<Type, string> KernelStructs = new()
    {
        [typeof(CapabilityData)] = "struct __user_cap_data_struct",
        [typeof(CapabilityHeader)] = "struct __user_cap_header_struct",
        [typeof(CloneArgs)] = "struct clone_args",
        [typeof(EpollEvent)] = "struct epoll_event",
        [typeof(FileStat)] = "struct stat",
        [typeof(FilterProgram)] = "struct sock_fprog",
        [typeof(Flock)] = "struct flock",
        [typeof(FOwnerEx)] = "struct f_owner_ex",
        [typeof(InetDiagMsg)] = "struct inet_diag_msg",
        [typeof(InetDiagReqV2)] = "struct inet_diag_req_v2",
        [typeof(InetDiagSockid)] = "struct inet_diag_sockid",
        [typeof(Iovec)] = "struct iovec",
        [typeof(Itimerspec)] = "struct __kernel_itimerspec",
        [typeof(IoUringCqe)] = "struct io_uring_cqe",
        [typeof(IoUringSqe)] = "struct io_uring_sqe",
        [typeof(KcmpEpollSlot)] = "struct kcmp_epoll_slot",
        [typeof(RseqCriticalSection)] = "struct rseq_cs",
        [typeof(SchedAttributes)] = "struct sched_attr",
        [typeof(SeccompMetadata)] = "struct seccomp_metadata",
        [typeof(Ifinfomsg)] = "struct ifinfomsg",
        [typeof(Ndmsg)] = "struct ndmsg",
        [typeof(Rtmsg)] = "struct rtmsg",
        [typeof(Rtnexthop)] = "struct rtnexthop",
        [typeof(Tcmsg)] = "struct tcmsg",
        [typeof(Nfgenmsg)] = "struct nfgenmsg",
        [typeof(NetlinkDiagMsg)] = "struct netlink_diag_msg",
        [typeof(NetlinkDiagReq)] = "struct netlink_diag_req",
        [typeof(Nhmsg)] = "struct nhmsg",
        [typeof(Nlattr)] = "struct nlattr",
        [typeof(Nlmsghdr)] = "struct nlmsghdr",
        [typeof(MountAttr)] = "struct mount_attr",
        [typeof(PacketDiagInfo)] = "struct packet_diag_info",
        [typeof(PacketDiagMsg)] = "struct packet_diag_msg",
        [typeof(PacketDiagReq)] = "struct packet_diag_req",
        [typeof(PacketDiagRing)] = "struct packet_diag_ring",
        [typeof(PageRegion)] = "struct page_region",
        [typeof(PeekSiginfoArgs)] = "struct ptrace_peeksiginfo_args",
        [typeof(PmScanArg)] = "struct pm_scan_arg",
        [typeof(Pollfd)] = "struct pollfd",
        [typeof(Rlimit64)] = "struct rlimit64",
        [typeof(RseqConfiguration)] = "struct ptrace_rseq_configuration",
        [typeof(SchedAttr)] = "struct sched_attr",
        [typeof(Ipc64Perm)] = "struct ipc64_perm",
        [typeof(MqAttr)] = "struct mq_attr",
        [typeof(Msqid64Ds)] = "struct msqid64_ds",
        [typeof(Semid64Ds)] = "struct semid64_ds",
        [typeof(Shmid64Ds)] = "struct shmid64_ds",
        [typeof(SignalStack)] = "stack_t",
        [typeof(SockaddrIn)] = "struct sockaddr_in",
        [typeof(SockaddrIn6)] = "struct sockaddr_in6",
        [typeof(SockaddrLl)] = "struct sockaddr_ll",
        [typeof(SockaddrNl)] = "struct sockaddr_nl",
        [typeof(SockaddrUn)] = "struct sockaddr_un",
        [typeof(StatFs)] = "struct statfs",
        [typeof(Statx)] = "struct statx",
        [typeof(StatxTimestamp)] = "struct statx_timestamp",
        [typeof(TcpRepairOpt)] = "struct tcp_repair_opt",
        [typeof(TcpRepairWindow)] = "struct tcp_repair_window",
        [typeof(Termios2)] = "struct termios2",
        [typeof(Timespec)] = "struct __kernel_timespec",
        [typeof(TpacketReq3)] = "struct tpacket_req3",
        [typeof(UnixDiagMsg)] = "struct unix_diag_msg",
        [typeof(UnixDiagReq)] = "struct unix_diag_req",
        [typeof(UserRegs)] = "struct user_regs_struct",
        [typeof(Winsize)] = "struct winsize",
    };

    private static readonly Dictionary<Type, string> LibcStructs = new()
    {
        [typeof(Cmsghdr)] = "struct cmsghdr",
        [typeof(Linger)] = "struct linger",
        [typeof(Msghdr)] = "struct msghdr",
        [typeof(Ucred)] = "struct ucred",
    };

    // Their fields have other names in C, or none: size alone.
    private static readonly Dictionary<Type, int> OtherSizes = new()
    {
        [typeof(BpfMapAttributes)] = 72,
        [typeof(BpfMapInfo)] = 88,
        [typeof(BpfName)] = 16,
        [typeof(IoUringOffsets)] = 80,
        [typeof(IoUringParameters)] = 120,
        [typeof(BpfProgramAttributes)] = 112,
        [typeof(Ipv6Address)] = 16,
        [typeof(Itimerval)] = 32,
        [typeof(KernelSigaction)] = 32,
        // Younger than Debian 12's headers (Linux 6.4).
        [typeof(SyscallUserDispatch)] = 32,
        [typeof(TerminalCharacters)] = 19,
        [typeof(UnixPath)] = 108,
    };

    private static readonly Type[] AbiTypes =
        [.. typeof(Sysno).Assembly.GetExportedTypes().Where(type => type.Namespace == typeof(Sysno).Namespace)];

    [Fact]
    public void A_wrong_number_and_an_absent_name_are_told_apart()
    {
        var program = new CProgram("linux/fcntl.h", "stddef.h");
        program.Assert("right", "O_RDWR == 2");
        program.Assert("wrong", "O_RDWR == 3");
        program.Assert("absent", "O_NO_SUCH_FLAG == 3");
        program.Assert("swapped", "offsetof(struct flock, l_len) == 8");
        (SortedSet<string> wrong, SortedSet<string> absent) = program.Check();
        Assert.Equal(["swapped", "wrong"], wrong);
        Assert.Equal(["absent"], absent);
    }

    [Fact]
    public void Every_constant_has_the_value_of_the_headers()
    {
        Dictionary<string, string> constants = Constants();
        (SortedSet<string> wrong, SortedSet<string> absent) = CheckConstants(KernelHeaders, constants, constants.Keys);

        // What the kernel's headers for programs don't have, libc's may; its own changes to the kernel's numbers don't count then.
        (SortedSet<string> wrongInLibc, SortedSet<string> absentInBoth) = CheckConstants(LibcHeaders, constants, absent);
        output.WriteLine($"{constants.Count - absentInBoth.Count} of {constants.Count} constants checked; "
            + $"not in these headers: {string.Join(' ', absentInBoth)}");
        wrong.UnionWith(wrongInLibc);
        Assert.Empty(wrong);
        Assert.True(absentInBoth.Count * 12 < constants.Count, $"{absentInBoth.Count} of {constants.Count} constants are in no header");
    }

    [Fact]
    public void Every_structure_has_the_layout_of_the_headers()
    {
        SortedSet<string> wrong = [];
        SortedSet<string> absent = [];
        foreach ((string[] headers, Dictionary<Type, string> structs) in ((string[], Dictionary<Type, string>)[])[
            (KernelHeaders, KernelStructs), (LibcHeaders, LibcStructs)])
        {
            var program = new CProgram(headers);
            foreach ((Type type, string name) in structs)
            {
                AssertLayout(program, type, name);
            }

            (SortedSet<string> itsWrong, SortedSet<string> itsAbsent) = program.Check();
            output.WriteLine($"{program.Count} assertions; not in these headers: {string.Join(' ', itsAbsent)}");
            wrong.UnionWith(itsWrong);
            absent.UnionWith(itsAbsent);
        }

        Assert.Empty(wrong);

        // Younger than Debian 12's headers (PAGEMAP_SCAN is of Linux 6.7).
        absent.RemoveWhere(name => name.Contains("struct page_region", StringComparison.Ordinal)
            || name.Contains("struct pm_scan_arg", StringComparison.Ordinal));
        Assert.Empty(absent);
    }

    [Fact]
    public void No_structure_escapes_these_tests()
    {
        IEnumerable<Type> known = KernelStructs.Keys.Concat(LibcStructs.Keys).Concat(OtherSizes.Keys);
        Assert.Empty(AbiTypes.Where(type => type is { IsValueType: true, IsEnum: false }).Except(known).Select(type => type.Name));
        Assert.All(OtherSizes, pair => Assert.Equal(pair.Value, SizeOf(pair.Key)));
    }

    [Fact]
    public void The_structures_that_are_younger_than_the_headers_have_the_size_of_the_kernel()
    {
        // The size is part of the request's number: _IOWR('f', 16, struct pm_scan_arg).
        Assert.Equal((int)((PagemapScan.PAGEMAP_SCAN >> 16) & 0x3fff), SizeOf(typeof(PmScanArg)));
        Assert.Equal(24, SizeOf(typeof(PageRegion)));
    }

    private static (SortedSet<string> Wrong, SortedSet<string> Absent) CheckConstants(
        string[] headers, Dictionary<string, string> constants, IEnumerable<string> names)
    {
        var program = new CProgram(headers);
        foreach (string name in names)
        {
            program.Assert(name, constants[name]);
        }

        return program.Check();
    }

    private static Dictionary<string, string> Constants()
    {
        var constants = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (Type type in AbiTypes)
        {
            foreach (FieldInfo field in type.GetFields(BindingFlags.Public | BindingFlags.Static).Where(field => field.IsLiteral))
            {
                // Sysno.read is __NR_read; ulong.MaxValue and its like are bare numbers of 64 bits.
                string name = type == typeof(Sysno) ? "__NR_" + field.Name : field.Name;
                object raw = field.GetRawConstantValue()!;
                bool small = Marshal.SizeOf(raw) <= sizeof(int);
                string value = Convert.ToDecimal(raw, CultureInfo.InvariantCulture).ToString(CultureInfo.InvariantCulture);
                if (!Private.Contains(field.Name, StringComparer.Ordinal) && field.Name != nameof(UnixPath.Length))
                {
                    // Of 32 bits, a sign is of no matter: 1u << 31 is a negative int in some headers.
                    string suffix = raw is ulong ? "ULL" : "LL";
                    string cType = small ? "int" : "unsigned long";
                    constants[name] = $"({cType})({name}) == ({cType})({value}{suffix})";
                }
            }
        }

        return constants;
    }

    private static void AssertLayout(CProgram program, Type type, string name)
    {
        program.Assert($"sizeof({name})", $"sizeof({name}) == {SizeOf(type)}");
        foreach (FieldInfo field in type.GetFields(BindingFlags.Public | BindingFlags.Instance))
        {
            if (!field.Name.StartsWith("pad", StringComparison.Ordinal) && !field.Name.StartsWith("unused", StringComparison.Ordinal))
            {
                program.Assert(
                    $"offsetof({name}, {field.Name})", $"offsetof({name}, {field.Name}) == {Marshal.OffsetOf(type, field.Name)}");
            }
        }
    }

    private static int SizeOf(Type type)
        => (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type).Invoke(null, null)!;
}
