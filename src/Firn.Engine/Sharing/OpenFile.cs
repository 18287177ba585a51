using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Sharing;

/// <summary>An open file description of the frozen tree, seen through one descriptor of one task.</summary>
internal sealed class OpenFile : IDisposable
{
    private Fd? taken;

    /// <summary>The task through which it was found.</summary>
    public required DumpedTask Owner { get; init; }

    /// <summary>The descriptor in that task.</summary>
    public required int Number { get; init; }

    /// <summary>Its id in files.img.</summary>
    public uint Id { get; set; }

    /// <summary>What /proc/PID/fd/N points to.</summary>
    public required string Link { get; init; }

    /// <summary>stat of the open file.</summary>
    public required FileStat Stat { get; init; }

    /// <summary>/proc/PID/fdinfo/N.</summary>
    public required FdInfo Info { get; init; }

    /// <summary>The open flags, without close-on-exec, which belongs to the descriptor.</summary>
    public OpenFlags Flags => (OpenFlags)Info.Flags & ~OpenFlags.O_CLOEXEC;

    /// <summary>Firn's own copy of the descriptor, taken when first asked for: the same description, so mind its offset.</summary>
    public Fd Taken => taken ??= new Fd(Sys.PidfdGetFd(Owner.PidFd.Number, Number).OrThrow($"pidfd_getfd({Owner.Pid}, {Number})").Int32);

    /// <summary>Whether it is of an anonymous inode of this name, as `[eventfd]`.</summary>
    public bool IsAnonymousInode(string name) => Link.StartsWith("anon_inode:", StringComparison.Ordinal) && Link.AsSpan(11).SequenceEqual(name);

    /// <summary>Whether the link names a socket.</summary>
    public bool IsSocket => (Stat.st_mode & FileMode.S_IFMT) == FileMode.S_IFSOCK;

    /// <inheritdoc/>
    public void Dispose() => taken?.Dispose();
}
