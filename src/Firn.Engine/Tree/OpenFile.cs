using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Tree;

/// <summary>
/// A file of the frozen tree that gets an entry in files.img: an open file description, or what a mapping or a link of /proc leads to.
/// </summary>
internal sealed class OpenFile : IDisposable
{
    /// <summary>The number of a file that no descriptor led to.</summary>
    public const int NoDescriptor = -1;

    private Fd? taken;

    /// <summary>A file that a task or a mapping leads to.</summary>
    public OpenFile()
    {
    }

    /// <summary>A file that was found in a socket's queue, and is Firn's descriptor by that.</summary>
    public OpenFile(Fd taken) => this.taken = taken;

    /// <summary>The task through which it was found.</summary>
    public required DumpedTask Owner { get; init; }

    /// <summary>The socket in whose queue it was found, where no task holds it; then its descriptor is one of Firn.</summary>
    public OpenFile? Via { get; init; }

    /// <summary>The process that has the descriptor <see cref="Number"/>.</summary>
    public int HolderPid => Via is null ? Owner.Pid : Environment.ProcessId;

    /// <summary>The descriptor in that task, or <see cref="NoDescriptor"/> for a mapping, cwd, root and exe.</summary>
    public required int Number { get; init; }

    /// <summary>The magic link of /proc that leads to it, as /proc/812/fd/3.</summary>
    public required string ProcPath { get; init; }

    /// <summary>Its id in files.img.</summary>
    public uint Id { get; set; }

    /// <summary>The kind that it was recognised as; null for one that no kind knows.</summary>
    public FileKind? Kind { get; set; }

    /// <summary>What the magic link says.</summary>
    public required string Link { get; init; }

    /// <summary>stat of the open file.</summary>
    public required FileStat Stat { get; init; }

    /// <summary>/proc/PID/fdinfo/N; of what is no descriptor: position and flags 0.</summary>
    public required FdInfo Info { get; init; }

    /// <summary>Whether it lies in a socket's queue, whoever else has it.</summary>
    public bool IsInFlight { get; set; }

    /// <summary>Whether a Firn which was killed has left it in the task: no part of the tree.</summary>
    public bool IsLeft { get; set; }

    /// <summary>Whether a task has mapped it privately, as programs and libraries are: it must be the same at the restore.</summary>
    public bool IsMappedPrivately { get; set; }

    /// <summary>The descriptors that stand for it, the first one found first.</summary>
    public List<FileHolder> Holders { get; } = [];

    /// <summary>Whether a descriptor led to it.</summary>
    public bool IsDescriptor => Number >= 0;

    /// <summary>The open flags, without close-on-exec, which belongs to the descriptor.</summary>
    public OpenFlags Flags => Info.Flags & ~OpenFlags.O_CLOEXEC;

    /// <summary>Whether it was opened with O_PATH: neither read, write nor most of fcntl work on it.</summary>
    public bool IsPathOnly => (Flags & OpenFlags.O_PATH) != 0;

    /// <summary>Type bits of st_mode.</summary>
    public uint FileType => Stat.st_mode & InodeMode.S_IFMT;

    /// <summary>
    /// Firn's own descriptor, taken when first asked for. Of a descriptor it is the same description, so mind its offset; of a mapping or
    /// directory it is one for reading.
    /// </summary>
    public Fd Taken => taken ??= IsDescriptor
        ? new Fd(Sys.PidfdGetFd(Owner.PidFd.Number, Number).OrThrow($"pidfd_getfd({Owner.Pid}, {Number})").Int32)
        : Sys.Open(ProcPath, OpenFlags.O_RDONLY | OpenFlags.O_NONBLOCK | OpenFlags.O_NOCTTY);

    /// <summary>How it is named to the user, as `fd 7: /var/log/messages`.</summary>
    public string Resource => Via is not null ? $"{InFlight}: {Link}"
        : IsDescriptor ? $"fd {Number}: {Link}"
        : $"{ProcPath[(ProcPath.IndexOf('/', 6) + 1)..]}: {Link}";

    /// <summary>How a file in flight is named to the user.</summary>
    public string InFlight => $"in the queue of {(Via!.Via is null ? $"fd {Via.Number}" : "a socket that is itself in a queue")}";

    /// <summary>Whether it is of an anonymous inode of this name, as `[eventfd]`.</summary>
    public bool IsAnonymousInode(string name)
        => Link.StartsWith("anon_inode:", StringComparison.Ordinal) && Link.AsSpan(11).SequenceEqual(name);

    /// <summary>Whether the link names a socket.</summary>
    public bool IsSocket => FileType == InodeMode.S_IFSOCK;

    /// <inheritdoc/>
    public void Dispose() => taken?.Dispose();
}

/// <summary>A descriptor that stands for an open file description.</summary>
/// <param name="Task">The task whose table it is in.</param>
/// <param name="Number">Its number.</param>
/// <param name="Locks">The locks that fdinfo shows for it: of the description, and POSIX locks of the task through it.</param>
internal readonly record struct FileHolder(DumpedTask Task, int Number, IReadOnlyList<FileLock> Locks);
