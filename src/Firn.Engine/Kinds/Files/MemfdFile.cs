using Firn.Engine.Memory;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Files;

/// <summary>An open file over memory: memfd_create(2), and mappings of shared anonymous memory that are saved like it.</summary>
/// <remarks>
/// The memory itself, its name, size and seals are <see cref="MemfdInodes"/>' business. Kernel: mm/memfd.c. A file on a hugetlbfs that has
/// no name any more is saved so too, since such files can't be written to.
/// </remarks>
internal sealed class MemfdFile : FileKind
{
    private const string Prefix = "/memfd:";
    private const string SharedAnonymous = "/dev/zero (deleted)";

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Memfd;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file)
        => file.FileType == InodeMode.S_IFREG
        && file.Stat.st_nlink == 0
        && (file.Link.StartsWith(Prefix, StringComparison.Ordinal)
            || string.Equals(file.Link, SharedAnonymous, StringComparison.Ordinal)
            || HugePages.Has(file.ProcPath, file.Stat));

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        context.Files.State.Get<MemfdInodes>().IdOf(file);
        FileOwner.Examine(context, file);
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        entry.Memfd = new MemfdFileEntry
        {
            Id = file.Id,
            Flags = (uint)file.Flags,
            Pos = (ulong)file.Info.Position,
            Fown = FileOwner.Dump(context, file),
            InodeId = context.Files.State.Get<MemfdInodes>().IdOf(file),
        };
    }

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        MemfdFileEntry file = entry.Memfd;
        Fd inode = context.Files.State.Get<MemfdObjects>().Get(file.InodeId);
        Fd fd = Sys.Open(NamespaceVisit.PathOf(inode.Number), (OpenFlags)file.Flags & ~OpenFlags.O_ASYNC);
        if (file.Pos != 0)
        {
            Sys.Lseek(fd.Number, (long)file.Pos, Seek.SEEK_SET).OrThrow($"lseek(memfd {file.InodeId}, {file.Pos})");
        }

        return fd;
    }

    /// <inheritdoc/>
    public override void Attach(RestoreContext context, FileEntry entry, RestoredTask task, FdinfoEntry descriptor, RemoteBatch batch)
        => FileOwner.Attach(entry.Memfd.Flags, descriptor, batch);

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd)
        => FileOwner.Arm(context, entry.Memfd.Fown, fd, $"memfd {entry.Memfd.InodeId}");
}
