using Firn.Images;
using Firn.Linux.Abi;

namespace Firn.Engine.Tree;

/// <summary>
/// What processes share without being threads of one process: memory, descriptors, directories, signal handlers; and who can make such
/// a process. clone(2), CLONE_VM, CLONE_FILES, CLONE_FS, CLONE_SIGHAND.
/// </summary>
/// <remarks>
/// What is shared can only be had from one who has it, at birth. So a process is made by its parent if that shares all of it, or by one
/// of the parent's other children (CLONE_PARENT).
/// </remarks>
internal static class SharedState
{
    private static readonly (CloneFlags Flag, Func<TaskKobjIdsEntry, uint> Id)[] Objects =
    [
        (CloneFlags.CLONE_VM, ids => ids.VmId),
        (CloneFlags.CLONE_FILES, ids => ids.FilesId),
        (CloneFlags.CLONE_FS, ids => ids.FsId),
        (CloneFlags.CLONE_SIGHAND, ids => ids.SighandId),
    ];

    /// <summary>What two processes have in common.</summary>
    public static CloneFlags Common(TaskKobjIdsEntry one, TaskKobjIdsEntry other)
    {
        CloneFlags common = 0;
        foreach ((CloneFlags flag, Func<TaskKobjIdsEntry, uint> id) in Objects)
        {
            common |= id(one) != 0 && id(one) == id(other) ? flag : 0;
        }

        return common;
    }

    /// <summary>Finds who can make a process with all that it shares.</summary>
    /// <param name="task">The process.</param>
    /// <param name="shared">What is shared with processes that come before it: see <see cref="Seen"/>.</param>
    /// <param name="earlier">All that come before it in the order of images.</param>
    /// <param name="ids">The ids of what a process has.</param>
    /// <param name="parent">The parent of a process.</param>
    /// <returns>The parent, or a child of the parent; null where no one has all of it.</returns>
    public static T? FindCreator<T>(T task, CloneFlags shared, IEnumerable<T> earlier, Func<T, TaskKobjIdsEntry> ids, Func<T, T?> parent)
        where T : class
    {
        T? above = parent(task);
        if (shared == 0 || above is null)
        {
            return above;
        }

        // The parent comes first of all these.
        foreach (T candidate in earlier)
        {
            if ((candidate == above || parent(candidate) == above) && (Common(ids(task), ids(candidate)) & shared) == shared)
            {
                return candidate;
            }
        }

        return null;
    }

    /// <summary>What was met so far, in the order of images.</summary>
    public sealed class Seen
    {
        private readonly HashSet<uint>[] met = [.. Objects.Select(_ => new HashSet<uint>())];

        /// <summary>Takes a process in.</summary>
        /// <returns>What it shares with processes that came before.</returns>
        public CloneFlags Add(TaskKobjIdsEntry ids)
        {
            CloneFlags shared = 0;
            for (int i = 0; i < Objects.Length; i++)
            {
                shared |= Objects[i].Id(ids) is not 0 and uint id && !met[i].Add(id) ? Objects[i].Flag : 0;
            }

            return shared;
        }
    }
}
