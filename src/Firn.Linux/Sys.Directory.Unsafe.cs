using Firn.Linux.Abi;

namespace Firn.Linux;

public static unsafe partial class Sys
{
    /// <summary>getdents64(2): the next entries of a directory as a run of struct linux_dirent64; 0 at the end.</summary>
    public static SysResult GetDents64(int directory, Span<byte> entries)
    {
        // SAFETY: the kernel writes no more than the span's length, during the call alone.
        fixed (byte* pointer = entries)
        {
            return Kernel.Call(Sysno.getdents64, directory, (nint)pointer, entries.Length);
        }
    }
}
