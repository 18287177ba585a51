using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>Calls on /dev/net/tun, by which a program is a network device (Documentation/networking/tuntap.rst).</summary>
public static class TunDevice
{
    /// <summary>Where it is.</summary>
    public const string Path = "/dev/net/tun";

    private const int NameSize = 16;

    /// <summary>Says what device a descriptor is attached to (TUNGETIFF).</summary>
    /// <param name="fd">The descriptor.</param>
    /// <param name="name">The device's name.</param>
    /// <param name="flags">IFF_TUN, IFF_TAP and more; IFF_DETACH_QUEUE for one whose queue is at rest.</param>
    /// <returns>0, or -errno: EBADFD for one that isn't attached.</returns>
    public static SysResult GetInterface(int fd, out string name, out uint flags)
    {
        var request = default(Request);
        SysResult result = Sys.Ioctl(fd, TunConstants.TUNGETIFF, ref request);
        name = Encoding.UTF8.GetString(((ReadOnlySpan<byte>)request.name).TrimEnd((byte)0));
        flags = request.flags;
        return result;
    }

    /// <summary>Attaches a descriptor to a device, which is made if there is none of the name (TUNSETIFF).</summary>
    /// <param name="fd">The descriptor.</param>
    /// <param name="name">The device's name.</param>
    /// <param name="flags">IFF_TUN or IFF_TAP, and more.</param>
    /// <returns>0, or -errno.</returns>
    public static SysResult Attach(int fd, string name, uint flags)
    {
        Request request = Make(name, flags);
        return Sys.Ioctl(fd, TunConstants.TUNSETIFF, ref request);
    }

    /// <summary>Lets the queue of a descriptor rest, or takes it up again (TUNSETQUEUE).</summary>
    /// <param name="fd">The descriptor, of a device with several queues.</param>
    /// <param name="flags">IFF_DETACH_QUEUE or IFF_ATTACH_QUEUE.</param>
    /// <returns>0, or -errno.</returns>
    public static SysResult SetQueue(int fd, uint flags)
    {
        Request request = Make(string.Empty, flags);
        return Sys.Ioctl(fd, TunConstants.TUNSETQUEUE, ref request);
    }

    private static Request Make(string name, uint flags)
    {
        var request = new Request { flags = (ushort)flags };
        byte[] bytes = Encoding.UTF8.GetBytes(name);
        bytes.AsSpan(0, Math.Min(bytes.Length, NameSize - 1)).CopyTo(request.name);
        return request;
    }

    /// <summary>The 16 bytes of ifr_name.</summary>
    [InlineArray(NameSize)]
    private struct Name
    {
        private byte first;
    }

    /// <summary>struct ifreq.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 40)]
    private struct Request
    {
        public Name name;
        public ushort flags;
    }
}
