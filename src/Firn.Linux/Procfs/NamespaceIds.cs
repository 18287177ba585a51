using Firn.Linux.Abi;

namespace Firn.Linux.Procfs;

/// <summary>/proc/PID/ns: the namespaces of a task, by the inode numbers that stand for them.</summary>
/// <remarks>namespaces(7). A number is 0 where the kernel has no such namespace, or the task has left it already (a zombie).</remarks>
/// <param name="Cgroup">cgroup.</param>
/// <param name="Ipc">ipc.</param>
/// <param name="Mount">mnt.</param>
/// <param name="Network">net.</param>
/// <param name="Pid">pid.</param>
/// <param name="PidForChildren">pid_for_children; 0 until the first child is made in a new one.</param>
/// <param name="Time">time.</param>
/// <param name="TimeForChildren">time_for_children.</param>
/// <param name="User">user.</param>
/// <param name="Uts">uts.</param>
public sealed record NamespaceIds(
    ulong Cgroup, ulong Ipc, ulong Mount, ulong Network, ulong Pid, ulong PidForChildren, ulong Time, ulong TimeForChildren, ulong User,
    ulong Uts)
{
    /// <summary>Reads the namespaces of a process, or of a thread by its id.</summary>
    /// <exception cref="LinuxException">They can't be read: ENOENT if the process is gone, EACCES if it may not be traced.</exception>
    public static NamespaceIds Read(int pid)
    {
        string directory = $"{NamespaceVisit.OwnProc}{pid}/ns/";

        // This one every kernel has: if even it can't be read, the process is what is missing.
        ulong mount = ReadOne(directory + "mnt", out SysResult result);
        result.OrThrow($"readlink({directory}mnt)");
        return new NamespaceIds(
            ReadOne(directory + "cgroup", out _),
            ReadOne(directory + "ipc", out _),
            mount,
            ReadOne(directory + "net", out _),
            ReadOne(directory + "pid", out _),
            ReadOne(directory + "pid_for_children", out _),
            ReadOne(directory + "time", out _),
            ReadOne(directory + "time_for_children", out _),
            ReadOne(directory + "user", out _),
            ReadOne(directory + "uts", out _));
    }

    /// <summary>Parses the text of a link, such as <c>net:[4026531833]</c>, also that of a descriptor for a namespace.</summary>
    /// <returns>False if it is no such text.</returns>
    public static bool TryParse(ReadOnlySpan<byte> link, out ReadOnlySpan<byte> type, out ulong inode)
    {
        int bracket = link.IndexOf(":["u8);
        if (bracket <= 0 || link.Length < bracket + 4 || link[^1] != ']'
            || link[(bracket + 2)..^1].IndexOfAnyExceptInRange((byte)'0', (byte)'9') >= 0)
        {
            type = default;
            inode = 0;
            return false;
        }

        type = link[..bracket];
        inode = new ByteReader(link[(bracket + 2)..]).Decimal();
        return true;
    }

    private static ulong ReadOne(string path, out SysResult result)
    {
        Span<byte> link = stackalloc byte[64];
        result = Sys.ReadLinkAt(At.AT_FDCWD, path, link);
        return !result.IsError && TryParse(link[..result.Int32], out _, out ulong inode) ? inode : 0;
    }
}
