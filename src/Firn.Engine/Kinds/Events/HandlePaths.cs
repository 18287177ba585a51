using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Events;

/// <summary>Finds files of which nothing is known but device, inode and handle, as the watches of inotify show them.</summary>
/// <remarks>
/// open_by_handle_at(2). An overlay's handle (fs/overlayfs/overlayfs.h, struct ovl_fh) can't be opened on the overlay unless it is
/// exported, but holds the handle of the layer's file, and that can be.
/// </remarks>
internal sealed class HandlePaths : IDisposable
{
    // From how many files on a thread is worth while.
    private const int Many = 256;
    private const int OverlayHandle = 0xf8;
    private const byte OverlayMagic = 0xfb;
    private const int OverlayMagicOffset = 4;
    private const int OverlayFlagsOffset = 6;
    private const int OverlayTypeOffset = 7;
    private const int OverlayInnerOffset = 24;
    private const byte OverlayIsUpper = 4;

    private readonly Dictionary<int, List<MountEntry>> mounts = [];
    private readonly Dictionary<string, Fd?> roots = [];
    private readonly HashSet<(uint Device, string Handle)> stale = [];
    private readonly Dictionary<(int Pid, uint Device), List<MountEntry>> byDevice = [];
    private readonly Dictionary<(int Pid, int Mount), List<string>> covers = [];
    private readonly Dictionary<(int Pid, uint Device, ulong Inode), string?> found = [];
    private readonly Dictionary<(int Pid, uint Device), Dictionary<ulong, string>> walked = [];

    /// <summary>
    /// The path of a file as a task sees it, with ` (deleted)` behind one that has none any more; null if it can't be found.
    /// </summary>
    public string? Find(int pid, uint device, ulong inode, FileHandle? handle)
    {
        if (!found.TryGetValue((pid, device, inode), out string? path))
        {
            path = handle is null ? null : FindByHandle(pid, device, handle);
            path ??= ByInode(pid, device).GetValueOrDefault(inode);
            found.Add((pid, device, inode), path);
        }

        return path;
    }

    /// <summary>The mount point of a mount as a task sees it, or null.</summary>
    public string? MountPoint(int pid, int mountId) => AllMounts(pid).Find(mount => mount.Id == mountId)?.MountPoint;

    /// <summary>Where a file system is mounted, as a task sees it, or null.</summary>
    public string? MountPointOf(int pid, uint device) => MountsOf(pid, device) is [{ } mount, ..] ? mount.MountPoint : null;

    /// <summary>Opens a file by handle, for O_PATH only; null if no mount of that device is in sight, or the file is gone.</summary>
    public Fd? Open(int pid, uint device, FileHandle handle) => OpenAll(pid, device, handle).FirstOrDefault().File;

    // By each mount of the device: one that shows a part of the file system gives also what is not below that part, but not its path.
    private IEnumerable<(MountEntry Mount, Fd File)> OpenAll(int pid, uint device, FileHandle handle)
    {
        foreach (MountEntry mount in MountsOf(pid, device))
        {
            string place = PlaceOf(pid, mount);
            if (!roots.TryGetValue(place, out Fd? root))
            {
                SysResult opening = Sys.OpenAt(At.AT_FDCWD, place, OpenFlags.O_RDONLY | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC, 0);
                roots.Add(place, root = opening.IsError ? null : new Fd(opening.Int32));
            }

            if (root is null)
            {
                continue;
            }

            SysResult opened = Sys.OpenByHandleAt(root.Number, handle, OpenFlags.O_PATH | OpenFlags.O_CLOEXEC);
            if (!opened.IsError)
            {
                yield return (mount, new Fd(opened.Int32));
                continue;
            }

            // The file system knows such handles, and says that the file is no more. An overlay says so of any.
            if (opened.Errno == Errno.ESTALE && handle.Type != OverlayHandle)
            {
                stale.Add((device, Convert.ToHexString(handle.Bytes)));
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Fd? root in roots.Values)
        {
            root?.Dispose();
        }
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

    /// <summary>
    /// Looks for many files at once, as a watcher of a whole file system has them: a thread goes into each directory and asks where it is,
    /// which costs half of what a link in /proc does.
    /// </summary>
    /// <param name="pid">The task.</param>
    /// <param name="sought">What <see cref="Find"/> will be asked for.</param>
    public void FindMany(int pid, IReadOnlyList<(uint Device, ulong Inode, FileHandle? Handle)> sought)
    {
        if (sought.Count < Many)
        {
            return;
        }

        // A directory of its own, apart from all other threads; it ends with the thread.
        var thread = new Thread(() =>
        {
            if (Sys.Unshare(CloneFlags.CLONE_FS).IsError)
            {
                return;
            }

            foreach ((uint device, ulong inode, FileHandle? handle) in sought)
            {
                if (handle is null || found.ContainsKey((pid, device, inode)))
                {
                    continue;
                }

                (MountEntry? mount, Fd? file) = OpenAll(pid, device, handle).FirstOrDefault();
                using Fd? fd = file;
                if (fd is not null
                    && !Sys.FchDir(fd.Number).IsError
                    && Sys.CurrentDirectory() is { } path
                    && !IsCovered(pid, mount, path))
                {
                    found.Add((pid, device, inode), path);
                }
            }
        });
        thread.Start();
        thread.Join();
    }

    private string? FindByHandle(int pid, uint device, FileHandle handle)
    {
        foreach ((MountEntry mount, Fd file) in OpenAll(pid, device, handle))
        {
            using Fd fd = file;
            if (Sys.ReadLink(NamespaceVisit.PathOf(fd.Number), out _) is { } path
                && !IsOutOfSight(pid, mount, path, fd)
                && !IsCovered(pid, mount, path))
            {
                return path;
            }
        }

        return handle.Type == OverlayHandle && handle.Bytes.Length > OverlayInnerOffset && handle.Bytes[OverlayMagicOffset] == OverlayMagic
            ? FindInLayers(pid, device, handle.Bytes)
            : null;
    }

    // Where a mount shows a part of its file system, a file that is not in this part has the path `/` (fs/d_path.c, "Escaped").
    private bool IsOutOfSight(int pid, MountEntry mount, string path, Fd fd)
        => path == "/"
            && !(roots[PlaceOf(pid, mount)] is { } root
                && !Sys.Fstat(root.Number, out FileStat top).IsError
                && !Sys.Fstat(fd.Number, out FileStat stat).IsError
                && (top.st_dev, top.st_ino) == (stat.st_dev, stat.st_ino));

    // Another mount on the file itself, or on a directory above it.
    private bool IsCovered(int pid, MountEntry mount, string path)
    {
        if (!covers.TryGetValue((pid, mount.Id), out List<string>? places))
        {
            places = [.. AllMounts(pid)
                .Where(other => other.ParentId == mount.Id && other.Id != mount.Id)
                .Select(other => other.MountPoint)];
            covers.Add((pid, mount.Id), places);
        }

        foreach (string place in places)
        {
            if (path.StartsWith(place, StringComparison.Ordinal) && (path.Length == place.Length || path[place.Length] == '/'))
            {
                return true;
            }
        }

        return false;
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
                // By who mounted it: an engine outside, or the task itself. That it is the right directory, the path in it shows.
                if ((PathInLayer(layer, inner) ?? PathInLayer(RootOf(pid) + layer, inner)) is { } path)
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
        string? real = Sys.ReadLink(NamespaceVisit.PathOf(rootFd.Number), out _);
        SysResult opened = Sys.OpenByHandleAt(rootFd.Number, inner, OpenFlags.O_PATH | OpenFlags.O_CLOEXEC);
        if (opened.IsError)
        {
            return null;
        }

        using var fd = new Fd(opened.Int32);
        string? path = Sys.ReadLink(NamespaceVisit.PathOf(fd.Number), out _);
        return real is not null && path is not null && (path == real || path.StartsWith(real + "/", StringComparison.Ordinal))
            ? path[real.Length..]
            : null;
    }

    /// <summary>Whether the file behind a handle was found to be gone for good.</summary>
    public bool IsGone(uint device, FileHandle? handle)
        => handle is not null && stale.Contains((device, Convert.ToHexString(handle.Bytes)));

    /// <summary>
    /// Whether a device is of a file system that the kernel makes up, as /proc: its files come and go with what they tell of.
    /// </summary>
    public bool IsMadeUp(int pid, uint device)
        => MountsOf(pid, device).Exists(
            mount => mount.FileSystemType is "proc" or "sysfs" or "cgroup" or "cgroup2" or "debugfs" or "tracefs" or "devpts");

    // What has no handles that can be opened, as /proc and /sys, is looked for by number. Directories only: what is watched there, if
    // anything.
    private Dictionary<ulong, string> ByInode(int pid, uint device)
    {
        if (!walked.TryGetValue((pid, device), out Dictionary<ulong, string>? paths))
        {
            walked.Add((pid, device), paths = []);
            foreach (MountEntry mount in MountsOf(pid, device))
            {
                string place = RootOf(pid) + mount.MountPoint;
                if (!Sys.StatAt(At.AT_FDCWD, place, out FileStat stat, At.AT_SYMLINK_NOFOLLOW).IsError
                    && paths.TryAdd(stat.st_ino, mount.MountPoint)
                    && IsMadeUp(pid, device))
                {
                    Walk(RootOf(pid), mount.MountPoint.TrimEnd('/'), stat.st_dev, paths);
                }
            }
        }

        return paths;
    }

    private static void Walk(string root, string directory, ulong device, Dictionary<ulong, string> paths)
    {
        const byte DT_DIR = 4;
        SysResult opened = Sys.OpenAt(
            At.AT_FDCWD, root + directory, OpenFlags.O_RDONLY | OpenFlags.O_DIRECTORY | OpenFlags.O_NOFOLLOW | OpenFlags.O_CLOEXEC, 0);
        if (opened.IsError)
        {
            return;
        }

        List<string> inner = [];
        using (var fd = new Fd(opened.Int32))
        {
            // Another file system is mounted here.
            if (Sys.Fstat(fd.Number, out FileStat stat).IsError || stat.st_dev != device)
            {
                return;
            }

            Span<byte> buffer = stackalloc byte[8192];
            while (Sys.GetDents64(fd.Number, buffer) is { IsError: false, Int32: > 0 } read)
            {
                foreach (DirectoryEntry entry in new DirectoryEntries(buffer[..read.Int32]))
                {
                    if (entry.Type == DT_DIR && !entry.Name.SequenceEqual("."u8) && !entry.Name.SequenceEqual(".."u8))
                    {
                        string path = $"{directory}/{System.Text.Encoding.UTF8.GetString(entry.Name)}";
                        paths.TryAdd(entry.Inode, path);
                        inner.Add(path);
                    }
                }
            }
        }

        foreach (string path in inner)
        {
            Walk(root, path, device, paths);
        }
    }

    // Mount points are from the root directory of the task; Firn's own is that of its thread, wherever it visits.
    private static string RootOf(int pid) => pid == Sys.GetPid() ? string.Empty : $"/proc/{pid}/root";

    private static string PlaceOf(int pid, MountEntry mount) => RootOf(pid) + mount.MountPoint;

    private List<MountEntry> MountsOf(int pid, uint device)
    {
        List<MountEntry> all = AllMounts(pid);
        if (!byDevice.TryGetValue((pid, device), out List<MountEntry>? there))
        {
            byDevice.Add((pid, device), there = all.FindAll(mount => ((mount.DevMajor << 20) | mount.DevMinor) == device));
        }

        return there;
    }

    private List<MountEntry> AllMounts(int pid)
    {
        if (!mounts.TryGetValue(pid, out List<MountEntry>? all))
        {
            mounts.Add(pid, all = pid == Sys.GetPid() ? MountInfo.ReadOwn() : MountInfo.Read(pid));
        }

        return all;
    }
}
