using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>The directories that an overlay is made of, as its options name them: absolute paths of its namespace.</summary>
/// <remarks>Kernel: fs/overlayfs/params.c, ovl_show_options(), which shows them as whoever mounted it has written them.</remarks>
internal static class OverlayLayers
{
    /// <summary>The paths; null where they aren't absolute and plain, or an option binds the overlay to what is made anew.</summary>
    public static IReadOnlyList<string>? Paths(string options)
    {
        List<string> paths = [];
        foreach (string word in options.Split(','))
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            string value = word[(equals + 1)..];
            switch (equals < 0 ? word : word[..equals])
            {
                case "lowerdir":
                    paths.AddRange(value.Split(':'));
                    break;
                case "lowerdir+" or "upperdir" or "workdir":
                    paths.Add(value);
                    break;

                // They hold handles of the lower files, and those are others after the restore; or a mark that forbids another mount.
                case "index" or "nfs_export" when value == "on":
                case "datadir+" or "volatile":
                    return null;
            }
        }

        return paths.Count > 0 && paths.TrueForAll(IsPlain) ? paths : null;
    }

    /// <summary>The mount that a path is on, while a file system isn't mounted; null for none.</summary>
    /// <param name="root">The root of the namespace.</param>
    /// <param name="path">The path.</param>
    /// <param name="without">The file system that isn't mounted, nor what is mounted on it.</param>
    public static MountNode? Find(MountNode root, string path, uint without)
    {
        MountNode found = root;
        while (found.Children.Where(child => child.Entry.RootDev != without && PathText.Below(path, child.Entry.Mountpoint) is not null)
            .MinBy(child => child.PlaceInParent.Length) is { } next)
        {
            found = next;
        }

        return found.Entry.RootDev == without ? null : found;
    }

    /// <summary>Whether the layers are there, where the thread is, on those mounts, and on none that came after the overlay.</summary>
    /// <param name="root">The root of the namespace.</param>
    /// <param name="mounts">All mounts of the overlay there.</param>
    public static bool AreThere(MountNode root, IReadOnlyList<MountNode> mounts)
    {
        ulong made = ulong.MaxValue;
        bool isSeen = true;
        foreach (MountNode mount in mounts)
        {
            isSeen &= Look(mount.Entry.Mountpoint, out Statx _, out ulong age) == mount.Entry.MntId;
            made = Math.Min(made, age);
        }

        foreach (string path in Paths(mounts[0].Entry.Options) ?? [])
        {
            MountNode? host = Find(root, path, mounts[0].Entry.RootDev);
            uint shown = Look(path, out Statx stat, out ulong age);
            bool isThere = shown == host?.Entry.MntId && ((isSeen && age < made) || mounts.All(mount => IsOn(mount, host)));

            // What covers it may be the overlay itself, as on /etc of /etc.
            bool isUnder = mounts.Any(mount => mount.Entry.MntId == shown && mount.Parent == host);
            if ((!isThere && !isUnder) || (stat.stx_mode & InodeMode.S_IFMT) != InodeMode.S_IFDIR)
            {
                return false;
            }
        }

        return true;
    }

    // The mount, and its number among all that ever were, which grows.
    private static uint Look(string path, out Statx stat, out ulong age)
    {
        age = 0;
        if (Sys.StatxAt(At.AT_FDCWD, path, 0, StatxMask.STATX_MNT_ID, out stat).IsError
            || Sys.StatxAt(At.AT_FDCWD, path, 0, StatxMask.STATX_MNT_ID_UNIQUE, out Statx unique).IsError)
        {
            stat = default;
            return 0;
        }

        age = unique.stx_mnt_id;
        return (uint)stat.stx_mnt_id;
    }

    private static bool IsOn(MountNode node, MountNode? host)
        => node.Parent is { } parent && (parent == host || IsOn(parent, host));

    private static bool IsPlain(string path)
        => path.StartsWith('/') && !path.Contains('\\', StringComparison.Ordinal)
            && !path.Split('/').Any(part => part is "." or "..");
}
