using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Tracing;

public sealed unsafe partial class Scratch
{
    private byte* local;

    /// <summary>Firn's own view of some bytes.</summary>
    public Span<byte> Local(int offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)offset + length, Size);
        ObjectDisposedException.ThrowIf(local is null, this);

        // SAFETY: within the mapping, as just checked, which lives until Dispose.
        return new Span<byte>(local + offset, length);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (local is not null)
        {
            _ = Kernel.Call(Sysno.munmap, (nint)local, Size);
            local = null;
        }

        Descriptor.Dispose();
    }

    private void Map()
    {
        // SAFETY: a fresh mapping that no one else knows.
        local = (byte*)Kernel.Call(
            Sysno.mmap,
            0,
            Size,
            (nint)(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE),
            (nint)MapFlags.MAP_SHARED,
            Descriptor.Number).OrThrow($"mmap({Name}, {Size})").Raw;
    }
}
