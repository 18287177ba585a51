using System.Text;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>The words of mountinfo, the flags of mount(2) that images hold, and the attributes of mount_setattr(2).</summary>
/// <remarks>Kernel: fs/proc_namespace.c, show_sb_opts() and show_vfsmnt_opts().</remarks>
internal static class MountText
{
    /// <summary>All attributes of a mount, to be cleared where they aren't set.</summary>
    public const MountAttributes AllAttributes = MountAttributes.MOUNT_ATTR_RDONLY | MountAttributes.MOUNT_ATTR_NOSUID
        | MountAttributes.MOUNT_ATTR_NODEV | MountAttributes.MOUNT_ATTR_NOEXEC | MountAttributes.MOUNT_ATTR__ATIME
        | MountAttributes.MOUNT_ATTR_NODIRATIME | MountAttributes.MOUNT_ATTR_NOSYMFOLLOW;

    private static readonly (string Word, MountFlags Flag, MountAttributes Attribute)[] OfMount =
    [
        ("ro", MountFlags.MS_RDONLY, MountAttributes.MOUNT_ATTR_RDONLY),
        ("nosuid", MountFlags.MS_NOSUID, MountAttributes.MOUNT_ATTR_NOSUID),
        ("nodev", MountFlags.MS_NODEV, MountAttributes.MOUNT_ATTR_NODEV),
        ("noexec", MountFlags.MS_NOEXEC, MountAttributes.MOUNT_ATTR_NOEXEC),
        ("noatime", MountFlags.MS_NOATIME, MountAttributes.MOUNT_ATTR_NOATIME),
        ("nodiratime", MountFlags.MS_NODIRATIME, MountAttributes.MOUNT_ATTR_NODIRATIME),
        ("relatime", MountFlags.MS_RELATIME, MountAttributes.None),
        ("nosymfollow", MountFlags.MS_NOSYMFOLLOW, MountAttributes.MOUNT_ATTR_NOSYMFOLLOW),
    ];

    private static readonly (string Word, MountFlags Flag)[] OfFileSystem =
    [
        ("rw", MountFlags.None),
        ("ro", MountFlags.MS_RDONLY),
        ("sync", MountFlags.MS_SYNCHRONOUS),
        ("dirsync", MountFlags.MS_DIRSYNC),
        ("mand", MountFlags.MS_MANDLOCK),
        ("lazytime", MountFlags.MS_LAZYTIME),
    ];

    /// <summary>The flags of a mount's options. With neither of the other two, access times are strict.</summary>
    public static MountFlags FlagsOf(string options)
    {
        MountFlags flags = MountFlags.None;
        foreach (string word in options.Split(','))
        {
            flags |= Array.Find(OfMount, row => row.Word == word).Flag;
        }

        return (flags & (MountFlags.MS_NOATIME | MountFlags.MS_RELATIME)) == 0 ? flags | MountFlags.MS_STRICTATIME : flags;
    }

    /// <summary>Parts what the file system's options say to all alike from those of its type.</summary>
    /// <param name="options">The options, as mountinfo has them.</param>
    /// <param name="ofType">Those of the type, as they stood.</param>
    public static MountFlags FlagsOfFileSystem(string options, out string ofType)
    {
        MountFlags flags = MountFlags.None;
        List<string> rest = [];
        foreach (string word in options.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            int index = Array.FindIndex(OfFileSystem, row => row.Word == word);
            if (index < 0)
            {
                rest.Add(word);
            }
            else
            {
                flags |= OfFileSystem[index].Flag;
            }
        }

        ofType = string.Join(',', rest);
        return flags;
    }

    /// <summary>The words for the flags of a file system, as fsconfig(2) takes them.</summary>
    public static IEnumerable<string> WordsOfFileSystem(MountFlags flags)
        => OfFileSystem.Where(row => row.Flag != MountFlags.None && (flags & row.Flag) != 0).Select(row => row.Word);

    /// <summary>The attributes of a mount.</summary>
    public static MountAttributes Attributes(MountFlags flags)
    {
        MountAttributes attributes = MountAttributes.None;
        foreach ((string _, MountFlags flag, MountAttributes attribute) in OfMount)
        {
            attributes |= (flags & flag) != 0 ? attribute : MountAttributes.None;
        }

        return (flags & MountFlags.MS_STRICTATIME) != 0 ? attributes | MountAttributes.MOUNT_ATTR_STRICTATIME : attributes;
    }

    /// <summary>Parts options of a type into keys and values; a key alone is a flag. Escapes are undone.</summary>
    public static IEnumerable<(string Key, string? Value)> Split(string options)
    {
        foreach (string word in options.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            int equals = word.IndexOf('=');
            yield return equals < 0 ? (word, null) : (word[..equals], MountInfo.Unescape(Encoding.UTF8.GetBytes(word[(equals + 1)..])));
        }
    }
}
