using Firn.Linux.Abi;

namespace Firn.Linux;

/// <content>Calls that take a name as its bytes: names in a directory need not be valid in any encoding.</content>
// SAFETY, of all that follows: the kernel reads the terminated copies and writes into the spans during the call alone.
public static unsafe partial class Sys
{
    /// <summary>openat(2).</summary>
    public static SysResult OpenAt(int directory, ReadOnlySpan<byte> name, OpenFlags flags, int mode)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(name, text) ? Kernel.Call(Sysno.openat, directory, (nint)text, (nint)flags, mode) : TooLong;
    }

    /// <summary>newfstatat(2).</summary>
    public static SysResult StatAt(int directory, ReadOnlySpan<byte> name, out FileStat stat, int flags = 0)
    {
        byte* text = stackalloc byte[PathMax];
        fixed (FileStat* pointer = &stat)
        {
            *pointer = default;
            return Terminate(name, text) ? Kernel.Call(Sysno.newfstatat, directory, (nint)text, (nint)pointer, flags) : TooLong;
        }
    }

    /// <summary>readlinkat(2); the number of bytes, without a terminator.</summary>
    public static SysResult ReadLinkAt(int directory, ReadOnlySpan<byte> name, Span<byte> target)
    {
        byte* text = stackalloc byte[PathMax];
        fixed (byte* pointer = target)
        {
            return Terminate(name, text) ? Kernel.Call(Sysno.readlinkat, directory, (nint)text, (nint)pointer, target.Length) : TooLong;
        }
    }

    /// <summary>symlinkat(2).</summary>
    public static SysResult SymlinkAt(ReadOnlySpan<byte> target, int directory, ReadOnlySpan<byte> name)
    {
        byte* first = stackalloc byte[PathMax];
        byte* second = stackalloc byte[PathMax];
        return Terminate(target, first) && Terminate(name, second)
            ? Kernel.Call(Sysno.symlinkat, (nint)first, directory, (nint)second)
            : TooLong;
    }

    /// <summary>linkat(2).</summary>
    public static SysResult LinkAt(int fromDirectory, ReadOnlySpan<byte> from, int toDirectory, ReadOnlySpan<byte> to, int flags = 0)
    {
        byte* first = stackalloc byte[PathMax];
        byte* second = stackalloc byte[PathMax];
        return Terminate(from, first) && Terminate(to, second)
            ? Kernel.Call(Sysno.linkat, fromDirectory, (nint)first, toDirectory, (nint)second, flags)
            : TooLong;
    }

    /// <summary>mkdirat(2).</summary>
    public static SysResult MkdirAt(int directory, ReadOnlySpan<byte> name, int mode)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(name, text) ? Kernel.Call(Sysno.mkdirat, directory, (nint)text, mode) : TooLong;
    }

    /// <summary>mknodat(2).</summary>
    public static SysResult MknodAt(int directory, ReadOnlySpan<byte> name, uint mode, ulong device)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(name, text) ? Kernel.Call(Sysno.mknodat, directory, (nint)text, (nint)mode, (nint)device) : TooLong;
    }

    /// <summary>fchownat(2), not following a symbolic link.</summary>
    public static SysResult FchownAt(int directory, ReadOnlySpan<byte> name, uint uid, uint gid)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(name, text)
            ? Kernel.Call(Sysno.fchownat, directory, (nint)text, (nint)uid, (nint)gid, At.AT_SYMLINK_NOFOLLOW)
            : TooLong;
    }

    /// <summary>fchmodat(2); of a symbolic link's target.</summary>
    public static SysResult FchmodAt(int directory, ReadOnlySpan<byte> name, uint mode)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(name, text) ? Kernel.Call(Sysno.fchmodat, directory, (nint)text, (nint)mode) : TooLong;
    }

    /// <summary>utimensat(2), not following a symbolic link.</summary>
    public static SysResult UtimensAtNoFollow(int directory, ReadOnlySpan<byte> name, Timespec accessed, Timespec modified)
    {
        byte* text = stackalloc byte[PathMax];
        Timespec* times = stackalloc Timespec[2] { accessed, modified };
        return Terminate(name, text)
            ? Kernel.Call(Sysno.utimensat, directory, (nint)text, (nint)times, At.AT_SYMLINK_NOFOLLOW)
            : TooLong;
    }

    private static bool Terminate(ReadOnlySpan<byte> name, byte* text)
    {
        if (name.Length >= PathMax)
        {
            return false;
        }

        name.CopyTo(new Span<byte>(text, PathMax));
        text[name.Length] = 0;
        return true;
    }
}
