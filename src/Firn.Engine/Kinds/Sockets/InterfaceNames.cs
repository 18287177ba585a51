using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Firn.Linux;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>Network interfaces by name and number, in the network namespace of a socket.</summary>
/// <remarks>netdevice(7).</remarks>
internal static class InterfaceNames
{
    private const uint SIOCGIFNAME = 0x8910;
    private const uint SIOCGIFINDEX = 0x8933;

    /// <summary>The name of an interface, or null.</summary>
    public static string? NameOf(Fd socket, uint index)
    {
        var request = new Request { index = (int)index };
        return Sys.Ioctl(socket.Number, SIOCGIFNAME, ref request).IsError
            ? null
            : Encoding.UTF8.GetString(((ReadOnlySpan<byte>)request.name).TrimEnd((byte)0));
    }

    /// <summary>The number of an interface.</summary>
    /// <exception cref="LinuxException">There is none of that name: ENODEV.</exception>
    public static uint IndexOf(Fd socket, string name)
    {
        var request = default(Request);
        Encoding.UTF8.GetBytes(name, request.name);
        Sys.Ioctl(socket.Number, SIOCGIFINDEX, ref request).OrThrow($"ioctl(SIOCGIFINDEX, {name})");
        return (uint)request.index;
    }

    /// <summary>The 16 bytes of ifr_name.</summary>
    [InlineArray(16)]
    private struct Name
    {
        private byte first;
    }

    /// <summary>struct ifreq.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 40)]
    private struct Request
    {
        public Name name;
        public int index;
    }
}
