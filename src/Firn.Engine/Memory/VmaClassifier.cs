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
internal sealed class VmaClassifier(uint sharedMemoryMajor, uint sharedMemoryMinor)
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

    // Segments of huge pages, and other objects of these that have no name, are on a hugetlbfs of the kernel's own.
    private bool IsSegment(Mapping mapping, VmFlags flags)
        => (IsSharedMemory(mapping) || (flags & VmFlags.HugeTlb) != 0) && mapping.Deleted
            && mapping.Name.StartsWith("/SYSV", StringComparison.Ordinal);

    private static bool IsHugeAnonymous(Mapping mapping, VmFlags flags)
        => (flags & VmFlags.HugeTlb) != 0 && !mapping.Shared && mapping.IsNamed(HugePages.AnonymousLink);

    /// <summary>Describes a mapping. Its shmid, and for shared files fdflags, are left to the caller.</summary>
    /// <param name="mapping">The mapping.</param>
    /// <param name="known">Its VmFlags, and what stands beside them.</param>
    /// <param name="objection">Why it can't be saved, or null.</param>
    public VmaEntry Describe(Mapping mapping, MappingFlags known, out VmaObjection? objection)
    {
        VmFlags flags = known.Flags;
        objection = Object(mapping, flags);
        bool hasFile = mapping.HasFile && !IsHugeAnonymous(mapping, flags);
        var vma = new VmaEntry
        {
            Start = mapping.Start,
            End = mapping.End,
            Pgoff = hasFile ? mapping.Offset : 0,
            Shmid = 0,
            Prot = (uint)mapping.Protection,
            Flags = (uint)(MapFlagsOf(mapping, flags, hasFile && !IsSegment(mapping, flags)) | HugePages.MapFlagsOf(known.PageSize)),
            Status = (uint)StatusOf(mapping, flags),
            Fd = -1,
        };
        ulong advice = AdviceOf(flags);
        if (advice != 0)
        {
            vma.Madv = advice;
        }

        if (hasFile)
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

        // Memory that may only be executed gets a key from the kernel, which every other kernel gives it by itself.
        if (known.ProtectionKey != 0 && mapping.Protection != ProtectionFlags.PROT_EXEC)
        {
            vma.ProtectionKey = known.ProtectionKey;
        }

        if (NameOf(mapping) is { } name)
        {
            vma.Name = name;
        }

        return vma;
    }

    // PR_SET_VMA_ANON_NAME: show_map_vma() puts the name in brackets.
    private static string? NameOf(Mapping mapping)
    {
        string name = mapping.Name;
        int colon = name.StartsWith("[anon:", StringComparison.Ordinal) || name.StartsWith("[anon_shmem:", StringComparison.Ordinal)
            ? name.IndexOf(':', StringComparison.Ordinal)
            : -1;
        return colon > 0 && name.EndsWith(']') ? name[(colon + 1)..^1] : null;
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

    private static MapFlags MapFlagsOf(Mapping mapping, VmFlags flags, bool hasFile)
        => (mapping.Shared ? MapFlags.MAP_SHARED : MapFlags.MAP_PRIVATE)
            | (hasFile ? 0 : MapFlags.MAP_ANONYMOUS)
            | ((flags & VmFlags.GrowsDown) != 0 ? MapFlags.MAP_GROWSDOWN : 0)
            | ((flags & VmFlags.Locked) != 0 ? MapFlags.MAP_LOCKED : 0)
            | ((flags & VmFlags.NoReserve) != 0 ? MapFlags.MAP_NORESERVE : 0)
            | ((flags & VmFlags.Droppable) != 0 ? MapFlags.MAP_DROPPABLE : 0);

    private static bool IsVvar(Mapping mapping) => mapping.IsNamed("[vvar]") || mapping.IsNamed("[vvar_vclock]");

    private VmaStatus StatusOf(Mapping mapping, VmFlags flags) => mapping.Name switch
    {
        "[vsyscall]" => VmaStatus.Vsyscall | VmaStatus.AnonymousPrivate,
        "[vdso]" => VmaStatus.Regular | VmaStatus.Vdso | VmaStatus.AnonymousPrivate,
        "[vvar]" or "[vvar_vclock]" => VmaStatus.Regular | VmaStatus.Vvar | VmaStatus.AnonymousPrivate,
        "[heap]" when !mapping.HasFile => VmaStatus.Regular | VmaStatus.Heap | VmaStatus.AnonymousPrivate,
        _ when IsSocket(mapping) => VmaStatus.Regular | VmaStatus.Socket,
        _ when IoUringMappings.Is(mapping) => VmaStatus.Regular | VmaStatus.IoUring,
        _ when IsSegment(mapping, flags) => VmaStatus.Regular | VmaStatus.AnonymousShared | VmaStatus.SystemVSegment,
        AioRings.Link => VmaStatus.Regular | VmaStatus.AioRing,
        _ when !mapping.HasFile || IsHugeAnonymous(mapping, flags) => VmaStatus.Regular | VmaStatus.AnonymousPrivate,
        _ => VmaStatus.Regular
            | (mapping.Shared ? VmaStatus.FileShared : VmaStatus.FilePrivate)
            | (IsSharedMemory(mapping) || ((flags & VmFlags.HugeTlb) != 0 && mapping.Deleted) ? VmaStatus.Memfd : 0),
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
            "/secretmem (deleted)"
                => new(
                    "memfd-secret",
                    "it is secret memory (memfd_secret(2)), which no one but the task may read",
                    "start the application without it"),
            _ when IoUringMappings.Is(mapping) => null,
            _ when mapping.Name.StartsWith("anon_inode:", StringComparison.Ordinal)
                => new(
                    "kernel-object-mapping", $"memory of the kernel object {mapping.Name} is mapped", "let the application unmap it first"),
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
