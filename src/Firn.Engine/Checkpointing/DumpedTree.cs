using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Checkpointing;

/// <summary>A tree whose state is saved: its memory on disk, its messages ready to be written.</summary>
/// <remarks>Disposed before it is published, it takes away every file that it has written: an image set is complete or it isn't there.</remarks>
internal sealed class DumpedTree(DumpContext context, Fd directory) : IDisposable
{
    private const string Inventory = "inventory.img";
    private const string PendingInventory = ".inventory.img.pending";

    private readonly List<string> written = [];
    private bool isPublished;

    /// <summary>What was collected.</summary>
    public DumpContext Context { get; } = context;

    /// <summary>Bytes of all image files but those of pages.</summary>
    public long MessageBytes { get; private set; }

    /// <summary>Takes away the inventory of an older image set in the same directory, before anything of it is written over.</summary>
    public void Withdraw()
    {
        SysResult result = Sys.UnlinkAt(directory.Number, Inventory);
        if (result.IsError && result.Errno != Errno.ENOENT)
        {
            result.OrThrow($"unlinkat({Inventory})");
        }
    }

    /// <summary>Writes all messages, then publishes the set by renaming its inventory into place.</summary>
    /// <exception cref="LinuxException">A file can't be written, for want of space say.</exception>
    public void Commit()
    {
        if (isPublished)
        {
            return;
        }

        foreach ((ImageKind kind, ulong id, IReadOnlyList<ImageEntry> entries) in Context.Images.Files)
        {
            byte[] bytes = ImageFile.Encode(kind, entries);
            Write(kind == ImageKind.Inventory ? PendingInventory : kind.FileName(id), bytes);
        }

        Sys.RenameAt(directory.Number, PendingInventory, directory.Number, Inventory).OrThrow($"renameat({PendingInventory}, {Inventory})");
        isPublished = true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Context.Files.Dispose();
        if (isPublished)
        {
            return;
        }

        foreach (string name in written.Concat(Context.WrittenFiles))
        {
            // A directory of links stands behind what is in it.
            if (Sys.UnlinkAt(directory.Number, name).Errno == Errno.EISDIR)
            {
                _ = Sys.UnlinkAt(directory.Number, name, At.AT_REMOVEDIR);
            }
        }
    }

    private void Write(string name, ReadOnlySpan<byte> bytes)
    {
        written.Add(name);
        using var fd = new Fd(Sys.OpenAt(
            directory.Number, name, OpenFlags.O_WRONLY | OpenFlags.O_CREAT | OpenFlags.O_TRUNC | OpenFlags.O_CLOEXEC, 0x180)
            .OrThrow($"openat({name})").Int32);
        MessageBytes += bytes.Length;
        while (bytes.Length > 0)
        {
            SysResult result = Sys.Write(fd.Number, bytes);
            if (result.Errno == Errno.EINTR)
            {
                continue;
            }

            bytes = bytes[result.OrThrow($"write({name}, {bytes.Length} bytes)").Int32..];
        }
    }
}
