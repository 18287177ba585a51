using Firn.Images;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>How a file system that is mounted comes back.</summary>
internal enum Treatment
{
    /// <summary>It lives outside: on a disk, in the network, in another namespace. Its mounts are external.</summary>
    Outside,

    /// <summary>The kernel makes its content: it is just mounted anew.</summary>
    Fresh,

    /// <summary>As <see cref="Fresh"/>, but only the first user namespace may mount it.</summary>
    FreshForHost,

    /// <summary>It is mounted anew, and its content is part of the image set.</summary>
    Content,

    /// <summary>It is mounted anew, of directories that must be in the tree's own mounts.</summary>
    Layers,
}

/// <summary>The types of file systems that are known.</summary>
internal static class FileSystems
{
    private static readonly Dictionary<string, (Fstype Code, Treatment Treatment)> Known = new()
    {
        ["proc"] = (Fstype.Proc, Treatment.Fresh),
        ["sysfs"] = (Fstype.Sysfs, Treatment.Fresh),
        ["devtmpfs"] = (Fstype.Devtmpfs, Treatment.FreshForHost),
        ["binfmt_misc"] = (Fstype.BinfmtMisc, Treatment.FreshForHost),
        ["tmpfs"] = (Fstype.Tmpfs, Treatment.Content),
        ["devpts"] = (Fstype.Devpts, Treatment.Fresh),
        ["pstore"] = (Fstype.Pstore, Treatment.FreshForHost),
        ["securityfs"] = (Fstype.Securityfs, Treatment.FreshForHost),
        ["fusectl"] = (Fstype.Fusectl, Treatment.FreshForHost),
        ["debugfs"] = (Fstype.Debugfs, Treatment.FreshForHost),
        ["tracefs"] = (Fstype.Tracefs, Treatment.FreshForHost),
        ["cgroup"] = (Fstype.Cgroup, Treatment.Fresh),
        ["cgroup2"] = (Fstype.Cgroup2, Treatment.Fresh),
        ["mqueue"] = (Fstype.Mqueue, Treatment.Fresh),
        ["overlay"] = (Fstype.Overlayfs, Treatment.Layers),
        ["aufs"] = (Fstype.Aufs, Treatment.Outside),
        ["autofs"] = (Fstype.Autofs, Treatment.Outside),
    };

    /// <summary>The number that images have for a type; 0 for one that they have none for.</summary>
    public static Fstype Code(string type)
        => Known.TryGetValue(type, out (Fstype Code, Treatment) known) ? known.Code
            : type.StartsWith("fuse.", StringComparison.Ordinal) || type is "fuse" ? Fstype.Fuse
            : Fstype.Unsupported;

    /// <summary>How a type comes back.</summary>
    public static Treatment Treat(string type)
        => Known.TryGetValue(type, out (Fstype, Treatment Treatment) known) ? known.Treatment : Treatment.Outside;

    /// <summary>The type of an entry; empty for one that the image has no name for.</summary>
    public static string Name(MntEntry entry)
    {
        if (entry.Fstype == (uint)Fstype.Auto)
        {
            return entry.Fsname;
        }

        return Known.FirstOrDefault(known => (uint)known.Value.Code == entry.Fstype).Key ?? string.Empty;
    }
}
