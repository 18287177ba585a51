using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>Memory of Firn's own that is mapped, and unmapped when disposed. No finalizer: who maps, unmaps.</summary>
/// <remarks>mmap(2). Spans of it must not be used after it is disposed.</remarks>
public sealed unsafe class MappedMemory : IDisposable
{
    private nint address;

    private MappedMemory(nint address, long length)
    {
        this.address = address;
        Length = length;
    }

    /// <summary>Its size, in bytes.</summary>
    public long Length { get; }

    /// <summary>Its first address in this process.</summary>
    /// <exception cref="ObjectDisposedException">It is unmapped already.</exception>
    public nint Address
    {
        get
        {
            ObjectDisposedException.ThrowIf(address == 0, this);
            return address;
        }
    }

    /// <summary>All of it, where that is no more than 2 GiB.</summary>
    /// <exception cref="OverflowException">It is larger.</exception>
    public Span<byte> Span => Slice(0, checked((int)Length));

    /// <summary>Maps a file, or anonymous memory for -1 and MAP_ANONYMOUS.</summary>
    /// <param name="fd">The file.</param>
    /// <param name="offset">Where it begins in the file, in bytes: whole pages.</param>
    /// <param name="length">How much, in bytes.</param>
    /// <param name="protection">What may be done with it.</param>
    /// <param name="flags">MAP_SHARED or MAP_PRIVATE, and more. MAP_FIXED is not for this.</param>
    /// <exception cref="LinuxException">It can't be mapped.</exception>
    public static MappedMemory Map(int fd, long offset, long length, ProtectionFlags protection, MapFlags flags)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        nint mapped = Kernel.Call(Sysno.mmap, 0, (nint)length, (nint)protection, (nint)flags, fd, (nint)offset)
            .OrThrow($"mmap(fd {fd}, {length} bytes from {offset}, {protection}, {flags})").Raw;
        return new MappedMemory(mapped, length);
    }

    /// <summary>Maps anonymous memory that can be read and written.</summary>
    /// <param name="length">How much, in bytes.</param>
    /// <param name="shared">Whether children share it.</param>
    /// <exception cref="LinuxException">It can't be mapped.</exception>
    public static MappedMemory Anonymous(long length, bool shared = false)
        => Map(
            -1,
            0,
            length,
            ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE,
            MapFlags.MAP_ANONYMOUS | (shared ? MapFlags.MAP_SHARED : MapFlags.MAP_PRIVATE));

    /// <summary>A part of it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It isn't inside.</exception>
    public Span<byte> Slice(long offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length - length);

        // SAFETY: inside the mapping, which this object keeps until it is disposed.
        return new Span<byte>((byte*)Address + offset, length);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        nint unmapping = Interlocked.Exchange(ref address, 0);
        if (unmapping != 0)
        {
            Kernel.Call(Sysno.munmap, unmapping, (nint)Length).OrThrow($"munmap({unmapping:x}, {Length})");
        }
    }
}
