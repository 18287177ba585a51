using System.Runtime.InteropServices;

namespace Firn.Linux.Procfs;

/// <summary>/proc/PID/auxv: the vector that the kernel gave to the program (getauxval(3)).</summary>
/// <remarks>Kernel: fs/proc/base.c, auxv_read(). Pairs of AT_* and value, the pair AT_NULL too; empty for a task without memory.</remarks>
public static class Auxv
{
    /// <summary>Reads the vector as its words.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT or ESRCH if the process is gone, EACCES if it may not be read.</exception>
    public static ulong[] Read(int pid) => Parse(ProcFile.Read($"/proc/{pid}/auxv"));

    /// <summary>Gives the bytes of auxv as words.</summary>
    public static ulong[] Parse(ReadOnlySpan<byte> bytes) => MemoryMarshal.Cast<byte, ulong>(bytes).ToArray();

    /// <summary>Looks a value up; null if the vector hasn't it.</summary>
    public static ulong? Find(ReadOnlySpan<ulong> vector, ulong type)
    {
        for (int i = 0; i + 1 < vector.Length; i += 2)
        {
            if (vector[i] == type)
            {
                return vector[i + 1];
            }
        }

        return null;
    }
}
