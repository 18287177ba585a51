using Firn.Engine.Kinds.Namespaces.Mounts;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Files;

/// <summary>What the name of an open file is worth.</summary>
internal enum NameState
{
    /// <summary>The name leads to the file.</summary>
    Good,

    /// <summary>The file has no name left at all: it has to be saved whole.</summary>
    Unlinked,

    /// <summary>This name is gone, but the file has another one.</summary>
    Lost,

    /// <summary>The name leads nowhere, though it was not unlinked.</summary>
    Unreachable,

    /// <summary>The name leads to another file.</summary>
    Covered,

    /// <summary>The name leads elsewhere, but past what is mounted over it, it leads to the file.</summary>
    Reachable,

    /// <summary>It is a file in /proc of a process that is gone.</summary>
    DeadProcess,
}

/// <summary>The name under which an open file is saved.</summary>
/// <param name="State">What it is worth.</param>
/// <param name="Path">The name, without the " (deleted)" that the kernel adds.</param>
/// <param name="Below">For one that is <see cref="NameState.Reachable"/>: the directory from which it can be reached.</param>
internal readonly record struct FileName(NameState State, string Path, string Below = "")
{
    private const string DeletedSuffix = " (deleted)";

    /// <summary>Finds out what the name of a file is worth.</summary>
    /// <remarks>
    /// The text of the link proves nothing: a file may be called "x (deleted)", and another one may have taken the place. Only device and
    /// inode of what the path leads to decide. Kernel: fs/d_path.c, d_path().
    /// </remarks>
    public static FileName Of(DumpContext context, OpenFile file)
    {
        Dictionary<OpenFile, FileName> known = context.Files.State.Get<Names>().Known;
        if (!known.TryGetValue(file, out FileName name))
        {
            known.Add(file, name = Find(context, file));
        }

        return name;
    }

    /// <summary>Prepends the way to the mounts of the namespace that a file is in, if those are not Firn's.</summary>
    /// <remarks>Names of files are from the root of the mount namespace, also where a task has another root directory.</remarks>
    public static string AsSeenBy(DumpContext context, OpenFile file, string path)
        => context.Files.State.Get<MountViews>().PrefixFor(file) + path;

    private static FileName Find(DumpContext context, OpenFile file)
    {
        bool marked = file.Link.EndsWith(DeletedSuffix, StringComparison.Ordinal);
        if (LeadsTo(context, file, file.Link) is NameState.Good)
        {
            return new FileName(NameState.Good, file.Link);
        }

        string path = marked ? file.Link[..^DeletedSuffix.Length] : file.Link;
        if (ProcFiles.ProcessOf(path) is int pid and not 0 && IsGone(context, file, pid))
        {
            return new FileName(NameState.DeadProcess, path);
        }

        if (file.Stat.st_nlink == 0)
        {
            return new FileName(NameState.Unlinked, path);
        }

        if (marked)
        {
            return new FileName(NameState.Lost, path);
        }

        NameState state = LeadsTo(context, file, path);
        return state is NameState.Covered or NameState.Unreachable && CoveredFile.DirectoryFor(context, file, path) is { } below
            ? new FileName(NameState.Reachable, path, below)
            : new FileName(state, path);
    }

    private static bool IsGone(DumpContext context, OpenFile file, int pid)
        => !Sys.StatAt(At.AT_FDCWD, AsSeenBy(context, file, ProcFiles.Root), out FileStat proc).IsError
        && proc.st_dev == file.Stat.st_dev
        && Sys.StatAt(At.AT_FDCWD, AsSeenBy(context, file, $"{ProcFiles.Root}{pid}"), out _).Errno == Errno.ENOENT;

    private static NameState LeadsTo(DumpContext context, OpenFile file, string path)
    {
        SysResult result = Sys.StatAt(At.AT_FDCWD, AsSeenBy(context, file, path), out FileStat stat, At.AT_SYMLINK_NOFOLLOW);
        if (result.IsError)
        {
            return NameState.Unreachable;
        }

        // Inodes of /proc are made anew at any look-up.
        bool same = stat.st_dev == file.Stat.st_dev
            && (stat.st_ino == file.Stat.st_ino || path.StartsWith("/proc/", StringComparison.Ordinal));
        return same ? NameState.Good : NameState.Covered;
    }

    private sealed class Names
    {
        public Dictionary<OpenFile, FileName> Known { get; } = [];
    }
}
