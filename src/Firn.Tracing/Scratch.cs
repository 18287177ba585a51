using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>A part of the scratch: Firn's own view of it, and where it lies in the tracee.</summary>
/// <param name="Address">Where it begins in the tracee.</param>
/// <param name="Offset">Where it begins in the scratch, in bytes.</param>
/// <param name="Length">Its length in bytes.</param>
public readonly record struct ScratchArea(RemotePtr Address, int Offset, int Length);

/// <summary>Memory that Firn shares with the tasks it works on: the executor, and the lists that it walks.</summary>
/// <remarks>
/// One memfd, mapped by both sides: records, arguments and results cross without a system call. Its first page holds the code.
/// </remarks>
public sealed partial class Scratch : IDisposable
{
    /// <summary>The name of the memfd, by which a scratch that a killed Firn left behind is recognised.</summary>
    public const string Name = "firn-scratch";


    private int used = Kernel.PageSize;

    private Scratch(Fd fd, int size, RemotePtr address)
    {
        Descriptor = fd;
        Size = size;
        Address = address;
        Map();
        Executor.Code.CopyTo(Local(0, Kernel.PageSize));
    }

    /// <summary>Its memfd.</summary>
    public Fd Descriptor { get; }

    /// <summary>Its size in bytes, a multiple of the page size. Pages that are not touched take no memory.</summary>
    public int Size { get; }

    /// <summary>Where the tracee has it mapped, once it has.</summary>
    public RemotePtr Address { get; internal set; }

    /// <summary>Makes a scratch of Firn's own, to be mapped at a known address.</summary>
    public static Scratch Create(int size, RemotePtr address)
    {
        var fd = new Fd(Sys.MemfdCreate(Name, Memfd.MFD_CLOEXEC).OrThrow($"memfd_create({Name})").Int32);
        Sys.Ftruncate(fd.Number, size).OrThrow($"ftruncate({Name}, {size})");
        return new Scratch(fd, size, address);
    }

    /// <summary>Takes over a memfd that a tracee made, and gives it its size.</summary>
    internal static Scratch Adopt(Fd fd, int size)
    {
        Sys.Ftruncate(fd.Number, size).OrThrow($"ftruncate({Name}, {size})");
        return new Scratch(fd, size, RemotePtr.Null);
    }

    /// <summary>Sets a part aside for good.</summary>
    /// <exception cref="InvalidOperationException">The scratch is used up.</exception>
    public ScratchArea Allocate(int length)
    {
        int aligned = (length + 63) & ~63;
        if (used + aligned > Size)
        {
            throw new InvalidOperationException($"the scratch of {Size} bytes is used up: {used} used, {aligned} asked for");
        }

        var area = new ScratchArea(Address + (ulong)used, used, aligned);
        used += aligned;
        return area;
    }

    /// <summary>Firn's own view of a part.</summary>
    public Span<byte> Local(ScratchArea area) => Local(area.Offset, area.Length);
}
