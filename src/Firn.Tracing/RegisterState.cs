using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>What a thread carries in its registers: as found at its stop, or as it is to be restored.</summary>
/// <param name="Registers">The general registers.</param>
/// <param name="SignalMask">The blocked signals; bit 0 is signal 1.</param>
/// <param name="ExtendedState">x87, SSE, AVX and so on, in XSAVE layout.</param>
public sealed record RegisterState(UserRegs Registers, ulong SignalMask, byte[] ExtendedState);
