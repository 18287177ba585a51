using Firn.Linux.Abi;

namespace Firn.Linux;

public static unsafe partial class Sys
{
    /// <summary>pipe2(2); flags as of open(2), and O_DIRECT for packets.</summary>
    public static SysResult Pipe(out int readEnd, out int writeEnd, OpenFlags flags)
    {
        // SAFETY: the kernel writes two ints.
        int* ends = stackalloc int[2];
        ends[0] = ends[1] = -1;
        SysResult result = Kernel.Call(Sysno.pipe2, (nint)ends, (nint)flags);
        readEnd = ends[0];
        writeEnd = ends[1];
        return result;
    }

    /// <summary>tee(2): copies what one pipe holds into another and takes nothing away.</summary>
    public static SysResult Tee(int from, int to, nint length, SpliceFlags flags) => Kernel.Call(Sysno.tee, from, to, length, (nint)flags);

    /// <summary>splice(2) without offsets: at the files' own positions.</summary>
    public static SysResult Splice(int from, int to, nint length, SpliceFlags flags)
        => Kernel.Call(Sysno.splice, from, 0, to, 0, length, (nint)flags);
}
