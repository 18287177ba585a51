namespace Firn.Linux.Procfs;

/// <summary>/proc/PID/task: the threads of a process.</summary>
/// <remarks>proc_pid_task(5). While threads come and go, a list may miss one: read again until nothing changes.</remarks>
public static class TaskList
{
    /// <summary>Reads the thread ids, the first thread first.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT if the process is gone.</exception>
    public static List<int> Read(int pid)
    {
        var tids = new List<int>();
        TryRead(pid, tids).OrThrow($"getdents64(/proc/{pid}/task)");
        return tids;
    }

    /// <summary>Adds the thread ids to a list; gives how many it has, or -errno.</summary>
    public static SysResult TryRead(int pid, List<int> tids) => ProcFile.TryReadNumbers($"/proc/{pid}/task", tids);
}

/// <summary>/proc/PID/fd: the open descriptors of a process.</summary>
/// <remarks>proc_pid_fd(5).</remarks>
public static class FdList
{
    /// <summary>Reads the numbers of the open descriptors, ascending.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT if the process is gone, EACCES if it may not be traced.</exception>
    public static List<int> Read(int pid)
    {
        var fds = new List<int>();
        TryRead(pid, fds).OrThrow($"getdents64(/proc/{pid}/fd)");
        return fds;
    }

    /// <summary>Adds the numbers to a list; gives how many it has, or -errno.</summary>
    public static SysResult TryRead(int pid, List<int> fds) => ProcFile.TryReadNumbers($"/proc/{pid}/fd", fds);

    /// <summary>Reads what a descriptor's link says, such as a path, <c>pipe:[14182]</c> or <c>anon_inode:[eventfd]</c>.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT if it is closed.</exception>
    public static string ReadLink(int pid, int fd)
    {
        string path = $"{NamespaceVisit.OwnProc}{pid}/fd/{fd}";
        string? link = Sys.ReadLink(path, out Abi.Errno errno);
        return link ?? throw new LinuxException($"readlink({path})", errno);
    }
}

/// <summary>/proc/PID/task/TID/children: the children that a thread made.</summary>
/// <remarks>Kernel: fs/proc/array.c, children_seq_show(). Complete only while the children are stopped: proc_pid_task(5).</remarks>
public static class Children
{
    /// <summary>Reads the children of one thread.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT if the thread is gone.</exception>
    public static List<int> Read(int pid, int tid)
    {
        var children = new List<int>();
        TryRead(pid, tid, children).OrThrow($"read(/proc/{pid}/task/{tid}/children)");
        return children;
    }

    /// <summary>Adds the children of one thread to a list; gives how many it has, or -errno.</summary>
    public static SysResult TryRead(int pid, int tid, List<int> children)
    {
        SysResult result = ProcFile.TryRead($"/proc/{pid}/task/{tid}/children", out ReadOnlySpan<byte> text);
        if (result.IsError)
        {
            return result;
        }

        Parse(text, children);
        return new SysResult(children.Count);
    }

    /// <summary>Parses the text of children: numbers with a space behind each.</summary>
    /// <exception cref="FormatException">It is not such a text.</exception>
    public static void Parse(ReadOnlySpan<byte> text, List<int> children)
    {
        var reader = new ByteReader(text);
        for (reader.SkipBlanks(); !reader.AtEnd; reader.SkipBlanks())
        {
            children.Add(reader.Int32());
        }
    }
}

/// <summary>/proc: all processes that the reader's pid namespace has.</summary>
public static class ProcessList
{
    /// <summary>Reads the process ids, in the kernel's order: ascending.</summary>
    /// <exception cref="LinuxException">There is no /proc.</exception>
    public static List<int> Read()
    {
        var pids = new List<int>();
        ProcFile.TryReadNumbers("/proc", pids).OrThrow("getdents64(/proc)");
        return pids;
    }
}
