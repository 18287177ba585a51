using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Timespec = Firn.Linux.Abi.Timespec;

namespace Firn.Engine.Kinds.Files;

/// <content>The restore half.</content>
internal static partial class GhostFile
{
    private const OpenFlags TemporaryBit = OpenFlags.O_TMPFILE & ~OpenFlags.O_DIRECTORY;
    private const int OwnerOnly = 0x180;

    /// <summary>Opens a ghost, which is made when the first entry asks for it.</summary>
    public static Fd Open(RestoreContext context, uint id, RegFileEntry file, OpenFlags flags)
    {
        Dictionary<uint, Fd> ghosts = context.Files.State.Get<RestoredGhosts>().ById;
        if (!ghosts.TryGetValue(id, out Fd? inode))
        {
            IReadOnlyList<ImageEntry> image = context.Images.Entries(ImageKind.GhostFile, id);
            if (image is not [{ Message: GhostFileEntry ghost }, ..])
            {
                throw new ImageFormatException(
                    ImageKind.GhostFile.FileName(id),
                    0,
                    "ghost-file",
                    $"has no entry, but {file.Name} needs it; the image set is not complete");
            }

            try
            {
                inode = Make(context, id, ghost, image, file, out Fd? temporary);
                ghosts.Add(id, inode);
                if (temporary is not null)
                {
                    return temporary;
                }
            }
            catch (LinuxException exception)
            {
                throw new CheckpointException($"unlinked file {file.Name} (ghost {id}): {exception.Message}", exception)
                {
                    Errno = exception.Errno,
                };
            }
        }

        // Through the magic link, where O_NOFOLLOW would stop.
        return Sys.Open(NamespaceVisit.PathOf(inode.Number), flags & ~OpenFlags.O_NOFOLLOW);
    }

    private static Fd Make(
        RestoreContext context, uint id, GhostFileEntry ghost, IReadOnlyList<ImageEntry> image, RegFileEntry file, out Fd? temporary)
    {
        uint type = ghost.Mode & InodeMode.S_IFMT;
        temporary = null;
        using var parents = new MissingParents(file.Name);
        if (type == InodeMode.S_IFREG && TryMakeTemporary(ghost, image, file) is { } made)
        {
            temporary = made;
            return Sys.Open(NamespaceVisit.PathOf(made.Number), OpenFlags.O_PATH);
        }

        string path = Create(file.Name, ghost, id);
        int removal = type == InodeMode.S_IFDIR ? At.AT_REMOVEDIR : 0;
        context.Undo.Push(() => Sys.UnlinkAt(At.AT_FDCWD, path, removal));
        if (type == InodeMode.S_IFREG)
        {
            using Fd content = Sys.Open(path, OpenFlags.O_WRONLY | OpenFlags.O_NOFOLLOW);
            Fill(content, ghost, image, path);
        }

        Sys.FchownAt(At.AT_FDCWD, path, ghost.Uid, ghost.Gid).OrThrow($"fchownat({path})");
        Sys.FchmodAt(At.AT_FDCWD, path, ghost.Mode & ~InodeMode.S_IFMT).OrThrow($"fchmodat({path})");
        SetTimes(At.AT_FDCWD, path, ghost);
        Fd inode = Sys.Open(path, OpenFlags.O_PATH | OpenFlags.O_NOFOLLOW);
        Sys.UnlinkAt(At.AT_FDCWD, path, removal).OrThrow($"unlinkat({path})");
        context.Undo.Pop();
        return inode;
    }

    private static Fd? TryMakeTemporary(GhostFileEntry ghost, IReadOnlyList<ImageEntry> image, RegFileEntry file)
    {
        var flags = (OpenFlags)file.Flags;
        if ((flags & TemporaryBit) == 0 || (flags & OpenFlags.O_ACCMODE) == OpenFlags.O_RDONLY)
        {
            return null;
        }

        string directory = Path.GetDirectoryName(file.Name) ?? "/";
        OpenFlags kept = flags & (OpenFlags.O_ACCMODE | OpenFlags.O_SYNC | OpenFlags.O_LARGEFILE | OpenFlags.O_NOFOLLOW);
        SysResult opened = Sys.OpenAt(At.AT_FDCWD, directory, kept | OpenFlags.O_TMPFILE | OpenFlags.O_CLOEXEC, OwnerOnly);
        if (opened.Errno is Errno.EOPNOTSUPP or Errno.EISDIR)
        {
            return null;
        }

        var made = new Fd(opened.OrThrow($"openat({directory}, O_TMPFILE)").Int32);
        try
        {
            Fill(made, ghost, image, file.Name);
            Sys.Fchown(made.Number, ghost.Uid, ghost.Gid).OrThrow($"fchown({file.Name})");
            Sys.Fchmod(made.Number, ghost.Mode & ~InodeMode.S_IFMT).OrThrow($"fchmod({file.Name})");
            SetTimes(made.Number, null, ghost);
            Sys.Fcntl(
                made.Number,
                FcntlCommand.F_SETFL,
                (nint)(flags & FileOwner.Settable & ~OpenFlags.O_ASYNC)).OrThrow($"fcntl({file.Name}, F_SETFL)");
            return made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    // Under its own name, so that the link in /proc reads as before; under another one if a new file has taken that.
    private static string Create(string name, GhostFileEntry ghost, uint id)
    {
        SysResult result = CreateAt(name, ghost);
        if (result.Errno != Errno.EEXIST)
        {
            result.OrThrow($"mknodat({name})");
            return name;
        }

        string other = $"{name}.{id:x}.firn-ghost";
        CreateAt(other, ghost).OrThrow($"mknodat({other})");
        return other;
    }

    private static SysResult CreateAt(string path, GhostFileEntry ghost)
        => (ghost.Mode & InodeMode.S_IFMT) == InodeMode.S_IFDIR
            ? Sys.MkdirAt(At.AT_FDCWD, path, 0x1c0)
            : Sys.MknodAt(At.AT_FDCWD, path, (ghost.Mode & InodeMode.S_IFMT) | OwnerOnly, ghost.Rdev);

    private static void Fill(Fd file, GhostFileEntry ghost, IReadOnlyList<ImageEntry> image, string name)
    {
        if (!ghost.Chunks)
        {
            Write(file, image[0].Payload.Span, 0, name);
            return;
        }

        Sys.Ftruncate(file.Number, (long)ghost.Size).OrThrow($"ftruncate({name}, {ghost.Size})");
        foreach (ImageEntry entry in image.Skip(1))
        {
            Write(file, entry.Payload.Span, (long)((GhostChunkEntry)entry.Message).Off, name);
        }
    }

    private static void Write(Fd file, ReadOnlySpan<byte> bytes, long offset, string name)
    {
        while (!bytes.IsEmpty)
        {
            int count = Sys.Pwrite(file.Number, bytes, offset).OrThrow($"pwrite({name}, {offset})").Int32;
            bytes = bytes[count..];
            offset += count;
        }
    }

    private static void SetTimes(int directory, string? path, GhostFileEntry ghost)
    {
        if (ghost.Atim is { } accessed && ghost.Mtim is { } modified)
        {
            Sys.UtimensAt(directory, path, Time(accessed), Time(modified)).OrThrow($"utimensat({path})");
        }

        static Linux.Abi.Timespec Time(Timeval time) => new() { tv_sec = (long)time.TvSec, tv_nsec = (long)time.TvUsec * 1000 };
    }

    private sealed class RestoredGhosts : IDisposable
    {
        public Dictionary<uint, Fd> ById { get; } = [];

        public void Dispose()
        {
            foreach (Fd fd in ById.Values)
            {
                fd.Dispose();
            }
        }
    }
}
