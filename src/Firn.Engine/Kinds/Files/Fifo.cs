using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Files;

/// <summary>A pipe with a name in a file system.</summary>
/// <remarks>Its name is an entry of a regular file of its own. fifo(7): opening one waits for the other side.</remarks>
internal sealed class Fifo : FileKind
{
    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Fifo;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file)
        => file.IsDescriptor && file.FileType == InodeMode.S_IFIFO && file.Link.StartsWith('/') && !file.IsPathOnly;

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        RegularFile.ExamineName(context, file);
        FileOwner.Examine(context, file);
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        uint pathId = context.Files.NextId();
        context.Images.Add(
            ImageKind.Files, 0, new FileEntry { Type = FdTypes.Reg, Id = pathId, Reg = RegularFile.DumpPath(context, file, pathId) });
        entry.Fifo = new FifoEntry { Id = file.Id, PipeId = (uint)file.Stat.st_ino, RegfId = pathId };
        PipeContent.Dump(context, ImageKind.FifoData, file);
    }

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        RegFileEntry path = PathOf(context, entry);
        if (RegularFile.Inherited(context, path) is { } inherited)
        {
            return inherited;
        }

        Dictionary<uint, Fd> helpers = context.Files.State.Get<Helpers>().ByPipe;
        if (!helpers.ContainsKey(entry.Fifo.PipeId))
        {
            // While someone has both sides open, no open of one side waits, and what was written stays.
            Fd helper = RegularFile.OpenPath(context, path, OpenFlags.O_RDWR | OpenFlags.O_NONBLOCK);
            helpers.Add(entry.Fifo.PipeId, helper);
            PipeContent.Restore(context, ImageKind.FifoData, entry.Fifo.PipeId, helper.Number, path.Name);
        }

        // Packets can be asked for only once it is open.
        Fd fd = RegularFile.OpenPath(context, path, (OpenFlags)path.Flags & ~OpenFlags.O_DIRECT);
        FileOwner.RestoreFlags(fd, path.Flags & ~(uint)OpenFlags.O_ASYNC);
        return fd;
    }

    /// <inheritdoc/>
    public override void Attach(RestoreContext context, FileEntry entry, RestoredTask task, FdinfoEntry descriptor, RemoteBatch batch)
        => FileOwner.Attach(PathOf(context, entry).Flags, descriptor, batch);

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd)
    {
        RegFileEntry path = PathOf(context, entry);
        FileOwner.Arm(context, path.Fown, fd, path.Name);
    }

    private static RegFileEntry PathOf(RestoreContext context, FileEntry entry)
        => entry.Fifo.HasRegfId && context.Files.Entries.TryGetValue(entry.Fifo.RegfId, out FileEntry? path) && path.Reg is { } file
            ? file
            : throw new ImageFormatException(
                ImageKind.Files.FileName(0),
                0,
                "fifo-path",
                $"has a FIFO with the id {entry.Id}, but no file {entry.Fifo.RegfId} that says its path");

    private sealed class Helpers : IDisposable
    {
        public Dictionary<uint, Fd> ByPipe { get; } = [];

        public void Dispose()
        {
            foreach (Fd fd in ByPipe.Values)
            {
                fd.Dispose();
            }
        }
    }
}
