using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>Opens mounts that lie under others: in a copy of the namespace, in which what covers them is taken off.</summary>
/// <remarks>The copy is a thread's, and ends with it. umount2(2), MNT_DETACH.</remarks>
internal static class CoveredMounts
{
    /// <summary>Opens mounts.</summary>
    /// <param name="own">The namespace.</param>
    /// <param name="view">What is known of it.</param>
    /// <param name="wanted">The mounts.</param>
    /// <returns>Descriptors of their roots, by the number of the file system.</returns>
    /// <exception cref="CheckpointException">One can't be reached.</exception>
    public static List<(uint Device, Fd Mount)> Open(DumpedNamespace own, MountView view, IReadOnlyList<MountNode> wanted)
    {
        List<(uint Device, Fd Mount)> opened = [];
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                Sys.Unshare(CloneFlags.CLONE_FS).OrThrow("unshare(CLONE_FS)");
                Sys.SetNs(own.Member.PidFd.Number, CloneFlags.CLONE_NEWNS).OrThrow("setns(mnt)");
                Sys.Unshare(CloneFlags.CLONE_NEWNS).OrThrow("unshare(CLONE_NEWNS)");
                Sys.SetPropagation("/", MountFlags.MS_REC | MountFlags.MS_PRIVATE).OrThrow("mount(/, MS_PRIVATE)");
                Peel(view, wanted, opened);
            }
            catch (LinuxException exception)
            {
                failure = exception;
            }
        });
        thread.Start();
        thread.Join();
        if (failure is not null)
        {
            opened.ForEach(content => content.Mount.Dispose());
            throw new CheckpointException($"a tmpfs that other mounts cover can't be read: {failure.Message}", failure);
        }

        return opened;
    }

    // From the last node up: children before parents, and of siblings first those that may lie over others.
    private static void Peel(MountView view, IReadOnlyList<MountNode> wanted, List<(uint Device, Fd Mount)> opened)
    {
        HashSet<uint> waiting = [.. wanted.Select(node => node.Entry.MntId)];
        foreach (MountNode node in ChildrenFirst(MountNode.Build(view.AllEntries)[0]))
        {
            string path = node.Entry.Mountpoint;
            if (waiting.Remove(node.Entry.MntId))
            {
                opened.Add((node.Entry.RootDev, Sys.Open(path, OpenFlags.O_PATH | OpenFlags.O_DIRECTORY | OpenFlags.O_NOFOLLOW)));
            }

            if (waiting.Count == 0)
            {
                return;
            }

            Sys.Unmount(path, MountCall.MNT_DETACH | MountCall.UMOUNT_NOFOLLOW).OrThrow($"umount2({path})");
        }
    }

    private static IEnumerable<MountNode> ChildrenFirst(MountNode node)
        => node.Children.AsEnumerable().Reverse().SelectMany(ChildrenFirst).Append(node);
}
