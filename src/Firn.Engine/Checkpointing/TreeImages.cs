using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Kinds.Tasks;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;

namespace Firn.Engine.Checkpointing;

/// <summary>The images of the tree as a whole: inventory, process tree, and one core, ids, mm and fs for each task.</summary>
internal static class TreeImages
{
    private const uint ImageVersion = 2;

    // enum NETWORK_LOCK_METHOD of CRIU.
    private const uint Nftables = 1;
    private const uint Skipped = 2;

    /// <summary>Adds them all.</summary>
    public static void Add(DumpContext context)
    {
        foreach (DumpedTask task in context.Tasks)
        {
            AddTask(context, task);
        }

        MappedIds.MapDump(context);
        if (context.Namespace(CloneFlags.CLONE_NEWTIME).IsFirns)
        {
            context.Images.Add(ImageKind.Timens, 0, TimeNamespace.Now(0, 0));
        }

        InventoryEntry inventory = context.Inventory;
        inventory.ImgVersion = ImageVersion;
        inventory.FdinfoPerId = true;
        inventory.RootIds = KernelObjectIds.Own();
        inventory.NsPerId = true;
        inventory.RootCgSet = 1;
        inventory.Lsmtype = Lsmtype.NoLsm;
        inventory.NetworkLockMethod = context.Options.NetworkLock == NetworkLock.Skip ? Skipped : context.Packets!.HasLocked ? Nftables : 0;
        inventory.PluginsEntry = new PluginsEntry();
        inventory.DumpCriuRunId = context.RunId;
        context.Images.Add(ImageKind.Inventory, 0, inventory);
    }

    private static void AddNestedIds(DumpedTask task, PstreeEntry tree)
    {
        if (task.PidDepth == 0)
        {
            return;
        }

        if (task.DeadLeader is not null)
        {
            tree.NestedThreads.Add(ToMessage(task.Status.NStgid));
        }

        tree.NestedThreads.AddRange(task.Threads.Select(thread => ToMessage(thread.Ids)));
        tree.NestedGroup = ToMessage(task.Status.NSpgid);
        tree.NestedSession = ToMessage(task.Status.NSsid);

        NestedIds ToMessage(int[] ids) => new() { Ids = { ids.Skip(task.PidLevel + 1).Select(id => (uint)id) } };
    }

    private static void AddTask(DumpContext context, DumpedTask task)
    {
        var tree = new PstreeEntry
        {
            Pid = (uint)task.InnerPid,
            Ppid = (uint)(task.Parent?.InnerPid ?? 0),
            Pgid = (uint)task.InnerGroup,
            Sid = (uint)task.InnerSession,
        };
        if (task.DeadLeader is not null)
        {
            tree.Threads.Add((uint)task.InnerPid);
            context.Images.Add(ImageKind.Core, (ulong)task.InnerPid, task.Core);
        }

        tree.Threads.AddRange(task.Threads.Select(thread => (uint)thread.InnerTid));
        AddNestedIds(task, tree);
        context.Images.Add(ImageKind.Pstree, 0, tree);
        ulong pid = (ulong)task.InnerPid;
        if (task.IsZombie)
        {
            TaskStates.DumpZombie(task);
            context.Images.Add(ImageKind.Core, pid, task.Core);
            return;
        }

        context.Images.Add(ImageKind.Ids, pid, task.Ids);
        if (task.MemoryOwner == task)
        {
            context.Images.Add(ImageKind.Mm, pid, task.Mm);
        }

        foreach (DumpedThread thread in task.Threads)
        {
            context.Images.Add(ImageKind.Core, (ulong)thread.InnerTid, thread.Core);
        }
    }
}
