using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>Opens mounts that lie under others: in a copy of the namespace, in which what covers them is taken off.</summary>
/// <remarks>The copy is a thread's, and ends with it. umount2(2), MNT_DETACH.</remarks>
internal static class CoveredMounts
{
    /// <summary>Opens mounts of the tree.</summary>
    /// <param name="own">The namespace.</param>
    /// <param name="view">What is known of it.</param>
    /// <param name="wanted">The mounts.</param>
    /// <returns>Descriptors of their roots, by the number of the file system.</returns>
    /// <exception cref="CheckpointException">One can't be reached.</exception>
    public static List<(uint Device, Fd Mount)> Open(DumpedNamespace own, MountView view, IReadOnlyList<MountNode> wanted)
    {
        List<(uint Device, Fd Mount)> opened = [];
        HashSet<uint> waiting = [.. wanted.Select(node => node.Entry.MntId)];
        InCopy(own.Member.PidFd, MountFlags.MS_PRIVATE, () => Peel(view.AllEntries, waiting, (node, path) => opened.Add(
            (node.Entry.RootDev, Sys.Open(path, OpenFlags.O_PATH | OpenFlags.O_DIRECTORY | OpenFlags.O_NOFOLLOW)))));
        return opened;
    }

    /// <summary>Copies mounts of Firn's own namespace, each twice: private, and as a slave of the group of its original.</summary>
    /// <param name="here">All mounts of the namespace.</param>
    /// <param name="wanted">The ids of those that are wanted, each as often as copies are.</param>
    /// <returns>The copies, mounted nowhere, in the order in which they were wanted.</returns>
    /// <exception cref="CheckpointException">One can't be reached.</exception>
    public static (Fd Private, Fd Slave)[] CopyHere(IReadOnlyList<MountEntry> here, IReadOnlyList<uint> wanted)
    {
        const int Copy = MountCall.OPEN_TREE_CLONE | MountCall.OPEN_TREE_CLOEXEC | At.AT_SYMLINK_NOFOLLOW;
        var copies = new (Fd Private, Fd Slave)[wanted.Count];
        IEnumerable<MntEntry> entries = here.Select(mount => new MntEntry
        {
            MntId = (uint)mount.Id,
            ParentMntId = (uint)mount.ParentId,
            Mountpoint = mount.MountPoint,
            Root = "/",
        });
        InCopy(null, MountFlags.MS_SLAVE, () => Peel([.. entries], [.. wanted], (node, path) =>
        {
            foreach (int index in Enumerable.Range(0, wanted.Count).Where(index => wanted[index] == node.Entry.MntId))
            {
                copies[index] = (Take(path), Take(path));
                MountAttr attributes = new() { propagation = (ulong)MountFlags.MS_PRIVATE };
                Sys.MountSetAttr(copies[index].Private.Number, attributes).OrThrow($"mount_setattr({path}, MS_PRIVATE)");
            }
        }));
        return copies;

        static Fd Take(string path) => new(Sys.OpenTree(At.AT_FDCWD, path, Copy).OrThrow($"open_tree({path})").Int32);
    }

    private static void InCopy(Fd? task, MountFlags propagation, Action work)
    {
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                Sys.Unshare(CloneFlags.CLONE_FS).OrThrow("unshare(CLONE_FS)");
                if (task is not null)
                {
                    Sys.SetNs(task.Number, CloneFlags.CLONE_NEWNS).OrThrow("setns(mnt)");
                }

                Sys.Unshare(CloneFlags.CLONE_NEWNS).OrThrow("unshare(CLONE_NEWNS)");
                Sys.SetPropagation("/", MountFlags.MS_REC | propagation).OrThrow($"mount(/, {propagation})");
                work();
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
            throw new CheckpointException($"what other mounts cover can't be reached: {failure.Message}", failure);
        }
    }

    // From the last node up: children before parents, and of siblings first those that may lie over others.
    private static void Peel(IReadOnlyList<MntEntry> entries, HashSet<uint> waiting, Action<MountNode, string> open)
    {
        foreach (MountNode node in ChildrenFirst(MountNode.Build(entries)[0]))
        {
            string path = node.Entry.Mountpoint;
            if (waiting.Remove(node.Entry.MntId))
            {
                open(node, path);
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
