using Firn.Linux.Abi;

namespace Firn.Linux.Procfs;

/// <summary>Reads files of /proc into a buffer that each thread keeps.</summary>
internal static class ProcFile
{
    private const int FirstSize = 64 * 1024;

    [ThreadStatic]
    private static byte[]? buffer;

    /// <summary>Reads a whole file. The text is good until the thread's next read.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT and ESRCH if the task is gone.</exception>
    public static ReadOnlySpan<byte> Read(string path)
    {
        TryRead(path, out ReadOnlySpan<byte> text).OrThrow($"read({path})");
        return text;
    }

    /// <summary>Reads a whole file; gives its length or -errno. The text is good until the thread's next read.</summary>
    public static SysResult TryRead(string path, out ReadOnlySpan<byte> text)
    {
        byte[] bytes = buffer ?? new byte[FirstSize];
        SysResult result = Sys.ReadFile(Own(path), ref bytes);
        buffer = bytes;
        text = result.IsError ? default : bytes.AsSpan(0, result.Int32);
        return result;
    }

    /// <summary>Reads all the names of a directory that are numbers, in the kernel's order; gives their count or -errno.</summary>
    public static SysResult TryReadNumbers(string path, List<int> numbers)
    {
        SysResult opened = Sys.OpenAt(At.AT_FDCWD, Own(path), OpenFlags.O_RDONLY | OpenFlags.O_DIRECTORY | OpenFlags.O_CLOEXEC, 0);
        if (opened.IsError)
        {
            return opened;
        }

        using var directory = new Fd(opened.Int32);
        byte[] bytes = buffer ??= new byte[FirstSize];
        while (true)
        {
            SysResult read = Sys.GetDents64(directory.Number, bytes);
            if (read.IsError)
            {
                return read;
            }

            if (read.Int32 == 0)
            {
                return new SysResult(numbers.Count);
            }

            ParseNumbers(bytes.AsSpan(0, read.Int32), numbers);
        }
    }

    /// <summary>A path of /proc as Firn sees it, also while the thread is elsewhere (<see cref="NamespaceVisit"/>).</summary>
    public static string Own(string path)
    {
        const string Proc = "/proc";
        string rest = path[Proc.Length..].TrimStart('/');
        return NamespaceVisit.OwnProc.Length > 0 ? path : rest.Length == 0 ? "." : rest;
    }

    /// <summary>Adds the names that are numbers from a run of struct linux_dirent64 (getdents64(2)).</summary>
    public static void ParseNumbers(ReadOnlySpan<byte> entries, List<int> numbers)
    {
        foreach (DirectoryEntry entry in new DirectoryEntries(entries))
        {
            int number = 0;
            bool isNumber = !entry.Name.IsEmpty;
            foreach (byte c in entry.Name)
            {
                isNumber &= c is >= (byte)'0' and <= (byte)'9';
                number = (number * 10) + (c - '0');
            }

            if (isNumber)
            {
                numbers.Add(number);
            }
        }
    }
}
