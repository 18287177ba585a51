using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>The frame that leads a thread home: what rt_sigreturn needs to put back registers, extended state and signal mask.</summary>
/// <remarks>
/// Layout, from an address A that is 8 below a multiple of 64: A holds the address of a trampoline (`mov $15, %eax; syscall`), A+8 the
/// ucontext, and behind it, aligned to 64, the XSAVE area with its magic numbers. A `ret` with rsp = A, or rt_sigreturn with rsp = A + 8,
/// goes home. Kernel: arch/x86/kernel/signal_64.c, arch/x86/include/uapi/asm/sigcontext.h.
/// </remarks>
internal static class HomeFrame
{
    private const int UcontextSize = 304;
    private const int GeneralRegistersOffset = 40;
    private const int SoftwareBytesOffset = 464;
    private const uint Magic1 = 0x46505853;
    private const uint Magic2 = 0x46505845;
    private const ulong FlagsXstateAndStrictSs = 7;

    // No way of use of an alternate stack (sigaltstack(2)): the kernel finds it invalid, ignores that, and leaves the thread's own as it
    // is.
    private const uint InvalidStackFlags = 0x40;

    /// <summary>Bytes that a frame takes, from A on.</summary>
    public static int Size(int extendedStateLength) => 8 + XsaveOffset + extendedStateLength + 4 + 64;

    // From the ucontext on; A + 8 is a multiple of 64.
    private static int XsaveOffset => (UcontextSize + 63) & ~63;

    /// <summary>The address A for a frame that may begin at <paramref name="start"/> or up to 64 bytes later.</summary>
    public static RemotePtr Place(RemotePtr start) => new(((start.Value + 8 + 63) & ~63UL) - 8);

    /// <summary>Writes a frame.</summary>
    /// <param name="target">Where it goes, as bytes from A on.</param>
    /// <param name="address">A as the task sees it.</param>
    /// <param name="trampoline">The address of a trampoline, or null where the way home is never by `ret`.</param>
    /// <param name="registers">The registers as found at the stop.</param>
    /// <param name="extendedState">The extended state as found.</param>
    /// <param name="signalMask">The signal mask as found.</param>
    public static void Write(
        Span<byte> target,
        RemotePtr address,
        RemotePtr trampoline,
        in UserRegs registers,
        ReadOnlySpan<byte> extendedState,
        ulong signalMask)
    {
        target[..Size(extendedState.Length)].Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(target, trampoline.Value);
        Span<byte> ucontext = target[8..];
        BinaryPrimitives.WriteUInt64LittleEndian(ucontext, FlagsXstateAndStrictSs);
        BinaryPrimitives.WriteUInt32LittleEndian(ucontext[24..], InvalidStackFlags);
        UserRegs home = InterruptedCall.NotYetBegun(registers);
        ReadOnlySpan<ulong> general =
        [
            home.r8, home.r9, home.r10, home.r11, home.r12, home.r13, home.r14, home.r15, home.rdi, home.rsi, home.rbp, home.rbx,
            home.rdx, home.rax, home.rcx, home.rsp, home.rip, home.eflags, (home.cs & 0xffff) | ((home.ss & 0xffff) << 48), 0, 0, 0, 0,
            address.Value + 8 + (ulong)XsaveOffset,
        ];
        MemoryMarshal.AsBytes(general).CopyTo(ucontext[GeneralRegistersOffset..]);
        BinaryPrimitives.WriteUInt64LittleEndian(ucontext[(UcontextSize - 8)..], signalMask);

        Span<byte> xsave = ucontext[XsaveOffset..];
        extendedState.CopyTo(xsave);
        ulong features = BinaryPrimitives.ReadUInt64LittleEndian(extendedState[SoftwareBytesOffset..]);
        Span<byte> software = xsave[SoftwareBytesOffset..];
        BinaryPrimitives.WriteUInt32LittleEndian(software, Magic1);
        BinaryPrimitives.WriteUInt32LittleEndian(software[4..], (uint)extendedState.Length + 4);
        BinaryPrimitives.WriteUInt64LittleEndian(software[8..], features);
        BinaryPrimitives.WriteUInt32LittleEndian(software[16..], (uint)extendedState.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(xsave[extendedState.Length..], Magic2);
    }
}
