using System.Text;
using Firn.Linux.Abi;

namespace Firn.Linux;

public static unsafe partial class Sys
{
    private const int UtsFieldSize = 65;
    private const int UtsFields = 6;

    /// <summary>uname(2): the names that the calling thread's uts namespace has.</summary>
    public static SysResult UtsNames(out string node, out string domain)
    {
        // SAFETY: struct new_utsname is six fields of 65 bytes, each terminated.
        byte* names = stackalloc byte[UtsFieldSize * UtsFields];
        SysResult result = Kernel.Call(Sysno.uname, (nint)names);
        node = result.IsError ? string.Empty : Field(names + UtsFieldSize);
        domain = result.IsError ? string.Empty : Field(names + (5 * UtsFieldSize));
        return result;

        static string Field(byte* start)
        {
            var bytes = new ReadOnlySpan<byte>(start, UtsFieldSize);
            return Encoding.UTF8.GetString(bytes[..bytes.IndexOf((byte)0)]);
        }
    }

    /// <summary>sethostname(2) in the calling thread's uts namespace.</summary>
    public static SysResult SetHostName(string name) => SetName(Sysno.sethostname, name);

    /// <summary>setdomainname(2) in the calling thread's uts namespace.</summary>
    public static SysResult SetDomainName(string name) => SetName(Sysno.setdomainname, name);

    private static SysResult SetName(Sysno nr, string name)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(name);
        fixed (byte* pointer = bytes)
        {
            return Kernel.Call(nr, (nint)pointer, bytes.Length);
        }
    }
}
