namespace Firn.Images;

/// <summary>Which fields a message must have, and where such messages are within others.</summary>
/// <remarks>
/// The descriptors know the same, and a test compares both; but to load them takes about 20 ms, ahead-of-time compiled, and to read all of
/// a small set 1 ms. A restore would pay for it before its first task exists. Messages without anything to check are left out, and
/// <c>null</c> is the message itself.
/// </remarks>
internal static class WireShapes
{
    internal static readonly WireShape AaPolicy = new([1, 2]);
    internal static readonly WireShape AaNamespace = new([1], (2, AaPolicy), (3, null));
    internal static readonly WireShape ApparmorEntry = new([], (1, AaNamespace));
    internal static readonly WireShape AutofsEntry = new([1, 2, 3, 4, 5, 6]);
    internal static readonly WireShape BinfmtMiscEntry = new([1, 2, 3]);
    internal static readonly WireShape BpfmapDataEntry = new([1, 2, 3, 4]);
    internal static readonly WireShape FownEntry = new([1, 2, 3, 4, 5]);
    internal static readonly WireShape BpfmapFileEntry = new([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14], (4, FownEntry));
    internal static readonly WireShape CgroupPerms = new([1, 2, 3]);
    internal static readonly WireShape CgroupPropEntry = new([1, 2], (3, CgroupPerms));
    internal static readonly WireShape CgroupDirEntry = new([1], (2, null), (3, CgroupPropEntry), (4, CgroupPerms));
    internal static readonly WireShape CgControllerEntry = new([], (2, CgroupDirEntry));
    internal static readonly WireShape CgMemberEntry = new([1, 2]);
    internal static readonly WireShape CgSetEntry = new([1], (2, CgMemberEntry));
    internal static readonly WireShape CgroupEntry = new([], (1, CgSetEntry), (2, CgControllerEntry));
    internal static readonly WireShape UserAarch64RegsEntry = new([2, 3, 4]);
    internal static readonly WireShape UserAarch64FpsimdContextEntry = new([2, 3]);
    internal static readonly WireShape PacAddressKeys = new([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    internal static readonly WireShape PacGenericKeys = new([1, 2]);
    internal static readonly WireShape PacKeys = new([], (6, PacAddressKeys), (7, PacGenericKeys));
    internal static readonly WireShape ThreadInfoAarch64 = new(
        [1, 2, 3, 4], (3, UserAarch64RegsEntry), (4, UserAarch64FpsimdContextEntry), (5, PacKeys));
    internal static readonly WireShape UserArmRegsEntry = new([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]);
    internal static readonly WireShape UserArmVfpstateEntry = new([2, 3, 4, 5]);
    internal static readonly WireShape ThreadInfoArm = new([1, 2, 3, 4], (3, UserArmRegsEntry), (4, UserArmVfpstateEntry));
    internal static readonly WireShape UserLoongarch64GpregsEntry = new([2]);
    internal static readonly WireShape UserLoongarch64FpregsEntry = new([2, 3]);
    internal static readonly WireShape ThreadInfoLoongarch64 = new(
        [1, 2, 3, 4], (3, UserLoongarch64GpregsEntry), (4, UserLoongarch64FpregsEntry));
    internal static readonly WireShape UserMipsRegsEntry = new(
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
         30, 31, 32, 33, 34, 35, 36, 37, 38]);
    internal static readonly WireShape UserMipsFpregsEntry = new(
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
         30, 31, 32, 33, 34, 35, 36]);
    internal static readonly WireShape ThreadInfoMips = new([1, 2, 3, 4], (3, UserMipsRegsEntry), (4, UserMipsFpregsEntry));
    internal static readonly WireShape UserPpc64RegsEntry = new([2, 3, 4, 5, 6, 7, 8, 9]);
    internal static readonly WireShape UserPpc64VrstateEntry = new([2]);
    internal static readonly WireShape UserPpc64TmRegsEntry = new([1], (1, UserPpc64RegsEntry), (3, UserPpc64VrstateEntry));
    internal static readonly WireShape ThreadInfoPpc64 = new(
        [1, 2], (2, UserPpc64RegsEntry), (4, UserPpc64VrstateEntry), (6, UserPpc64TmRegsEntry));
    internal static readonly WireShape UserRiscv64RegsEntry = new(
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32]);
    internal static readonly WireShape UserRiscv64DExtEntry = new([2]);
    internal static readonly WireShape ThreadInfoRiscv64 = new([1, 2, 3, 4], (3, UserRiscv64RegsEntry), (4, UserRiscv64DExtEntry));
    internal static readonly WireShape UserS390RegsEntry = new([1, 2, 5, 6]);
    internal static readonly WireShape UserS390FpregsEntry = new([1]);
    internal static readonly WireShape UserS390RiEntry = new([1]);
    internal static readonly WireShape ThreadInfoS390 = new(
        [1, 2, 3], (2, UserS390RegsEntry), (3, UserS390FpregsEntry), (8, UserS390RiEntry));
    internal static readonly WireShape UserX86RegsEntry = new(
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27]);
    internal static readonly WireShape UserX86CetEntry = new([1, 2]);
    internal static readonly WireShape XsaveComponentEntry = new([1, 2]);
    internal static readonly WireShape UserX86XsaveEntry = new([1], (9, UserX86CetEntry), (1000, XsaveComponentEntry));
    internal static readonly WireShape UserX86FpregsEntry = new([1, 2, 3, 4, 5, 6, 7, 8], (13, UserX86XsaveEntry));
    internal static readonly WireShape UserDescT = new([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    internal static readonly WireShape ThreadInfoX86 = new([1, 2, 3], (2, UserX86RegsEntry), (3, UserX86FpregsEntry), (4, UserDescT));
    internal static readonly WireShape ItimerEntry = new([1, 2, 3, 4]);
    internal static readonly WireShape PosixTimerEntry = new([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    internal static readonly WireShape TaskTimersEntry = new(
        [1, 2, 3], (1, ItimerEntry), (2, ItimerEntry), (3, ItimerEntry), (4, PosixTimerEntry));
    internal static readonly WireShape RlimitEntry = new([1, 2]);
    internal static readonly WireShape TaskRlimitsEntry = new([], (1, RlimitEntry));
    internal static readonly WireShape SiginfoEntry = new([1]);
    internal static readonly WireShape SignalQueueEntry = new([], (1, SiginfoEntry));
    internal static readonly WireShape SaEntry = new([1, 2, 3, 4]);
    internal static readonly WireShape TaskCoreEntry = new(
        [1, 2, 3, 4, 5, 6], (7, TaskTimersEntry), (8, TaskRlimitsEntry), (10, SignalQueueEntry), (15, SaEntry));
    internal static readonly WireShape TaskKobjIdsEntry = new([1, 2, 3, 4]);
    internal static readonly WireShape ThreadSasEntry = new([1, 2, 3]);
    internal static readonly WireShape CredsEntry = new([1, 2, 3, 4, 5, 6, 7, 8, 13]);
    internal static readonly WireShape RseqEntry = new([1, 2, 3]);
    internal static readonly WireShape SchedAttributesEntry = new([1, 2, 3, 4, 5, 6]);
    internal static readonly WireShape MemoryPolicyEntry = new([1]);
    internal static readonly WireShape InterruptedCallEntry = new([1]);
    internal static readonly WireShape ThreadCoreEntry = new(
        [1, 2], (7, ThreadSasEntry), (9, SignalQueueEntry), (10, CredsEntry), (15, RseqEntry), (1006, SchedAttributesEntry),
        (1012, InterruptedCallEntry), (1030, MemoryPolicyEntry));
    internal static readonly WireShape CoreEntry = new(
        [1], (2, ThreadInfoX86), (3, TaskCoreEntry), (4, TaskKobjIdsEntry), (5, ThreadCoreEntry), (6, ThreadInfoArm),
        (8, ThreadInfoAarch64), (9, ThreadInfoPpc64), (10, ThreadInfoS390), (11, ThreadInfoMips), (12, ThreadInfoLoongarch64),
        (13, ThreadInfoRiscv64));
    internal static readonly WireShape CpuinfoX86Entry = new([1, 2, 3, 4, 5]);
    internal static readonly WireShape CpuinfoPpc64Entry = new([1]);
    internal static readonly WireShape CpuinfoEntry = new([], (1, CpuinfoX86Entry), (2, CpuinfoPpc64Entry));
    internal static readonly WireShape EventfdFileEntry = new([1, 2, 3, 4], (3, FownEntry));
    internal static readonly WireShape EventpollTfdEntry = new([1, 2, 3, 4]);
    internal static readonly WireShape EventpollFileEntry = new([1, 2, 3], (3, FownEntry), (4, EventpollTfdEntry));
    internal static readonly WireShape ExtFileEntry = new([1, 5], (5, FownEntry));
    internal static readonly WireShape FdinfoEntry = new([1, 2, 3, 4]);
    internal static readonly WireShape PosixQueueMessage = new([1, 2]);
    internal static readonly WireShape PosixQueueEntry = new([1, 2, 3, 4, 5, 6], (7, PosixQueueMessage));
    internal static readonly WireShape RegFileEntry = new([1, 2, 3, 5, 6], (5, FownEntry), (1004, PosixQueueEntry));
    internal static readonly WireShape SkOptsEntry = new([1, 2, 3, 4, 5, 6]);
    internal static readonly WireShape InetSkEntry = new([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14], (13, FownEntry), (14, SkOptsEntry));
    internal static readonly WireShape NsFileEntry = new([1, 2, 3, 4]);
    internal static readonly WireShape PacketMclist = new([1, 2, 3]);
    internal static readonly WireShape PacketRing = new([1, 2, 3, 4, 5, 6, 7]);
    internal static readonly WireShape PacketSockEntry = new(
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], (6, FownEntry), (7, SkOptsEntry), (16, PacketMclist), (18, PacketRing),
        (19, PacketRing));
    internal static readonly WireShape NetlinkSkEntry = new([1, 2, 3, 4, 6, 7, 9, 10, 11, 12], (11, FownEntry), (12, SkOptsEntry));
    internal static readonly WireShape SignalfdEntry = new([1, 2, 3, 4], (3, FownEntry));
    internal static readonly WireShape TunfileEntry = new([1]);
    internal static readonly WireShape TimerfdEntry = new([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], (3, FownEntry));
    internal static readonly WireShape FhEntry = new([1, 2]);
    internal static readonly WireShape InotifyWdEntry = new([1, 2, 3, 4, 5, 6, 7], (7, FhEntry));
    internal static readonly WireShape InotifyFileEntry = new([1, 2, 4], (4, FownEntry), (5, InotifyWdEntry));
    internal static readonly WireShape FanotifyInodeMarkEntry = new([1, 2], (2, FhEntry));
    internal static readonly WireShape FanotifyMountMarkEntry = new([1]);
    internal static readonly WireShape FanotifyMarkEntry = new(
        [1, 2, 3, 4, 5, 6], (7, FanotifyInodeMarkEntry), (8, FanotifyMountMarkEntry));
    internal static readonly WireShape FanotifyFileEntry = new(
        [1, 2, 3, 4, 5], (3, FownEntry), (6, FanotifyMarkEntry), (1000, FanotifyMarkEntry));
    internal static readonly WireShape FilePermsEntry = new([1, 2, 3]);
    internal static readonly WireShape SkCredentialsEntry = new([1, 2, 3]);
    internal static readonly WireShape UnixSkEntry = new(
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], (9, FownEntry), (10, SkOptsEntry), (13, FilePermsEntry), (1002, SkCredentialsEntry));
    internal static readonly WireShape FifoEntry = new([1, 2]);
    internal static readonly WireShape PipeEntry = new([1, 2, 3, 4], (4, FownEntry));
    internal static readonly WireShape TtyFileEntry = new([1, 2, 3, 4], (4, FownEntry));
    internal static readonly WireShape MemfdFileEntry = new([1, 2, 3, 4, 5], (4, FownEntry));
    internal static readonly WireShape PidfdEntry = new([1, 2, 3, 4, 5], (5, FownEntry));
    internal static readonly WireShape IoUringPart = new([1, 2]);
    internal static readonly WireShape IoUringRegisteredFile = new([1, 2]);
    internal static readonly WireShape IoUringBuffer = new([1, 2, 3]);
    internal static readonly WireShape IoUringPlace = new([1, 2]);
    internal static readonly WireShape IoUringEntry = new(
        [1, 2, 3, 4, 5, 6], (2, FownEntry), (8, IoUringPart), (9, IoUringPart), (12, IoUringRegisteredFile), (14, IoUringBuffer),
        (16, IoUringPlace));
    internal static readonly WireShape FileEntry = new(
        [1, 2], (3, RegFileEntry), (4, InetSkEntry), (5, NsFileEntry), (6, PacketSockEntry), (7, NetlinkSkEntry), (8, EventfdFileEntry),
        (9, EventpollFileEntry), (10, SignalfdEntry), (11, TunfileEntry), (12, TimerfdEntry), (13, InotifyFileEntry),
        (14, FanotifyFileEntry), (15, ExtFileEntry), (16, UnixSkEntry), (17, FifoEntry), (18, PipeEntry), (19, TtyFileEntry),
        (20, MemfdFileEntry), (21, BpfmapFileEntry), (22, PidfdEntry), (1000, IoUringEntry));
    internal static readonly WireShape IrmapCacheEntry = new([1, 2, 3]);
    internal static readonly WireShape FileLockEntry = new([1, 2, 3, 4, 5, 6]);
    internal static readonly WireShape FsEntry = new([1, 2]);
    internal static readonly WireShape Timeval = new([1, 2]);
    internal static readonly WireShape GhostFileEntry = new([1, 2, 3], (7, Timeval), (8, Timeval));
    internal static readonly WireShape GhostChunkEntry = new([1, 2]);
    internal static readonly WireShape ImgStreamerRequestEntry = new([1]);
    internal static readonly WireShape ImgStreamerReplyEntry = new([1]);
    internal static readonly WireShape InventoryEntry = new([1], (3, TaskKobjIdsEntry));
    internal static readonly WireShape IpcDescEntry = new([1, 2, 3, 4, 5, 6, 7]);
    internal static readonly WireShape IpcMsg = new([1, 2]);
    internal static readonly WireShape IpcMsgEntry = new([1, 2, 3], (1, IpcDescEntry));
    internal static readonly WireShape IpcSemEntry = new([1, 2], (1, IpcDescEntry));
    internal static readonly WireShape IpcShmEntry = new([1, 2], (1, IpcDescEntry));
    internal static readonly WireShape IpcVarEntry = new([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], (1000, PosixQueueEntry));
    internal static readonly WireShape MacvlanLinkEntry = new([1]);
    internal static readonly WireShape MemfdInodeEntry = new([1, 2, 3, 4, 5, 6, 7]);
    internal static readonly WireShape AioRingEntry = new([1, 2, 3]);
    internal static readonly WireShape VmaEntry = new([1, 2, 3, 4, 5, 6, 7, 8], (1002, MemoryPolicyEntry));
    internal static readonly WireShape MmEntry = new([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], (14, VmaEntry), (16, AioRingEntry));
    internal static readonly WireShape MntEntry = new([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    internal static readonly WireShape TunLinkEntry = new([1, 2, 3, 4, 5]);
    internal static readonly WireShape SysctlEntry = new([1]);
    internal static readonly WireShape NetDeviceEntry = new(
        [1, 2, 3, 4, 5], (6, TunLinkEntry), (9, SysctlEntry), (10, SysctlEntry), (11, MacvlanLinkEntry));
    internal static readonly WireShape NetnsId = new([1, 2]);
    internal static readonly WireShape NetnsEntry = new(
        [], (3, SysctlEntry), (4, SysctlEntry), (5, SysctlEntry), (6, SysctlEntry), (7, NetnsId), (9, SysctlEntry), (10, SysctlEntry));
    internal static readonly WireShape PagemapHead = new([1]);
    internal static readonly WireShape PagemapEntry = new([1, 2]);
    internal static readonly WireShape PipeDataEntry = new([1, 2]);
    internal static readonly WireShape PstreeEntry = new([1, 2, 3, 4]);
    internal static readonly WireShape RemapFilePathEntry = new([1, 2]);
    internal static readonly WireShape SeccompFilter = new([1]);
    internal static readonly WireShape SeccompEntry = new([], (1, SeccompFilter));
    internal static readonly WireShape ScmEntry = new([1]);
    internal static readonly WireShape SkPacketEntry = new([1, 2], (4, ScmEntry), (1001, SkCredentialsEntry));
    internal static readonly WireShape DumpStatsEntry = new([1, 2, 3, 4, 5, 6, 7, 9]);
    internal static readonly WireShape RestoreStatsEntry = new([1, 2, 3, 4]);
    internal static readonly WireShape StatsEntry = new([], (1, DumpStatsEntry), (2, RestoreStatsEntry));
    internal static readonly WireShape TcpStreamEntry = new([1, 2, 3, 4, 5, 6, 7]);
    internal static readonly WireShape Timespec = new([1, 2]);
    internal static readonly WireShape TimensEntry = new([1, 2], (1, Timespec), (2, Timespec));
    internal static readonly WireShape WinsizeEntry = new([1, 2, 3, 4]);
    internal static readonly WireShape TermiosEntry = new([1, 2, 3, 4, 5, 6, 7]);
    internal static readonly WireShape TtyPtyEntry = new([1]);
    internal static readonly WireShape TtyDataEntry = new([1, 2]);
    internal static readonly WireShape TtyInfoEntry = new(
        [1, 2, 3, 4, 5, 6, 7, 8], (9, TermiosEntry), (10, TermiosEntry), (11, WinsizeEntry), (12, TtyPtyEntry));
    internal static readonly WireShape UidGidExtent = new([1, 2, 3]);
    internal static readonly WireShape UsernsEntry = new([], (1, UidGidExtent), (2, UidGidExtent));
    internal static readonly WireShape UtsnsEntry = new([1, 2]);
}
