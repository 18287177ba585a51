using System.Globalization;
using System.Text;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>Files of /proc that hold one value.</summary>
internal static class ProcValue
{
    /// <summary>The text without its line end, or null where the kernel has no such file or no such value.</summary>
    public static string? ReadText(string path)
    {
        byte[] buffer = new byte[256];
        SysResult read = Sys.ReadFile(path, ref buffer);
        return read.IsError ? null : Encoding.UTF8.GetString(buffer, 0, read.Int32).TrimEnd('\n', '\0');
    }

    /// <summary>The decimal number, or null where the kernel has no such file.</summary>
    public static long? ReadNumber(string path)
        => long.TryParse(ReadText(path), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) ? number : null;

    /// <summary>Writes a number.</summary>
    public static SysResult Write(string path, long number) => Write(path, number.ToString(CultureInfo.InvariantCulture));

    /// <summary>Writes a text.</summary>
    public static SysResult Write(string path, string text)
    {
        SysResult opened = Sys.OpenAt(At.AT_FDCWD, path, OpenFlags.O_WRONLY | OpenFlags.O_CLOEXEC, 0);
        if (opened.IsError)
        {
            return opened;
        }

        using var fd = new Fd(opened.Int32);
        return Sys.Write(fd.Number, Encoding.ASCII.GetBytes(text));
    }
}
