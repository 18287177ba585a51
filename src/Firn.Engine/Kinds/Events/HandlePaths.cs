using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Events;

/// <summary>Finds files of which nothing is known but device, inode and handle, as the watches of inotify show them.</summary>
/// <remarks>
/// open_by_handle_at(2). An overlay's handle (fs/overlayfs/overlayfs.h, struct ovl_fh) can't be opened on the overlay unless it is
/// exported, but holds the handle of the layer's file, and that can be.
/// </remarks>
internal sealed class HandlePaths
{
    private const int OverlayHandle = 0xf8;
    private const byte OverlayMagic = 0xfb;
    private const int OverlayMagicOffset = 4;
    private const int OverlayFlagsOffset = 6;
    private const int OverlayTypeOffset = 7;
    private const int OverlayInnerOffset = 24;
    private const byte OverlayIsUpper = 4;

    private readonly Dictionary<int, List<MountEntry>> mounts = [];
    private readonly Dictionary<(int Pid, uint Device, ulong Inode), string?> found = [];

    /// <summary>The path of a file as Firn sees it, with ` (deleted)` behind one that has none any more; null if it can't be found.</summary>
    public string? Find(int pid, uint device, ulong inode, FileHandle? handle)
    {
        if (!found.TryGetValue((pid, device, inode), out string? path))
        {
            path = handle is null ? null : FindByHandle(pid, device, handle);
            path ??= RootOf(pid, device, inode);
            found.Add((pid, device, inode), path);
        }

        return path;
    }

    /// <summary>Opens a file by handle, for O_PATH only; null if no mount of that device is in sight, or the file is gone.</summary>
    public Fd? Open(int pid, uint device, FileHandle handle)
    {
        foreach (MountEntry mount in MountsOf(pid, device))
        {
            SysResult root = Sys.OpenAt(At.AT_FDCWD, mount.MountPoint, OpenFlags.O_RDONLY | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC, 0);
            if (root.IsError)
            {
                continue;
            }

            using var rootFd = new Fd(root.Int32);
            SysResult opened = Sys.OpenByHandleAt(rootFd.Number, handle, OpenFlags.O_PATH | OpenFlags.O_CLOEXEC);
            if (!opened.IsError)
            {
                return new Fd(opened.Int32);
            }
        }

        return null;
    }

    /// <summary>The layers of an overlay, the upper one first, from the options of its file system.</summary>
    internal static (string? Upper, string[] Lower) Layers(string options)
    {
        string? upper = null;
        var lower = new List<string>();
        foreach (string option in options.Split(','))
        {
            int equals = option.IndexOf('=', StringComparison.Ordinal);
            string value = option[(equals + 1)..];
            switch (equals < 0 ? option : option[..equals])
            {
                case "upperdir":
                    upper = value;
                    break;
                case "lowerdir":
                    lower.AddRange(value.Split(':', StringSplitOptions.RemoveEmptyEntries));
                    break;
                case "lowerdir+":
                    lower.Add(value);
                    break;
            }
        }

        return (upper, [.. lower]);
    }

    private string? FindByHandle(int pid, uint device, FileHandle handle)
    {
        using Fd? fd = Open(pid, device, handle);
        if (fd is not null)
        {
            return Sys.ReadLink($"/proc/self/fd/{fd.Number}", out _);
        }

        return handle.Type == OverlayHandle && handle.Bytes.Length > OverlayInnerOffset && handle.Bytes[OverlayMagicOffset] == OverlayMagic
            ? FindInLayers(pid, device, handle.Bytes)
            : null;
    }

    private string? FindInLayers(int pid, uint device, byte[] bytes)
    {
        var inner = new FileHandle(bytes[OverlayTypeOffset], bytes[OverlayInnerOffset..]);
        bool isUpper = (bytes[OverlayFlagsOffset] & OverlayIsUpper) != 0;
        foreach (MountEntry mount in MountsOf(pid, device))
        {
            (string? upper, string[] lower) = Layers(mount.SuperOptions);
            foreach (string layer in isUpper ? (upper is null ? [] : [upper]) : lower)
            {
                if (PathInLayer(layer, inner) is { } path)
                {
                    return mount.MountPoint.TrimEnd('/') + path;
                }
            }
        }

        return null;
    }

    private static string? PathInLayer(string layer, FileHandle inner)
    {
        SysResult root = Sys.OpenAt(At.AT_FDCWD, layer, OpenFlags.O_RDONLY | OpenFlags.O_DIRECTORY | OpenFlags.O_CLOEXEC, 0);
        if (root.IsError)
        {
            return null;
        }

        using var rootFd = new Fd(root.Int32);
        string? real = Sys.ReadLink($"/proc/self/fd/{rootFd.Number}", out _);
        SysResult opened = Sys.OpenByHandleAt(rootFd.Number, inner, OpenFlags.O_PATH | OpenFlags.O_CLOEXEC);
        if (opened.IsError)
        {
            return null;
        }

        using var fd = new Fd(opened.Int32);
        string? path = Sys.ReadLink($"/proc/self/fd/{fd.Number}", out _);
        return real is not null && path is not null && (path == real || path.StartsWith(real + "/", StringComparison.Ordinal)) ? path[real.Length..] : null;
    }

    // What has no handles that can be opened, as /proc, is mostly watched at its root.
    private string? RootOf(int pid, uint device, ulong inode)
        => MountsOf(pid, device).FirstOrDefault(
            mount => !Sys.StatAt(At.AT_FDCWD, mount.MountPoint, out FileStat stat, At.AT_SYMLINK_NOFOLLOW).IsError && stat.st_ino == inode)?.MountPoint;

    private IEnumerable<MountEntry> MountsOf(int pid, uint device)
    {
        if (!mounts.TryGetValue(pid, out List<MountEntry>? all))
        {
            mounts.Add(pid, all = MountInfo.Read(pid));
        }

        return all.Where(mount => ((mount.DevMajor << 20) | mount.DevMinor) == device);
    }
}
