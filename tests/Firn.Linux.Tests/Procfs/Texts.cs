using System.Text;

namespace Firn.Linux.Tests.Procfs;

/// <summary>Recorded texts as the bytes that the kernel wrote.</summary>
internal static class Texts
{
    /// <summary>Lines with a newline behind each.</summary>
    public static byte[] Lines(params string[] lines) => Encoding.UTF8.GetBytes(string.Concat(lines.Select(line => line + "\n")));
}
