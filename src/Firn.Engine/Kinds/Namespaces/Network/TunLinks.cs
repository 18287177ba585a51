using System.Buffers.Binary;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;

namespace Firn.Engine.Kinds.Namespaces.Network;

/// <summary>tun and tap devices: what they have of their own.</summary>
/// <remarks>Kernel: drivers/net/tun.c.</remarks>
internal static class TunLinks
{
    private const int DefaultHeaderSize = 10;

    // The numbers of /dev/net/tun, 10 and 200, as stat(2) has them.
    private const ulong Device = (10 << 8) | 200;

    // ---- dump

    /// <summary>Describes a device.</summary>
    /// <exception cref="CheckpointException">It would go with a descriptor that isn't the tree's.</exception>
    public static TunLinkEntry Dump(DumpContext context, LinkInfo link)
    {
        bool isPersistent = IsSet(link, TunConstants.IFLA_TUN_PERSIST);
        OpenFile? file = Find(context, link.Name);
        if (file is null && !isPersistent)
        {
            throw new CheckpointException(
                $"network device {link.Name} is served by a process outside of the tree; delete it, or make it persistent")
            {
                Phase = "dump",
            };
        }

        uint flags = IsTap(link) ? TunConstants.IFF_TAP : TunConstants.IFF_TUN;
        flags |= IsSet(link, TunConstants.IFLA_TUN_PI) ? 0 : TunConstants.IFF_NO_PI;
        flags |= IsSet(link, TunConstants.IFLA_TUN_VNET_HDR) ? TunConstants.IFF_VNET_HDR : 0;
        flags |= IsSet(link, TunConstants.IFLA_TUN_MULTI_QUEUE) ? TunConstants.IFF_MULTI_QUEUE : 0;
        flags |= isPersistent ? TunConstants.IFF_PERSIST : 0;
        using Fd? own = file is null ? TryAttach(link, flags) : null;
        int? fd = file?.Taken.Number ?? own?.Number;
        if (fd is { } attached && !TunDevice.GetInterface(attached, out _, out uint more).IsError)
        {
            flags |= more & (TunConstants.IFF_NAPI | TunConstants.IFF_NAPI_FRAGS);
        }

        return new TunLinkEntry
        {
            Flags = flags,
            Owner = Id(link, TunConstants.IFLA_TUN_OWNER),
            Group = Id(link, TunConstants.IFLA_TUN_GROUP),
            Vnethdr = (uint)(fd is { } open ? Get(open, TunConstants.TUNGETVNETHDRSZ) : DefaultHeaderSize),
            Sndbuf = (uint)(fd is { } also ? Get(also, TunConstants.TUNGETSNDBUF) : int.MaxValue),
        };
    }

    // A descriptor of the tree that is attached to the device.
    private static OpenFile? Find(DumpContext context, string device)
        => context.Files.Files.FirstOrDefault(file => file is { IsDescriptor: true, IsPathOnly: false }
            && file.Stat.st_rdev == Device
            && (file.Stat.st_mode & InodeMode.S_IFMT) == InodeMode.S_IFCHR
            && !TunDevice.GetInterface(file.Taken.Number, out string name, out _).IsError
            && name == device);

    // No one is attached to it, unless someone outside is: then it is as new ones are.
    private static Fd? TryAttach(LinkInfo link, uint flags)
    {
        Fd fd = Sys.Open(TunDevice.Path, OpenFlags.O_RDWR | OpenFlags.O_CLOEXEC);
        if (TunDevice.Attach(fd.Number, link.Name, flags & ~TunConstants.IFF_PERSIST).IsError)
        {
            fd.Dispose();
            return null;
        }

        return fd;
    }

    private static bool IsTap(LinkInfo link)
        => link.Data(TunConstants.IFLA_TUN_TYPE) is { Length: > 0 } type && type.Span[0] == TunConstants.IFF_TAP;

    private static bool IsSet(LinkInfo link, ushort type) => link.Data(type) is { Length: > 0 } value && value.Span[0] != 0;

    private static int Id(LinkInfo link, ushort type)
        => link.Data(type) is { Length: >= sizeof(int) } value ? BinaryPrimitives.ReadInt32LittleEndian(value.Span) : -1;

    private static int Get(int fd, uint request)
    {
        int value = 0;
        Sys.Ioctl(fd, request, ref value).OrThrow($"ioctl(tun, 0x{request:x})");
        return value;
    }

    // ---- restore

    /// <summary>Makes a device in the network namespace that the thread is in; it stays, until a descriptor says otherwise.</summary>
    public static void Make(NetDeviceEntry device)
    {
        TunLinkEntry tun = device.Tun;
        using Fd fd = Sys.Open(TunDevice.Path, OpenFlags.O_RDWR | OpenFlags.O_CLOEXEC);
        Set(fd, device, TunConstants.TUNSETIFINDEX, (int)device.Ifindex);
        TunDevice.Attach(fd.Number, device.Name, tun.Flags & ~TunConstants.IFF_PERSIST).OrThrow($"ioctl(TUNSETIFF, {device.Name})");
        Call(fd, device, TunConstants.TUNSETPERSIST, 1);
        if (tun.Owner != -1)
        {
            Call(fd, device, TunConstants.TUNSETOWNER, tun.Owner);
        }

        if (tun.Group != -1)
        {
            Call(fd, device, TunConstants.TUNSETGROUP, tun.Group);
        }

        if (tun.Vnethdr != DefaultHeaderSize)
        {
            Set(fd, device, TunConstants.TUNSETVNETHDRSZ, (int)tun.Vnethdr);
        }
    }

    private static void Set(Fd fd, NetDeviceEntry device, uint request, int value)
        => Sys.Ioctl(fd.Number, request, ref value).OrThrow($"ioctl({device.Name}, 0x{request:x}, {value})");

    private static void Call(Fd fd, NetDeviceEntry device, uint request, int value)
        => Sys.Ioctl(fd.Number, request, value).OrThrow($"ioctl({device.Name}, 0x{request:x}, {value})");
}
