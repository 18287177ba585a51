using System.Text;

namespace Firn.Linux.Procfs;

/// <summary>One mount: a line of /proc/PID/mountinfo.</summary>
/// <remarks>Kernel: fs/proc_namespace.c, show_mountinfo(); proc_pid_mountinfo(5).</remarks>
public sealed class MountEntry
{
    /// <summary>The id of the mount, used again once it is gone.</summary>
    public int Id { get; init; }

    /// <summary>The mount that it is mounted on; itself or one out of sight for the root.</summary>
    public int ParentId { get; init; }

    /// <summary>The major number of the file system's device.</summary>
    public uint DevMajor { get; init; }

    /// <summary>The minor number of the file system's device.</summary>
    public uint DevMinor { get; init; }

    /// <summary>
    /// What of the file system is mounted: a path in it. One that was unlinked ends in <c>//deleted</c>; of nsfs it is
    /// <c>net:[4026531833]</c>.
    /// </summary>
    public string Root { get; init; } = string.Empty;

    /// <summary>Where it is mounted, from the root directory of the process.</summary>
    public string MountPoint { get; init; } = string.Empty;

    /// <summary>Options of this mount, separated by commas.</summary>
    public string Options { get; init; } = string.Empty;

    /// <summary>The peer group that it shares propagation with; 0 for none.</summary>
    public int Shared { get; init; }

    /// <summary>The peer group that it is a slave of; 0 for none.</summary>
    public int Master { get; init; }

    /// <summary>The nearest dominant peer group under the root of the process, where it isn't the master; 0 for none.</summary>
    public int PropagateFrom { get; init; }

    /// <summary>Whether it can't be bind mounted.</summary>
    public bool Unbindable { get; init; }

    /// <summary>The type, with a subtype as in <c>fuse.sshfs</c>.</summary>
    public string FileSystemType { get; init; } = string.Empty;

    /// <summary>What was mounted: a device, or any text, maybe none at all.</summary>
    public string Source { get; init; } = string.Empty;

    /// <summary>Options of the file system, separated by commas. Octal escapes are left: a comma within an option is <c>\054</c>.</summary>
    public string SuperOptions { get; init; } = string.Empty;

    /// <inheritdoc/>
    public override string ToString() => $"{Id} {MountPoint} ({FileSystemType})";
}

/// <summary>/proc/PID/mountinfo: the mounts that a process can reach from its root directory, in the order of mounting.</summary>
/// <remarks>Kernel: fs/proc_namespace.c; proc_pid_mountinfo(5).</remarks>
public static class MountInfo
{
    /// <summary>Reads the mounts that a process sees.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT or ESRCH if the process is gone, EINVAL if it is a zombie.</exception>
    /// <exception cref="FormatException">The kernel writes something unknown.</exception>
    public static List<MountEntry> Read(int pid) => Parse(ProcFile.Read($"/proc/{pid}/mountinfo"));

    /// <summary>Reads the mounts that the calling thread sees, wherever it is visiting.</summary>
    /// <exception cref="LinuxException">It can't be read.</exception>
    /// <exception cref="FormatException">The kernel writes something unknown.</exception>
    public static List<MountEntry> ReadOwn() => Parse(ProcFile.Read("/proc/thread-self/mountinfo"));

    /// <summary>Parses the text of mountinfo.</summary>
    /// <exception cref="FormatException">It is not such a text.</exception>
    public static List<MountEntry> Parse(ReadOnlySpan<byte> text)
    {
        var mounts = new List<MountEntry>();
        var reader = new ByteReader(text);
        while (reader.TryLine(out ReadOnlySpan<byte> line))
        {
            mounts.Add(ParseLine(line));
        }

        return mounts;
    }

    /// <summary>Undoes the octal escapes of an option's value.</summary>
    public static string Unescape(ReadOnlySpan<byte> text) => ProcText.Unescape(text);

    private static MountEntry ParseLine(ReadOnlySpan<byte> line)
    {
        var reader = new ByteReader(line);
        int id = reader.Int32();
        int parent = reader.Int32();
        uint major = (uint)reader.Decimal();
        reader.Take(":"u8);
        uint minor = (uint)reader.Decimal();
        string root = ProcText.Unescape(reader.Word());
        string mountPoint = ProcText.Unescape(reader.Word());
        string options = ProcText.Unescape(reader.Word());
        int shared = 0;
        int master = 0;
        int propagateFrom = 0;
        bool unbindable = false;
        for (ReadOnlySpan<byte> word = reader.Word(); !word.SequenceEqual("-"u8); word = reader.Word())
        {
            if (word.IsEmpty)
            {
                throw new FormatException("mountinfo: a line without the hyphen before the type");
            }

            var tag = new ByteReader(word);
            shared = tag.TryTake("shared:"u8) ? tag.Int32() : shared;
            master = tag.TryTake("master:"u8) ? tag.Int32() : master;
            propagateFrom = tag.TryTake("propagate_from:"u8) ? tag.Int32() : propagateFrom;
            unbindable |= word.SequenceEqual("unbindable"u8);
        }

        // One space between each from here on: the source may be empty.
        reader.Skip(1);
        return new MountEntry
        {
            Id = id,
            ParentId = parent,
            DevMajor = major,
            DevMinor = minor,
            Root = root,
            MountPoint = mountPoint,
            Options = options,
            Shared = shared,
            Master = master,
            PropagateFrom = propagateFrom,
            Unbindable = unbindable,
            FileSystemType = ProcText.Unescape(reader.Field()),
            Source = ProcText.Unescape(reader.Field()),
            SuperOptions = Encoding.UTF8.GetString(reader.Rest),
        };
    }
}
