using Firn.Linux.Abi;

namespace Firn.Linux;

// SAFETY, of all that follows: the kernel reads and writes what it is given during the call alone, and no more than the structure.
public static unsafe partial class Sys
{
    /// <summary>io_uring_setup(2).</summary>
    /// <param name="entries">Room for requests; a power of two.</param>
    /// <param name="parameters">How; the kernel fills in where things lie.</param>
    public static SysResult IoUringSetup(uint entries, ref IoUringParameters parameters)
    {
        fixed (IoUringParameters* pointer = &parameters)
        {
            return Kernel.Call(Sysno.io_uring_setup, (nint)entries, (nint)pointer);
        }
    }

    /// <summary>io_uring_enter(2), which neither submits nor waits: whether it might.</summary>
    public static SysResult IoUringEnter(int fd, uint flags) => Kernel.Call(Sysno.io_uring_enter, fd, 0, 0, (nint)flags);

    /// <summary>io_uring_register(2) with an argument in memory.</summary>
    public static SysResult IoUringRegister(int fd, IoUringRegister operation, Span<byte> argument, uint count)
    {
        fixed (byte* pointer = argument)
        {
            return Kernel.Call(Sysno.io_uring_register, fd, (nint)operation, (nint)pointer, (nint)count);
        }
    }

    /// <summary>io_uring_register(2) with an address that is nowhere, so that it does nothing: what it says tells of the ring.</summary>
    public static SysResult IoUringRegisterNowhere(int fd, IoUringRegister operation, uint count)
        => Kernel.Call(Sysno.io_uring_register, fd, (nint)operation, 1, (nint)count);
}
