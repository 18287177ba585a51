using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Tree;

/// <summary>The open file descriptions of the tree under restore, by file id.</summary>
/// <remarks>
/// Firn makes each once, and keeps it at a number above all that the tasks use, open across exec: the root inherits them all, its
/// children from it, and a task's table is then put in place by dup3(2) alone.
/// </remarks>
internal sealed class RestoredFiles(int firstNumber) : IDisposable
{
    private readonly Dictionary<uint, Fd> files = [];
    private readonly Dictionary<uint, FileEntry> entries = [];

    /// <summary>The first number of Firn's own region; all above are closed in the tasks in the end.</summary>
    public int FirstNumber { get; } = firstNumber;

    /// <summary>What kinds remember during this restore.</summary>
    public StateBag State { get; } = new();

    /// <summary>All entries of files.img, by id.</summary>
    public IReadOnlyDictionary<uint, FileEntry> Entries => entries;

    /// <summary>The entry of an id.</summary>
    /// <exception cref="ImageFormatException">files.img has no such id.</exception>
    public FileEntry Entry(uint id) => entries.TryGetValue(id, out FileEntry? entry) ? entry : throw Unknown(id);

    /// <summary>Makes an entry known.</summary>
    /// <exception cref="ImageFormatException">Its id is not its own, or it lacks the message of its type.</exception>
    public void AddEntry(FileEntry entry)
    {
        if (!HasMessage(entry))
        {
            throw new ImageFormatException(
                "files.img", -1, "file-entry", $"the file with the id {entry.Id} has no {entry.Type} in it; the image is damaged");
        }

        // A descriptor of /dev/net/tun has two: of the file, and of what it is attached to, which is what it is.
        if (entries.TryGetValue(entry.Id, out FileEntry? other)
            && (entry.Type, other.Type) is (FdTypes.Tunf, FdTypes.Reg) or (FdTypes.Reg, FdTypes.Tunf))
        {
            entries[entry.Id] = entry.Type == FdTypes.Tunf ? entry : other;
            return;
        }

        if (!entries.TryAdd(entry.Id, entry))
        {
            throw new ImageFormatException("files.img", -1, "file-id", $"has two files with the id {entry.Id}; the image is damaged");
        }
    }

    /// <summary>Whether the description of an id exists already.</summary>
    public bool IsProvided(uint id) => files.ContainsKey(id);

    /// <summary>Takes over a description that was made for an id, and moves it to its place.</summary>
    public void Provide(uint id, Fd fd) => files.Add(id, MoveToRegion(fd));

    /// <summary>The description of an id: the number is the same in Firn and in each task that has not closed the region yet.</summary>
    /// <exception cref="ImageFormatException">files.img has no such id.</exception>
    public Fd this[uint id] => files.TryGetValue(id, out Fd? fd)
        ? fd
        : throw Unknown(id);

    /// <summary>Moves a descriptor into the region that tasks inherit, without close-on-exec.</summary>
    public Fd MoveToRegion(Fd fd)
    {
        var moved = new Fd(
            Sys.Fcntl(fd.Number, FcntlCommand.F_DUPFD, FirstNumber).OrThrow($"fcntl({fd.Number}, F_DUPFD, {FirstNumber})").Int32);
        fd.Dispose();
        return moved;
    }

    // Types that Firn does not restore are refused by their names later.
    private static ImageFormatException Unknown(uint id)
        => new("files.img", 0, "file-id", $"has no file with the id {id}, which another image names; the image set is damaged: dump again");

    private static bool HasMessage(FileEntry entry) => entry.Type switch
    {
        FdTypes.Reg => entry.Reg is not null,
        FdTypes.Pipe => entry.Pipe is not null,
        FdTypes.Fifo => entry.Fifo is not null,
        FdTypes.Inetsk => entry.Isk is not null,
        FdTypes.Unixsk => entry.Usk is not null,
        FdTypes.Eventfd => entry.Efd is not null,
        FdTypes.Eventpoll => entry.Epfd is not null,
        FdTypes.Inotify => entry.Ify is not null,
        FdTypes.Fanotify => entry.Ffy is not null,
        FdTypes.Signalfd => entry.Sgfd is not null,
        FdTypes.Tty => entry.Tty is not null,
        FdTypes.Netlinksk => entry.Nlsk is not null,
        FdTypes.Timerfd => entry.Tfd is not null,
        FdTypes.Memfd => entry.Memfd is not null,
        FdTypes.Pidfd => entry.Pidfd is not null,
        FdTypes.Ns => entry.Nsf is not null,
        FdTypes.Tunf => entry.Tunf is not null,
        FdTypes.Bpfmap => entry.Bpf is not null,
        FdTypes.Packetsk => entry.Psk is not null,
        FdTypes.Iouring => entry.Iou is not null,
        _ => true,
    };

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Fd fd in files.Values)
        {
            fd.Dispose();
        }

        State.Dispose();
    }
}
