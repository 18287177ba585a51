using Firn.Images;
using Firn.Linux.Abi;

namespace Firn.Engine.Memory;

/// <summary>What a vma_entry says, asked by name.</summary>
internal static class VmaExtensions
{
    /// <summary>The bits of its status.</summary>
    public static VmaStatus Kind(this VmaEntry vma) => (VmaStatus)vma.Status;

    /// <summary>Whether a bit of its status is set.</summary>
    public static bool Is(this VmaEntry vma, VmaStatus status) => (vma.Kind() & status) != 0;

    /// <summary>Whether a flag of mmap(2) is set.</summary>
    public static bool Has(this VmaEntry vma, MapFlags flag) => ((MapFlags)vma.Flags & flag) != 0;

    /// <summary>Whether an advice of madvise(2) is recorded: bit N stands for advice N.</summary>
    public static bool Has(this VmaEntry vma, MemoryAdvice advice) => (vma.Madv & (1UL << (int)advice)) != 0;

    /// <summary>Its protection.</summary>
    public static ProtectionFlags Protection(this VmaEntry vma) => (ProtectionFlags)vma.Prot;

    /// <summary>Whether its content is the address space's own, so that a page map holds it.</summary>
    public static bool IsPrivate(this VmaEntry vma)
        => vma.Is(VmaStatus.AnonymousPrivate | VmaStatus.FilePrivate | VmaStatus.AioRing)
            && !vma.Is(VmaStatus.Vvar | VmaStatus.Vsyscall | VmaStatus.Guard);

    /// <summary>Whether a restore makes it by mmap(2).</summary>
    public static bool IsMapped(this VmaEntry vma)
        => !vma.Is(VmaStatus.Vsyscall | VmaStatus.Vdso | VmaStatus.Vvar | VmaStatus.Guard);

    /// <summary>Whether its pages may be fetched later (CRIU's rule: private anonymous memory that isn't locked).</summary>
    public static bool MayBeLazy(this VmaEntry vma)
        => vma.Has(MapFlags.MAP_ANONYMOUS) && vma.Has(MapFlags.MAP_PRIVATE) && !vma.Has(MapFlags.MAP_LOCKED)
            && !vma.Is(VmaStatus.Vdso | VmaStatus.Vvar | VmaStatus.Vsyscall);
}
