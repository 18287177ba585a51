using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Files;

/// <summary>/dev/net/tun: a network device that a program serves, or one of its queues, or nothing yet.</summary>
/// <remarks>
/// Kernel: drivers/net/tun.c. Two entries have one id, as with CRIU: that of the file, and that of what it is attached to. The device
/// itself is one of its network namespace's; Firn makes it persistent for as long as no descriptor is attached.
/// </remarks>
internal sealed class TunFile : FileKind
{
    private const uint Major = 10;
    private const uint Minor = 200;

    private readonly RegularFile file = new();

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Tunf;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file)
        => !file.IsPathOnly
            && file.IsDescriptor
            && file.FileType == InodeMode.S_IFCHR
            && DeviceNumber.Major(file.Stat.st_rdev) == Major
            && DeviceNumber.Minor(file.Stat.st_rdev) == Minor;

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        this.file.Examine(context, file);
        bool isAttached = !TunDevice.GetInterface(file.Taken.Number, out string name, out uint flags).IsError;
        if (isAttached && (flags & TunConstants.IFF_NOFILTER) == 0)
        {
            context.Problems.Add(
                "tun-filter", file.Owner.Pid, $"fd {file.Number}: network device {name}",
                "it has a packet filter (TUNATTACHFILTER), which the kernel doesn't give back",
                "let the program detach it, or close the device before the dump");
        }

        if (isAttached && context.Namespace(CloneFlags.CLONE_NEWNET).IsFirns)
        {
            context.Problems.Add(
                "tun-outside", file.Owner.Pid, $"fd {file.Number}: network device {name}",
                "it is in a network namespace which isn't the tree's own, and goes with the descriptor",
                "start the program in a network namespace of its own (unshare --net)");
        }
        else if (NamespaceOf(file, isAttached) is { } inode && inode != context.Namespace(CloneFlags.CLONE_NEWNET).Inode)
        {
            context.Problems.Add(
                "tun-namespace", file.Owner.Pid, $"fd {file.Number}: /dev/net/tun of the network namespace {inode}",
                "it belongs to another network namespace than that of the tree's root",
                "let the program close it before the dump");
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        var reg = new FileEntry { Type = FdTypes.Reg, Id = file.Id };
        this.file.Dump(context, file, reg);
        context.Images.Add(ImageKind.Files, 0, reg);
        entry.Tunf = new TunfileEntry { Id = file.Id, NsId = file.Owner.Ids.NetNsId };
        if (TunDevice.GetInterface(file.Taken.Number, out string name, out uint flags).IsError)
        {
            return;
        }

        entry.Tunf.Netdev = name;
        if ((flags & TunConstants.IFF_DETACH_QUEUE) != 0)
        {
            entry.Tunf.Detached = true;
        }

        var poll = new Pollfd { fd = file.Taken.Number, events = PollEvents.POLLIN };
        Sys.Poll(new Span<Pollfd>(ref poll), 0).OrThrow($"poll of pid {file.Owner.Pid} fd {file.Number}");
        if (poll.revents.HasFlag(PollEvents.POLLIN))
        {
            context.Log.LogWarning(
                "pid {Pid} fd {Fd}: packets wait in the network device {Name}, and are lost", file.Owner.Pid, file.Number, name);
        }
    }

    // Attached: that of the device; else that of whoever opened it.
    private static ulong? NamespaceOf(OpenFile file, bool isAttached)
    {
        SysResult result = Sys.Ioctl(file.Taken.Number, isAttached ? TunConstants.TUNGETDEVNETNS : SocketIoctl.SIOCGSKNS);
        if (result.IsError)
        {
            return null;
        }

        using var fd = new Fd(result.Int32);
        Sys.Fstat(fd.Number, out FileStat stat).OrThrow("fstat of a network namespace");
        return stat.st_ino;
    }

    // ---- restore

    /// <inheritdoc/>
    /// <remarks>The other entry opens the file.</remarks>
    public override Fd? Create(RestoreContext context, FileEntry entry)
        => context.Images.All<FileEntry>(ImageKind.Files).Any(other => other.Id == entry.Id && other.Type == FdTypes.Reg)
            ? null
            : throw new ImageFormatException(
                "files.img", -1, "file-entry", $"says what file {entry.Id} is attached to, and not which it is; the image is damaged");

    /// <inheritdoc/>
    public override void Link(RestoreContext context, FileEntry entry, Fd fd)
    {
        TunfileEntry message = entry.Tunf;
        if (!message.HasNetdev)
        {
            return;
        }

        TunLinkEntry device = DeviceOf(context, message)
            ?? throw new ImageFormatException(
                "files.img",
                -1,
                "file-entry",
                $"attaches file {entry.Id} to {message.Netdev}, which no image of a network namespace has; the set is damaged: dump again");
        uint flags = device.Flags & ~TunConstants.IFF_PERSIST;
        TunDevice.Attach(fd.Number, message.Netdev, flags).OrThrow($"ioctl(TUNSETIFF, {message.Netdev}) of file {entry.Id}");
        SetSendBuffer(fd, message.Netdev, device);
        if (message.Detached)
        {
            TunDevice.SetQueue(fd.Number, TunConstants.IFF_DETACH_QUEUE).OrThrow($"ioctl(TUNSETQUEUE) of file {entry.Id}");
        }

        // From now on it goes when the last descriptor does, if it is such a one.
        if ((device.Flags & TunConstants.IFF_PERSIST) == 0)
        {
            Sys.Ioctl(fd.Number, TunConstants.TUNSETPERSIST, 0).OrThrow($"ioctl(TUNSETPERSIST, 0) of file {entry.Id}");
        }
    }

    // Each descriptor that is attached has it, and all have one.
    private static void SetSendBuffer(Fd fd, string name, TunLinkEntry device)
    {
        int value = (int)device.Sndbuf;
        if (value is > 0 and not int.MaxValue)
        {
            Sys.Ioctl(fd.Number, TunConstants.TUNSETSNDBUF, ref value).OrThrow($"ioctl(TUNSETSNDBUF, {value}) of {name}");
        }
    }

    private static TunLinkEntry? DeviceOf(RestoreContext context, TunfileEntry message)
        => context.OwnNamespace(CloneFlags.CLONE_NEWNET) is { } own
            ? context.Images.All<NetDeviceEntry>(ImageKind.Netdev, message.HasNsId ? message.NsId : own.Id)
                .FirstOrDefault(device => device.Name == message.Netdev)?.Tun
            : null;
}
