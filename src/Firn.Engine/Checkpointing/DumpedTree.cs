using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Checkpointing;

/// <summary>A tree whose state is saved: its memory on disk, its messages ready to be written.</summary>
/// <remarks>
/// Disposed before it is published, it takes away every file that it has written: an image set is complete or it isn't there.
/// </remarks>
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

        WriteMessages(0, isLate: false);
        Context.BeforePublishing.ForEach(action => action());
        Sys.RenameAt(directory.Number, PendingInventory, directory.Number, Inventory).OrThrow($"renameat({PendingInventory}, {Inventory})");
        isPublished = true;
    }

    /// <summary>Adds to the published set what could only be read when the tree was gone (<see cref="DumpContext.AfterKill"/>).</summary>
    /// <remarks>The set is whole without it, and there is no way back: a failure is said, and is none of the dump.</remarks>
    public void CommitLast()
    {
        int published = Context.Images.Files.Count();
        foreach (Action action in Context.AfterKill)
        {
            try
            {
                action();
            }
            catch (Exception exception) when (exception is LinuxException or CheckpointException)
            {
                Context.Log.LogError("what was read last, when the tree was gone, is not all in the images: {Message}", exception.Message);
            }
        }

        try
        {
            WriteMessages(published, isLate: true);
        }
        catch (Exception exception) when (exception is CheckpointException or LinuxException or ImageFormatException)
        {
            Context.Log.LogError("what was read last, when the tree was gone, is lost: {Message}", exception.Message);
        }
    }

    /// <summary>Takes a published set back: disposing takes all of it away.</summary>
    public void Recall()
    {
        Withdraw();
        isPublished = false;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!isPublished)
        {
            TakeBack();
        }

        Context.Files.Dispose();
    }

    // Files and links, then the directories that these were in, the innermost first; then names that files of the tree were given.
    private void TakeBack()
    {
        List<string> names = [.. written, .. Context.WrittenFiles];
        names.RemoveAll(name => !Sys.UnlinkAt(directory.Number, name).IsError);
        for (int i = names.Count - 1; i >= 0; i--)
        {
            _ = Sys.UnlinkAt(directory.Number, names[i], At.AT_REMOVEDIR);
        }

        while (Context.Files.Undo.TryPop(out Action? undo))
        {
            undo();
        }
    }

    // What comes late, into a set that is published, is there as a whole or not at all, as the set is.
    private void WriteMessages(int from, bool isLate)
    {
        foreach ((ImageKind kind, ulong id, IReadOnlyList<ImageEntry> entries) in Context.Images.Files.Skip(from))
        {
            byte[] bytes = ImageFile.Encode(kind, entries);
            string name = kind.FileName(id);
            Write(isLate ? $".{name}.pending" : kind == ImageKind.Inventory ? PendingInventory : name, bytes);
            if (isLate)
            {
                Sys.RenameAt(directory.Number, $".{name}.pending", directory.Number, name).OrThrow($"renameat({name})");
            }
        }
    }

    private CheckpointException Unwritable(string name, Errno errno)
        => new($"dump: {Path.Combine(Context.Options.ImagesDirectory, name)} can't be written: {errno} ({ErrnoText.Describe(errno)}); "
            + "make room or choose another images directory")
        { Phase = "dump", Errno = errno };

    private void Write(string name, ReadOnlySpan<byte> bytes)
    {
        written.Add(name);
        SysResult opened = Sys.OpenAt(
            directory.Number, name, OpenFlags.O_WRONLY | OpenFlags.O_CREAT | OpenFlags.O_TRUNC | OpenFlags.O_CLOEXEC, 0x180);
        using Fd fd = opened.IsError ? throw Unwritable(name, opened.Errno) : new Fd(opened.Int32);
        MessageBytes += bytes.Length;
        while (bytes.Length > 0)
        {
            SysResult result = Sys.Write(fd.Number, bytes);
            if (result.Errno == Errno.EINTR)
            {
                continue;
            }

            bytes = bytes[(result.IsError ? throw Unwritable(name, result.Errno) : result.Int32)..];
        }
    }
}
