using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Tree;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Restoring;

/// <summary>What a tree gets that had no pid namespace, and is restored into a new one: that, and a /proc that shows it.</summary>
/// <remarks>
/// As `unshare --pid --fork --mount-proc` makes them. All other mounts are Firn's, and follow what is mounted later there.
/// </remarks>
internal static class AddedNamespaces
{
    // MS_* of sys/mount.h.
    private const int MS_NOSUID = 2;
    private const int MS_NODEV = 4;
    private const int MS_NOEXEC = 8;
    private const int MS_REC = 0x4000;
    private const int MS_SLAVE = 0x80000;

    /// <summary>The namespaces that are added, where the tree has none of its own.</summary>
    public const CloneFlags Flags = CloneFlags.CLONE_NEWPID | CloneFlags.CLONE_NEWNS;

    /// <summary>Puts into them what belongs there.</summary>
    public static void Fill(RestoreContext context, Remote first)
    {
        PidNamespace.SetLastPid(context, first);
        if (context.OwnNamespace(CloneFlags.CLONE_NEWNS) is { IsAdded: true })
        {
            RemoteBatch batch = first.Batch;
            batch.Call(Sysno.mount, 0, batch.Text("/"), 0, MS_REC | MS_SLAVE, 0);
            RemoteBuffer name = batch.Text("proc");
            batch.Call(Sysno.mount, name, batch.Text("/proc"), name, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0);
            batch.Run("mount /proc");
        }
    }
}
