using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>User namespaces of tasks below the tree's root: what is asked of them in a dump. user_namespaces(7).</summary>
internal static class NestedUsers
{
    /// <summary>
    /// Finds user namespaces that no task is in any more, and that own others or were gone on from: as sandboxes have them, whose program
    /// is to have other ids than who has set it up.
    /// </summary>
    public static void AddWithoutTasks(DumpContext context, ref uint last)
    {
        ulong roots = context.Namespace(CloneFlags.CLONE_NEWUSER).Inode;
        List<DumpedNamespace> waiting = [.. context.Nested.Where(own => !own.IsFirns)];
        for (int i = 0; i < waiting.Count; i++)
        {
            bool isUser = waiting[i].Kind.Flag == CloneFlags.CLONE_NEWUSER;
            Fd? above = isUser ? NamespaceOwners.OpenParent(waiting[i]) : NamespaceOwners.OpenOwner(waiting[i]);
            ulong inode = above is null ? 0 : NamespaceOwners.InodeOf(above);
            if (above is null || inode == roots || !IsBelow(above, roots) || context.Nested.Exists(own => own.Inode == inode))
            {
                above?.Dispose();
                continue;
            }

            var found = new DumpedNamespace
            {
                Kind = context.Namespace(CloneFlags.CLONE_NEWUSER).Kind,
                Id = ++last,
                Inode = inode,
                IsFirns = false,
                IsNested = true,
                Member = waiting[i].Member,
                Handle = above,
            };
            context.Files.State.Get<Handles>().Add(above);

            // Where it was made comes before it.
            context.Nested.Insert(0, found);
            waiting.Add(found);
        }
    }

    private static bool IsBelow(Fd user, ulong roots)
    {
        const uint NS_GET_PARENT = 0xb702;
        Fd at = new(Sys.Fcntl(user.Number, FcntlCommand.F_DUPFD_CLOEXEC, 0).OrThrow("fcntl(a namespace, F_DUPFD_CLOEXEC)").Int32);
        while (NamespaceOwners.InodeOf(at) != roots)
        {
            SysResult parent = Sys.Ioctl(at.Number, NS_GET_PARENT);
            at.Dispose();
            if (parent.IsError)
            {
                return false;
            }

            at = new Fd(parent.Int32);
        }

        at.Dispose();
        return true;
    }

    /// <summary>The nested user namespace that one was made in; null if it was made in that of the tree's root.</summary>
    public static DumpedNamespace? ParentOf(DumpContext context, DumpedNamespace own)
        => NamespaceOwners.ParentInode(own) is ulong inode
            ? context.Nested.Find(other => other.Kind == own.Kind && other.Inode == inode)
            : null;

    private static bool IsIn(DumpContext context, uint user, DumpedNamespace own)
    {
        DumpedNamespace? first = context.Nested.Find(other => other.Kind == own.Kind && other.Id == user);
        for (DumpedNamespace? at = first; at is not null; at = ParentOf(context, at))
        {
            if (at == own)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Says what of a nested user namespace would make a restore fail.</summary>
    public static void Examine(DumpContext context, DumpedNamespace own)
    {
        if (ParentOf(context, own) is null && NamespaceOwners.ParentInode(own) != context.Namespace(CloneFlags.CLONE_NEWUSER).Inode)
        {
            context.Problems.Add(
                "nested-user-depth",
                own.Member.Pid,
                $"user namespace {own.Inode}",
                "it was made in a user namespace that is neither that of the tree's root nor below it",
                "dump the inner tree by itself, or end it");
        }

        if (own.Handle is not null && !context.Nested.Exists(other => other.Handle is null && ParentOf(context, other) == own))
        {
            context.Problems.Add(
                "nested-owner",
                own.Member.Pid,
                $"user namespace {own.Inode}",
                "no task of the tree is in it, nor in a user namespace that was made in it, so that its maps can't be known",
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
                bool isElsewhere = !IsIn(context, task.Ids.UserNsId, own) || context.Nested.Exists(
                    other => other.Kind.Flag is not (CloneFlags.CLONE_NEWPID or CloneFlags.CLONE_NEWUSER)
                    && other.Id == other.Kind.GetId(task.Ids) && other.Id != other.Kind.GetId(task.Parent!.Ids)
                    && (NamespaceOwners.NestedOwner(context, other) is not { } owner || !IsIn(context, owner.Id, own)));
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

            DumpedTask init = context.Tasks.Find(
                task => !task.IsZombie && task.OwnPid == AddedInit.Pid && task.Namespaces.Pid == pids.Inode) ?? pids.Member;
            if (!IsIn(context, init.Ids.UserNsId, own) || (init.Ids.UserNsId != own.Id && init.Threads.Count > 1))
            {
                context.Problems.Add(
                    "nested-user-mixed",
                    init.Pid,
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
        DumpedNamespace? parent = ParentOf(context, own);
        if (parent is not null)
        {
            entry.ParentId = parent.Id;
        }

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

        // One that no task is in has given it on to those that were made in it.
        entry.SetgroupsDenied = Sys.ReadText($"/proc/{own.Member.Pid}/setgroups").StartsWith("deny", StringComparison.Ordinal);
        entry.OwnedNsId.AddRange(Owned(context, own).Select(owned => owned.Id));
    }

    /// <summary>
    /// The maps of a namespace that no task is in: as far as those of the namespaces that were made in it tell. A task in one of these is
    /// shown the numbers that its own map leads to there.
    /// </summary>
    public static (List<UidGidExtent> Users, List<UidGidExtent> Groups) MapsWithoutTask(DumpContext context, DumpedNamespace own)
    {
        List<UidGidExtent> users = [];
        List<UidGidExtent> groups = [];
        foreach (DumpedNamespace child in context.Nested.Where(
            other => other.Kind == own.Kind && other.Handle is null && ParentOf(context, other) == own))
        {
            users.AddRange(Leading(child, "uid_map").Where(extent => !users.Exists(known => known.First == extent.First)));
            groups.AddRange(Leading(child, "gid_map").Where(extent => !groups.Exists(known => known.First == extent.First)));
        }

        return (users, groups);
    }

    private static IEnumerable<UidGidExtent> Leading(DumpedNamespace child, string name)
    {
        const int MostOfMap = 4096;
        List<UidGidExtent> outside = UserNamespace.Read(child.Member.Pid, name);
        RemoteBatch batch = child.Member.Leader.Remote!.Batch;
        RemoteBuffer text = batch.Allocate(MostOfMap);
        const int ForReading = (int)(OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        Slot fd = batch.Try(Sysno.openat, At.AT_FDCWD, batch.Text($"/proc/thread-self/{name}"), ForReading);
        Slot length = batch.Try(Sysno.read, fd, text, MostOfMap);
        batch.Try(Sysno.close, fd);
        string seen = string.Empty;
        batch.Then(() => seen = length.Result.IsError ? string.Empty : System.Text.Encoding.ASCII.GetString(text.Bytes[..length.Int32]));
        batch.Run("ask for a map");
        List<UidGidExtent> within = UserNamespace.Parse(seen);

        // Without a /proc of its own it can't tell, and can't see either.
        return outside.Select((extent, i) => new UidGidExtent
        {
            First = within.Count == outside.Count ? within[i].LowerFirst : extent.LowerFirst,
            LowerFirst = extent.LowerFirst,
            Count = extent.Count,
        });
    }

    // What is open for them.
    private sealed class Handles : List<Fd>, IDisposable
    {
        public void Dispose() => ForEach(fd => fd.Dispose());
    }

    private static bool IsMapped(IdMap map, IEnumerable<uint> ids) => ids.All(id => map.ToOuter(map.ToInner(id)) == id);
}
