using Firn.Images;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Memory;

/// <summary>Why a mapping can't be saved.</summary>
/// <param name="Identifier">The stable name of the problem.</param>
/// <param name="Reason">Why.</param>
/// <param name="Remedy">What the user can do.</param>
internal sealed record VmaObjection(string Identifier, string Reason, string Remedy);

/// <summary>Says what a mapping is: a line of maps and its VmFlags become a vma_entry. No I/O.</summary>
/// <param name="sharedMemoryMajor">Major number of the kernel's own tmpfs, where memfds and shared anonymous memory live.</param>
/// <param name="sharedMemoryMinor">Its minor number.</param>
/// <param name="savesSegments">Whether segments of System V are saved, as they are with an ipc namespace of the tree's own.</param>
internal sealed class VmaClassifier(uint sharedMemoryMajor, uint sharedMemoryMinor, bool savesSegments)
{
    private const VmFlags UserfaultFlags = VmFlags.UserfaultMissing | VmFlags.UserfaultMinor | VmFlags.UserfaultWriteProtect;

    private static readonly (VmFlags Flag, MemoryAdvice Advice)[] Advices =
    [
        (VmFlags.SequentialRead, MemoryAdvice.MADV_SEQUENTIAL),
        (VmFlags.RandomRead, MemoryAdvice.MADV_RANDOM),
        (VmFlags.DontCopy, MemoryAdvice.MADV_DONTFORK),
        (VmFlags.DontDump, MemoryAdvice.MADV_DONTDUMP),
        (VmFlags.Mergeable, MemoryAdvice.MADV_MERGEABLE),
        (VmFlags.HugePage, MemoryAdvice.MADV_HUGEPAGE),
        (VmFlags.NoHugePage, MemoryAdvice.MADV_NOHUGEPAGE),
        (VmFlags.WipeOnFork, MemoryAdvice.MADV_WIPEONFORK),
    ];

    /// <summary>Whether a mapping's file is a memfd, or shared anonymous memory.</summary>
    public bool IsSharedMemory(Mapping mapping)
        => mapping.HasFile && mapping.DevMajor == sharedMemoryMajor && mapping.DevMinor == sharedMemoryMinor;

    /// <summary>Whether it is a shared mapping of a socket: the rings of a packet socket, as whoever asks has to find out.</summary>
    public static bool IsSocket(Mapping mapping)
        => mapping.HasFile && mapping.Shared && mapping.Name.StartsWith("socket:[", StringComparison.Ordinal);

    private bool IsSegment(Mapping mapping) => IsSharedMemory(mapping) && mapping.Name.StartsWith("/SYSV", StringComparison.Ordinal);

    /// <summary>Describes a mapping. Its shmid, and for shared files fdflags, are left to the caller.</summary>
    /// <param name="mapping">The mapping.</param>
    /// <param name="flags">Its VmFlags.</param>
    /// <param name="objection">Why it can't be saved, or null.</param>
    public VmaEntry Describe(Mapping mapping, VmFlags flags, out VmaObjection? objection)
    {
        objection = Object(mapping, flags);
        var vma = new VmaEntry
        {
            Start = mapping.Start,
            End = mapping.End,
            Pgoff = mapping.HasFile ? mapping.Offset : 0,
            Shmid = 0,
            Prot = (uint)mapping.Protection,
            Flags = (uint)(MapFlagsOf(mapping, flags) | (IsSegment(mapping) ? MapFlags.MAP_ANONYMOUS : 0)),
            Status = (uint)StatusOf(mapping),
            Fd = -1,
        };
        ulong advice = AdviceOf(flags);
        if (advice != 0)
        {
            vma.Madv = advice;
        }

        if (mapping.HasFile)
        {
            vma.Fdflags = 0;
        }

        if ((flags & VmFlags.Sealed) != 0 && !vma.Is(VmaStatus.Vdso | VmaStatus.Vvar | VmaStatus.Vsyscall))
        {
            vma.Sealed = true;
        }

        if ((flags & VmFlags.LockOnFault) != 0)
        {
            vma.LockOnFault = true;
        }

        return vma;
    }

    /// <summary>Whether two neighbours are recorded as one: [vvar] and [vvar_vclock].</summary>
    public static bool AreOne(VmaEntry first, VmaEntry second)
        => first.Is(VmaStatus.Vvar) && second.Is(VmaStatus.Vvar) && first.End == second.Start;

    /// <summary>The advice as bits.</summary>
    public static ulong AdviceOf(VmFlags flags)
    {
        ulong bits = 0;
        foreach ((VmFlags flag, MemoryAdvice advice) in Advices)
        {
            bits |= (flags & flag) != 0 ? 1UL << (int)advice : 0;
        }

        return bits;
    }

    private static MapFlags MapFlagsOf(Mapping mapping, VmFlags flags)
        => (mapping.Shared ? MapFlags.MAP_SHARED : MapFlags.MAP_PRIVATE)
            | (mapping.HasFile ? 0 : MapFlags.MAP_ANONYMOUS)
            | ((flags & VmFlags.GrowsDown) != 0 ? MapFlags.MAP_GROWSDOWN : 0)
            | ((flags & VmFlags.Locked) != 0 ? MapFlags.MAP_LOCKED : 0)
            | ((flags & VmFlags.NoReserve) != 0 ? MapFlags.MAP_NORESERVE : 0)
            | ((flags & VmFlags.Droppable) != 0 ? MapFlags.MAP_DROPPABLE : 0);

    private static bool IsVvar(Mapping mapping) => mapping.IsNamed("[vvar]") || mapping.IsNamed("[vvar_vclock]");

    private VmaStatus StatusOf(Mapping mapping) => mapping.Name switch
    {
        "[vsyscall]" => VmaStatus.Vsyscall | VmaStatus.AnonymousPrivate,
        "[vdso]" => VmaStatus.Regular | VmaStatus.Vdso | VmaStatus.AnonymousPrivate,
        "[vvar]" or "[vvar_vclock]" => VmaStatus.Regular | VmaStatus.Vvar | VmaStatus.AnonymousPrivate,
        "[heap]" when !mapping.HasFile => VmaStatus.Regular | VmaStatus.Heap | VmaStatus.AnonymousPrivate,
        _ when IsSocket(mapping) => VmaStatus.Regular | VmaStatus.Socket,
        _ when IsSegment(mapping) => VmaStatus.Regular | VmaStatus.AnonymousShared | VmaStatus.SystemVSegment,
        _ when !mapping.HasFile => VmaStatus.Regular | VmaStatus.AnonymousPrivate,
        _ => VmaStatus.Regular
            | (mapping.Shared ? VmaStatus.FileShared : VmaStatus.FilePrivate)
            | (IsSharedMemory(mapping) ? VmaStatus.Memfd : 0),
    };

    private VmaObjection? Object(Mapping mapping, VmFlags flags)
    {
        if (mapping.IsNamed("[vsyscall]") || mapping.IsNamed("[vdso]") || IsVvar(mapping))
        {
            return null;
        }

        return mapping.Name switch
        {
            "[uprobes]" => new("uprobes", "user-space probes are set in the task", "remove the probes first"),
            "/[aio] (deleted)"
                => new(
                    "aio-ring", "it is a ring of io_setup(2)", "let the application call io_destroy(2) first, or use threads for its I/O"),
            "/secretmem (deleted)"
                => new(
                    "memfd-secret",
                    "it is secret memory (memfd_secret(2)), which no one but the task may read",
                    "start the application without it"),
            _ when mapping.Name.StartsWith("anon_inode:[io_uring]", StringComparison.Ordinal)
                => new("io-uring", "it is a ring of io_uring", "start the application with io_uring off"),
            _ when mapping.Name.StartsWith("anon_inode:", StringComparison.Ordinal)
                => new(
                    "kernel-object-mapping", $"memory of the kernel object {mapping.Name} is mapped", "let the application unmap it first"),
            _ when IsSegment(mapping) && !savesSegments
                => new(
                    "sysv-shm",
                    "it is an attached System V segment, and the tree has no ipc namespace of its own",
                    "start the application in one (unshare --ipc), let it detach the segment, or use memfd or POSIX shared memory"),
            _ when (flags & VmFlags.HugeTlb) != 0
                => new("hugetlb", "it is made of huge pages of hugetlbfs", "use transparent huge pages (MADV_HUGEPAGE) instead"),
            _ when (flags & VmFlags.ShadowStack) != 0
                => new("shadow-stack", "it is a shadow stack", "start the application with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off"),
            _ when (flags & UserfaultFlags) != 0
                => new("userfaultfd", "its page faults are handled by userfaultfd", "let the application unregister the range first"),
            _ when IsSocket(mapping) => null,
            _ when (flags & (VmFlags.Io | VmFlags.PageFrameNumbers | VmFlags.MixedMap)) != 0
                => new("device-mapping", "it is memory of a device", "let the application close the device first"),
            _ => null,
        };
    }
}
