namespace Firn.Engine.Memory;

/// <summary>The bits of vma_entry.status: what a mapping is (IMAGES.md, section 4).</summary>
[Flags]
internal enum VmaStatus : uint
{
    None = 0,
    Regular = 1 << 0,
    Stack = 1 << 1,
    Vsyscall = 1 << 2,
    Vdso = 1 << 3,
    Heap = 1 << 5,
    FilePrivate = 1 << 6,
    FileShared = 1 << 7,
    AnonymousShared = 1 << 8,
    AnonymousPrivate = 1 << 9,
    SystemVSegment = 1 << 10,
    Socket = 1 << 11,
    Vvar = 1 << 12,
    AioRing = 1 << 13,
    Memfd = 1 << 14,
    ShadowStack = 1 << 15,
    Guard = 1 << 16,
    Uprobes = 1 << 17,

    /// <summary>Firn's own: rings or requests of an io_uring; shmid is the file's id.</summary>
    IoUring = 1 << 24,
}
