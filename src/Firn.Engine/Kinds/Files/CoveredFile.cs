using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Files;

/// <summary>A file whose name leads elsewhere since something was mounted over it, or over a directory above it.</summary>
/// <remarks>
/// open_tree(2) with OPEN_TREE_CLONE gives a copy of one mount without what is mounted on it: there the name is good. It is found from a
/// directory above that is not covered. A file so opened has a mount of its own; from a copy of the whole root mount, its link in /proc
/// reads as before.
/// </remarks>
internal static class CoveredFile
{
    private const int Flags = MountCall.OPEN_TREE_CLONE | MountCall.OPEN_TREE_CLOEXEC;

    // ---- dump

    /// <summary>The topmost directory from below which the file can be reached past what covers it; null if there is none.</summary>
    public static string? DirectoryFor(DumpContext context, OpenFile file, string path)
    {
        if (!path.StartsWith('/'))
        {
            return null;
        }

        // A mount can be copied only from within its namespace.
        DumpedNamespace own = context.Namespace(CloneFlags.CLONE_NEWNS);
        using NamespaceVisit? visit = own.IsFirns ? null : NamespaceVisit.Enter(own.Member.PidFd.Number, CloneFlags.CLONE_NEWNS);

        for (int at = 0; at >= 0 && at < path.Length; at = path.IndexOf('/', at + 1))
        {
            string directory = at == 0 ? "/" : path[..at];
            if (Sys.StatAt(At.AT_FDCWD, directory, out FileStat stat, At.AT_SYMLINK_NOFOLLOW).IsError || stat.st_dev != file.Stat.st_dev)
            {
                continue;
            }

            SysResult opened = Sys.OpenTree(At.AT_FDCWD, directory, Flags);
            if (opened.IsError)
            {
                continue;
            }

            using var tree = new Fd(opened.Int32);
            if (!Sys.StatAt(tree.Number, Below(directory, path), out FileStat found, At.AT_SYMLINK_NOFOLLOW).IsError
                && found.st_dev == file.Stat.st_dev
                && found.st_ino == file.Stat.st_ino)
            {
                return directory;
            }
        }

        return null;
    }

    // ---- restore

    /// <summary>Opens it.</summary>
    /// <exception cref="LinuxException">It can't be reached.</exception>
    public static Fd Open(RegFileEntry file, OpenFlags flags)
    {
        using var tree = new Fd(
            Sys.OpenTree(At.AT_FDCWD, file.CoveredBelow, Flags).OrThrow($"open_tree({file.CoveredBelow}, OPEN_TREE_CLONE)").Int32);
        string below = Below(file.CoveredBelow, file.Name);
        SysResult opened = Sys.OpenAt(tree.Number, below, flags | OpenFlags.O_CLOEXEC, 0);
        return new Fd(opened.OrThrow($"openat({file.CoveredBelow}, {below})").Int32);
    }

    private static string Below(string directory, string path)
        => path.Length > directory.Length ? path[directory.Length..].TrimStart('/') : ".";
}
