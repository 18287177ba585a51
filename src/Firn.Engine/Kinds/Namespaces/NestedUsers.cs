using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>User namespaces of tasks below the tree's root: what is asked of them in a dump. user_namespaces(7).</summary>
internal static class NestedUsers
{
    /// <summary>Says what of a nested user namespace would make a restore fail.</summary>
    public static void Examine(DumpContext context, DumpedNamespace own)
    {
        if (NamespaceOwners.ParentInode(own) != context.Namespace(CloneFlags.CLONE_NEWUSER).Inode)
        {
            context.Problems.Add(
                "nested-user-depth",
                own.Member.Pid,
                $"user namespace {own.Inode}",
                "it was made in a user namespace that is itself below that of the tree's root, and such can't be saved yet",
                "dump the inner tree by itself, or end it");
        }

        List<DumpedTask> members = [.. context.Tasks.Where(task => !task.IsZombie && task.Ids.UserNsId == own.Id)];
        (IdMap users, IdMap groups) = (IdMap.Read(own.Member.Pid, "uid_map"), IdMap.Read(own.Member.Pid, "gid_map"));
        foreach (DumpedTask task in members)
        {
            bool shares = members.Exists(other => other != task
                && (other.Ids.FsId == task.Ids.FsId || other.Ids.FilesId == task.Ids.FilesId || other.Ids.VmId == task.Ids.VmId));
            if (shares)
            {
                context.Problems.Add(
                    "nested-user-shared",
                    task.Pid,
                    $"user namespace {own.Inode}",
                    "the task shares memory, descriptors or directories with another process, and as such it can't go there",
                    "let the other process end first");
            }

            // Who is born there may become only who has a place in its maps.
            DumpedTask? parent = task.Parent;
            bool isMapped = IsMapped(users, task.Status.Uid) && IsMapped(groups, task.Status.Gid);
            if (!isMapped && parent is not null && parent.Ids.UserNsId == own.Id
                && !(task.Status.Uid.SequenceEqual(parent.Status.Uid) && task.Status.Gid.SequenceEqual(parent.Status.Gid)))
            {
                context.Problems.Add(
                    "nested-user-ids",
                    task.Pid,
                    $"user namespace {own.Inode}",
                    "the task has ids without a place in its maps, and other ones than its parent",
                    "let the task end first");
            }
        }

        ExamineOwned(context, own);
    }

    private static void ExamineOwned(DumpContext context, DumpedNamespace own)
    {
        foreach (DumpedNamespace pids in Owned(context, own).Where(owned => owned.Kind.Flag == CloneFlags.CLONE_NEWPID))
        {
            // All that its init makes is born in the user namespace, and stays in it and in what it owns.
            foreach (DumpedTask task in context.Tasks.Where(
                task => !task.IsZombie && task.Namespaces.Pid == pids.Inode && task.Parent!.Namespaces.Pid == pids.Inode))
            {
                bool isElsewhere = task.Ids.UserNsId != own.Id || context.Nested.Exists(other => other.Kind.Flag != CloneFlags.CLONE_NEWPID
                    && other.Id == other.Kind.GetId(task.Ids) && other.Id != other.Kind.GetId(task.Parent!.Ids)
                    && NamespaceOwners.NestedOwner(context, other) != own);
                if (isElsewhere)
                {
                    context.Problems.Add(
                        "nested-user-mixed",
                        task.Pid,
                        $"user namespace {own.Inode}",
                        "a task of a pid namespace that it owns is in a namespace that it doesn't own",
                        "let the task end first");
                }
            }

            if (pids.Member.Ids.UserNsId != own.Id)
            {
                context.Problems.Add(
                    "nested-user-mixed",
                    pids.Member.Pid,
                    $"user namespace {own.Inode}",
                    "it owns a pid namespace whose init is in another user namespace",
                    "let the task end first");
            }
        }
    }

    /// <summary>Refuses a namespace whose owner could not be the same again.</summary>
    public static void ExamineOwner(DumpContext context, DumpedNamespace own)
    {
        ulong owner = own.IsFirns ? 0 : NamespaceOwners.OwnerInode(own);
        bool isKnown = owner == 0
            || owner == context.Namespace(CloneFlags.CLONE_NEWUSER).Inode
            || NamespaceOwners.NestedOwner(context, own) is not null;
        if (!isKnown)
        {
            context.Problems.Add(
                "nested-owner",
                own.Member.Pid,
                $"{own.Kind.Name} namespace {own.Inode}",
                $"it is owned by user namespace {owner}, which no task of the tree is in",
                "dump the inner tree by itself, or end it");
        }
    }

    /// <summary>The namespaces below the root's that a nested user namespace owns.</summary>
    public static IEnumerable<DumpedNamespace> Owned(DumpContext context, DumpedNamespace own)
        => context.Nested.Where(other => other.Kind.Flag != CloneFlags.CLONE_NEWUSER && NamespaceOwners.NestedOwner(context, other) == own);

    /// <summary>Adds to the maps what a restore has to know besides.</summary>
    public static void Dump(DumpContext context, DumpedNamespace own, UsernsEntry entry)
    {
        // As the namespace has them that it was made in.
        DumpedNamespace roots = context.Namespace(CloneFlags.CLONE_NEWUSER);
        IdMap? users = roots.IsFirns ? null : IdMap.Read(roots.Member.Pid, "uid_map");
        IdMap? groups = roots.IsFirns ? null : IdMap.Read(roots.Member.Pid, "gid_map");
        foreach (UidGidExtent extent in entry.UidMap)
        {
            extent.LowerFirst = users?.ToInner(extent.LowerFirst) ?? extent.LowerFirst;
        }

        foreach (UidGidExtent extent in entry.GidMap)
        {
            extent.LowerFirst = groups?.ToInner(extent.LowerFirst) ?? extent.LowerFirst;
        }

        uint owner = NamespaceOwners.OwnerUser(own);
        entry.OwnerUid = users?.ToInner(owner) ?? owner;
        entry.SetgroupsDenied = Sys.ReadText($"/proc/{own.Member.Pid}/setgroups").StartsWith("deny", StringComparison.Ordinal);
        entry.OwnedNsId.AddRange(Owned(context, own).Select(owned => owned.Id));
    }

    private static bool IsMapped(IdMap map, IEnumerable<uint> ids) => ids.All(id => map.ToOuter(map.ToInner(id)) == id);
}
