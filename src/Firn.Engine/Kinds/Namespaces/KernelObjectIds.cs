using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>
/// Which kernel objects the processes of a tree share: memory, descriptor tables, working directories, signal tables, namespaces.
/// </summary>
/// <remarks>
/// The same object has the same id. Firn itself is number 1 of each, as CRIU is in its images: a process in the namespace of Firn's own
/// has the id that <see cref="Own"/> says, and the inventory. kcmp(2), which also gives an order, so that each process is found or
/// placed in few comparisons; namespaces(7).
/// </remarks>
internal static class KernelObjectIds
{
    private const uint First = 1;
    private const uint FirstNamespaces = 8;

    /// <summary>Firn's own ids: root_ids of the inventory. The numbers of namespaces are those that CRIU gives first.</summary>
    public static TaskKobjIdsEntry Own() => new()
    {
        VmId = First,
        FilesId = First,
        FsId = First,
        SighandId = First,
        PidNsId = 1,
        NetNsId = 2,
        IpcNsId = 3,
        UtsNsId = 4,
        TimeNsId = 5,
        MntNsId = 6,
        UserNsId = 7,
        CgroupNsId = 8,
    };

    /// <summary>
    /// Fills <see cref="DumpedTask.Ids"/> of all processes, and adds what can't be saved to the problems. Needs no remote call.
    /// </summary>
    public static void DumpTree(DumpContext context)
    {
        var memory = new SharedObjects(KcmpType.KCMP_VM);
        var files = new SharedObjects(KcmpType.KCMP_FILES);
        var directories = new SharedObjects(KcmpType.KCMP_FS);
        var signals = new SharedObjects(KcmpType.KCMP_SIGHAND);
        TaskKobjIdsEntry ownIds = Own();
        Dictionary<uint, DumpedTask> owners = [];
        foreach (DumpedTask task in context.Tasks.Where(task => !task.IsZombie))
        {
            task.Ids.MergeFrom(ownIds);
            task.Ids.VmId = memory.IdOf(task.Pid, out bool isOwnMemory);
            if (!isOwnMemory)
            {
                task.MemoryOwner = owners[task.Ids.VmId];
            }

            owners.TryAdd(task.Ids.VmId, task);
            task.Ids.FilesId = files.IdOf(task.Pid, out _);
            task.Ids.FsId = directories.IdOf(task.Pid, out _);

            // Handlers can be shared only with the memory that they lie in (clone(2), CLONE_SIGHAND): who is the first to have its memory
            // has handlers of its own, and is to be known only once there is a second.
            if (isOwnMemory)
            {
                task.Ids.SighandId = signals.NewId();
            }
            else
            {
                signals.Add(task.MemoryOwner.Pid, task.MemoryOwner.Ids.SighandId);
                task.Ids.SighandId = signals.IdOf(task.Pid, out _);
            }
        }

        DumpNamespaces(context);
    }

    // Each is Firn's, or one of the tree's own with the next free id.
    private static void DumpNamespaces(DumpContext context)
    {
        NamespaceIds firns = NamespaceIds.Read(Sys.GetPid());
        DumpedTask root = context.Tasks[0];
        uint last = FirstNamespaces;
        foreach (NamespaceKind kind in NamespaceKinds.All)
        {
            bool isFirns = kind.Inode(root.Namespaces) == kind.Inode(firns);
            var found = new DumpedNamespace
            {
                Kind = kind,
                Id = isFirns ? kind.GetId(Own()) : ++last,
                Inode = kind.Inode(root.Namespaces),
                IsFirns = isFirns,
                Member = root,
            };
            context.Namespaces.Add(found);
            foreach (DumpedTask task in context.Tasks.Where(task => !task.IsZombie))
            {
                kind.SetId(task.Ids, IdOfOther(context, task, found, firns, ref last));
            }
        }

        NestedUsers.AddWithoutTasks(context, ref last);
        foreach (DumpedTask task in context.Tasks.Where(task => !task.IsZombie))
        {
            NamespaceIds its = task.Namespaces;
            SetPidsForChildren(context, task, firns);
            RefuseOther(context, task, "time (for its children)", its.TimeForChildren, its.Time);
        }
    }

    // The link is empty as long as a namespace has no init (kernel/pid_namespace.c, pidns_for_children_get()).
    private static void SetPidsForChildren(DumpContext context, DumpedTask task, NamespaceIds firns)
    {
        ulong next = task.Namespaces.PidForChildren;
        if (next == task.Namespaces.Pid || (next == 0 && firns.PidForChildren == 0))
        {
            return;
        }

        if (next == 0)
        {
            task.Ids.PidForChildrenNsId = NestedPids.WithoutTask;
        }
        else if (context.Of(CloneFlags.CLONE_NEWPID).FirstOrDefault(found => found.Inode == next) is { } known)
        {
            task.Ids.PidForChildrenNsId = known.Id;
        }
        else
        {
            context.Problems.Add(
                "nested-pid-empty",
                task.Pid,
                $"pid namespace {next}",
                "its children would be in it (unshare, setns), and no task of the tree is in it, or it has ended already",
                "let the program end, or dump a tree that holds the first process of that namespace");
        }
    }

    private static uint IdOfOther(DumpContext context, DumpedTask task, DumpedNamespace roots, NamespaceIds firns, ref uint last)
    {
        NamespaceKind kind = roots.Kind;
        ulong inode = kind.Inode(task.Namespaces);
        if (inode == roots.Inode)
        {
            return roots.Id;
        }

        if (!kind.CanBeNested)
        {
            RefuseOther(context, task, kind.Name, inode, roots.Inode);
            return roots.Id;
        }

        if (context.Nested.Find(other => other.Kind == kind && other.Inode == inode) is not { } nested)
        {
            bool isFirns = inode == kind.Inode(firns);
            nested = new DumpedNamespace
            {
                Kind = kind,
                Id = isFirns ? kind.GetId(Own()) : ++last,
                Inode = inode,
                IsFirns = isFirns,
                IsNested = true,
                Member = task,
            };
            context.Nested.Add(nested);
        }

        return nested.Id;
    }

    private static void RefuseOther(DumpContext context, DumpedTask task, string name, ulong inode, ulong expected)
    {
        if (inode != expected)
        {
            context.Problems.Add(
                "nested-namespace",
                task.Pid,
                $"{name} namespace {inode}",
                "it is another than that of the tree's root, and such trees can't be saved yet",
                "dump the inner tree by itself, or end it");
        }
    }

    /// <summary>The objects of one kind that were met so far, in the kernel's order.</summary>
    private sealed class SharedObjects(KcmpType type)
    {
        private readonly List<(int Pid, uint Id)> known = [];
        private uint last = First;

        /// <summary>The id of a process's object: one of its own, or that of a process which shares it.</summary>
        public uint IdOf(int pid, out bool isNew)
        {
            int place = Find(pid);
            isNew = place < 0;
            if (!isNew)
            {
                return known[place].Id;
            }

            known.Insert(~place, (pid, ++last));
            return last;
        }

        /// <summary>Takes in a process whose id was given by <see cref="NewId"/>, unless it is known.</summary>
        public void Add(int pid, uint id)
        {
            if (Find(pid) is < 0 and int place)
            {
                known.Insert(~place, (pid, id));
            }
        }

        /// <summary>The id of an object that no other process has.</summary>
        public uint NewId() => ++last;

        // The place of an object, or the complement of where it would be.
        private int Find(int pid)
        {
            int low = 0;
            int high = known.Count;
            while (low < high)
            {
                int middle = (low + high) / 2;
                switch (Sys.Kcmp(pid, known[middle].Pid, type).OrThrow($"kcmp({pid}, {known[middle].Pid}, {type})").Int32)
                {
                    case 0:
                        return middle;
                    case 1:
                        high = middle;
                        break;
                    default:
                        low = middle + 1;
                        break;
                }
            }

            return ~low;
        }
    }
}
