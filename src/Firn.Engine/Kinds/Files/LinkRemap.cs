using Firn.Engine.Kinds.Namespaces.Mounts;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Files;

/// <summary>
/// A file that has lost the name it was opened by, but has another one: it gets a new name beside the old one, until the restore.
/// </summary>
/// <remarks>linkat(2) with AT_EMPTY_PATH, which needs CAP_DAC_READ_SEARCH.</remarks>
internal static class LinkRemap
{
    // ---- dump

    /// <summary>Refuses, unless it was asked for: it leaves a name in the file system.</summary>
    public static void Examine(DumpContext context, OpenFile file)
    {
        if (!context.Options.LinkRemap)
        {
            context.Problems.Add(
                "link-remap",
                file.Owner.Pid,
                file.Resource,
                "this name was unlinked, but the file has others, which can't be found",
                "allow Firn to link it under a new name with --link-remap");
        }
    }

    /// <summary>Gives the file a new name, and an entry for that.</summary>
    public static void Dump(DumpContext context, OpenFile file, uint entryId, string name)
    {
        Dictionary<(ulong, ulong), uint> links = context.Files.State.Get<Links>().ByInode;
        var inode = (file.Stat.st_dev, file.Stat.st_ino);
        if (!links.TryGetValue(inode, out uint id))
        {
            id = context.Files.NextId();
            string path = Path.Combine(DirectoryFor(context, file, name), $"link_remap.{id}");
            string seen = FileName.AsSeenBy(context, file, path);
            Sys.LinkAt(file.Taken.Number, string.Empty, At.AT_FDCWD, seen, At.AT_EMPTY_PATH).OrThrow($"linkat({file.Resource}, {seen})");
            context.Files.Undo.Push(() => Sys.UnlinkAt(At.AT_FDCWD, seen));
            links.Add(inode, id);
            var link = new RegFileEntry
            {
                Id = id,
                Flags = 0,
                Pos = 0,
                Fown = FileOwner.Nobody(),
                Name = path,
                Mode = file.Stat.st_mode,
            };
            if (context.Files.State.Get<MountViews>().MountOf(file) is int mount and not -1)
            {
                link.MntId = mount;
            }

            context.Images.Add(ImageKind.Files, 0, new FileEntry { Type = FdTypes.Reg, Id = id, Reg = link });
        }

        context.Images.Add(
            ImageKind.RemapFpath, 0, new RemapFilePathEntry { OrigId = entryId, RemapId = id, RemapType = RemapType.Linked });
    }

    // Where the directory of the name was removed, the nearest one above it.
    private static string DirectoryFor(DumpContext context, OpenFile file, string name)
    {
        string directory = Path.GetDirectoryName(name) ?? "/";
        while (directory.Length > 1 && Sys.StatAt(At.AT_FDCWD, FileName.AsSeenBy(context, file, directory), out _).Errno == Errno.ENOENT)
        {
            directory = Path.GetDirectoryName(directory) ?? "/";
        }

        return directory;
    }

    // ---- restore

    /// <summary>Opens the file by its new name; by its old one, if that is free, so that the link in /proc reads as before.</summary>
    public static Fd Open(RestoreContext context, RemapFilePathEntry remap, RegFileEntry file, OpenFlags flags)
    {
        if (!context.Files.Entries.TryGetValue(Remaps.IdOf(remap), out FileEntry? link) || link.Reg is null)
        {
            throw new ImageFormatException(
                ImageKind.RemapFpath.FileName(0),
                0,
                "remap",
                $"says that file {file.Id} is linked as file {remap.RemapId}, which files.img does not have");
        }

        context.Files.State.Get<Restored>().Ids.Add(link.Id);
        using var parents = new MissingParents(file.Name);
        if (Sys.LinkAt(At.AT_FDCWD, link.Reg.Name, At.AT_FDCWD, file.Name).IsError)
        {
            return Sys.Open(link.Reg.Name, flags);
        }

        Action unlink = () => Sys.UnlinkAt(At.AT_FDCWD, file.Name);
        try
        {
            return Sys.Open(file.Name, flags);
        }
        finally
        {
            unlink();
        }
    }

    /// <summary>Takes the new name away again, once nothing can fail any more.</summary>
    public static void CleanUp(RestoreContext context, FileEntry entry)
    {
        if (context.Files.State.Get<Restored>().Ids.Remove(entry.Id))
        {
            _ = Sys.UnlinkAt(At.AT_FDCWD, entry.Reg.Name);
        }
    }

    private sealed class Links
    {
        public Dictionary<(ulong Device, ulong Inode), uint> ByInode { get; } = [];
    }

    private sealed class Restored
    {
        public HashSet<uint> Ids { get; } = [];
    }
}
