using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Kinds.Tasks;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Restoring;

/// <summary>User namespaces below that of the tree's root, and what they own. user_namespaces(7), setns(2).</summary>
/// <remarks>
/// Who is in one has rights there alone, and never gets others again. So a namespace that one owns is made by a process that is there for
/// nothing else, and tasks go into theirs as late as they can. The init of a pid namespace can't: it must be born in the user namespace
/// that owns this, and so must all that come from it. Their ids in pid namespaces that others own they can't choose
/// (<see cref="GrowingTree"/>).
/// </remarks>
internal static class NestedUserStage
{
    private const uint NoSetuidFixup = 1 << 2;
    private const int Keep = -1;

    /// <summary>Finds out who owns what, and which tasks are in which.</summary>
    /// <exception cref="ImageFormatException">A task's user namespace owns what it can't.</exception>
    public static void Plan(RestoreContext context)
    {
        foreach (RestoredNamespace own in context.Nested.Where(own => own.Kind is UserNamespace))
        {
            HashSet<uint> owned = [.. context.Images.One<UsernsEntry>(ImageKind.Userns, own.Id).OwnedNsId];
            context.Nested.FindAll(other => other != own && owned.Contains(other.Id)).ForEach(other => other.Owner = own);
            context.NestedPids.FindAll(pids => owned.Contains(pids.Id)).ForEach(pids => pids.Owner = own);
            context.Tasks.FindAll(task => !task.IsZombie && task.Ids.UserNsId == own.Id).ForEach(task => task.User = own);
        }

        // Who makes a task stands before it.
        foreach (RestoredTask task in context.Tasks)
        {
            RestoredNamespace? owner = task.Pids is { } its && its.Init == task ? its.Owner : null;
            task.BirthUser = owner ?? task.Creator?.BirthUser;
            if (!task.IsZombie && task.BirthUser is { } birth && !IsIn(context, task.User, birth))
            {
                throw new ImageFormatException(
                    ImageKind.Ids.FileName((ulong)task.Pid),
                    0,
                    "user-namespace",
                    "says that the task is in another user namespace than who makes it, and can't leave; the image set is damaged");
            }
        }
    }

    /// <summary>How many user namespaces lie between one and that of the tree's root.</summary>
    public static int DepthOf(RestoreContext context, RestoredNamespace own)
    {
        int depth = 0;
        for (RestoredNamespace? at = ParentOf(context, own); at is not null && depth <= context.Nested.Count; at = ParentOf(context, at))
        {
            depth++;
        }

        return depth;
    }

    private static RestoredNamespace? ParentOf(RestoreContext context, RestoredNamespace own)
        => context.Images.One<UsernsEntry>(ImageKind.Userns, own.Id).ParentId is not 0 and uint parent
            ? context.Nested.Find(other => other.Kind is UserNamespace && other.Id == parent)
            : null;

    private static bool IsIn(RestoreContext context, RestoredNamespace? user, RestoredNamespace own)
    {
        int steps = 0;
        for (RestoredNamespace? at = user; at is not null && steps++ <= context.Nested.Count; at = ParentOf(context, at))
        {
            if (at == own)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>How many processes are needed for a moment.</summary>
    public static int CountHelpers(RestoreContext context)
        => context.Nested.Sum(own => own.Kind is UserNamespace ? 2 : own.Owner is not null ? 1 : 0)
        + context.NestedPids.Count(pids => pids.Owner is not null);

    /// <summary>Makes one, by a process that is who had made it.</summary>
    public static void Make(RestoreContext context, RestoredNamespace own, GrowingTree tree)
    {
        var entry = context.Images.One<UsernsEntry>(ImageKind.Userns, own.Id);
        RestoredNamespace? parent = ParentOf(context, own);
        StandIn maker = tree.MakeHelper(tree.First, Signal.None);
        RemoteBatch batch = maker.Self.Batch;
        batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_SECUREBITS, NoSetuidFixup, 0, 0, 0);
        if (parent is not null
            && context.Images.One<UsernsEntry>(ImageKind.Userns, parent.Id).GidMap.FirstOrDefault() is { } mapped)
        {
            // Who makes one must have a group there (kernel/user_namespace.c, create_user_ns()); which, no one is told.
            batch.Call(Sysno.setresgid, Keep, mapped.LowerFirst, Keep);
        }

        batch.Call(Sysno.setresuid, Keep, entry.OwnerUid, Keep);
        if (parent is not null)
        {
            WithDescriptors(
                maker.Self, [parent.Entrance!], (batch, fds) => batch.Call(Sysno.setns, fds[0], (int)CloneFlags.CLONE_NEWUSER));
        }

        batch.Call(Sysno.unshare, (long)CloneFlags.CLONE_NEWUSER);

        // Else its files in /proc would be the host's root's.
        batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_DUMPABLE, 1, 0, 0, 0);
        batch.Run("a nested user namespace");
        if (parent is null)
        {
            UserNamespace.WriteMaps(entry, maker.Self.Tracee.Tid, tree.First);
        }
        else
        {
            // Who is in the one above writes the numbers that those have there.
            (IdMap users, IdMap groups) = UserNamespace.Maps(context.Images.One<UsernsEntry>(ImageKind.Userns, parent.Id));
            UsernsEntry inner = entry.Clone();
            inner.UidMap.ToList().ForEach(extent => extent.LowerFirst = users.ToInner(extent.LowerFirst));
            inner.GidMap.ToList().ForEach(extent => extent.LowerFirst = groups.ToInner(extent.LowerFirst));
            StandIn writer = StartIn(parent, tree, []);
            UserNamespace.WriteMaps(inner, maker.Self.Tracee.Tid, writer.Self);
            writer.End();
        }

        own.Entrance = NamespaceVisit.Open(maker.Self.Tracee.Tid, own.Kind.Name);
        maker.End();
    }

    /// <summary>Starts a process in a user namespace, and in others before that.</summary>
    public static StandIn StartIn(RestoredNamespace user, GrowingTree tree, IReadOnlyList<(Fd Namespace, CloneFlags Kind)> before)
    {
        StandIn helper = tree.MakeHelper(tree.First, Signal.None);
        (Fd Namespace, CloneFlags Kind)[] all = [.. before, (user.Entrance!, CloneFlags.CLONE_NEWUSER)];
        WithDescriptors(helper.Self, [.. all.Select(place => place.Namespace)], (batch, fds) =>
        {
            for (int i = 0; i < all.Length; i++)
            {
                batch.Call(Sysno.setns, fds[i], (int)all[i].Kind);
            }
        });
        return helper;
    }

    /// <summary>Makes of a mount namespace that the first task has made one that its user namespace owns: a copy of it.</summary>
    public static void TakeOver(RestoredNamespace own, GrowingTree tree)
    {
        StandIn maker = StartIn(own.Owner!, tree, [(own.Entrance!, CloneFlags.CLONE_NEWNS)]);
        maker.Self.Batch.Call(Sysno.unshare, (long)CloneFlags.CLONE_NEWNS);
        maker.Self.Batch.Run("a nested mount namespace");
        own.Entrance!.Dispose();
        own.Entrance = NamespaceVisit.Open(maker.Self.Tracee.Tid, own.Kind.Name);
        maker.End();
    }

    /// <summary>Gives a descriptor to a task, at a number that is free there.</summary>
    public static int HandTo(Remote task, Fd fd)
    {
        const int DuplicateCloseOnExec = 1030;
        Slot? number = null;
        WithDescriptors(task, [fd], (batch, fds) => number = batch.Call(Sysno.fcntl, fds[0], DuplicateCloseOnExec, 0));
        return number!.Int32;
    }

    /// <summary>Whether a task must be born in its user namespace while who makes it is outside.</summary>
    public static bool NeedsHelper(RestoredTask task) => task.BirthUser is not null && task.BirthUser != task.Creator?.BirthUser;

    /// <summary>Queues that a process which is to make a task goes where the task will be: it becomes who that will be, too.</summary>
    public static void QueueBecome(RestoredTask task, RemoteBatch batch)
    {
        if (task.Creator?.BirthUser is null)
        {
            Credentials.QueueIds(task.Core.ThreadCore.Creds, batch);
        }

        batch.Call(Sysno.setns, task.BirthUser!.Entrance!.Number, (int)CloneFlags.CLONE_NEWUSER);
        batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_DUMPABLE, 1, 0, 0, 0);
    }

    /// <summary>Queues that a task goes into its user namespace before it has threads.</summary>
    public static void QueueJoin(RestoredTask task, RemoteBatch batch)
    {
        if (task.BirthUser is null)
        {
            Credentials.QueueIds(task.Core.ThreadCore.Creds, batch);
        }

        Credentials.QueueJoin(task, batch);
    }

    /// <summary>How many of a task's ids, from the innermost on, its maker may choose: those in namespaces that it has rights in.</summary>
    public static int Choosable(RestoredNamespace? maker, NestedPids? there, int depth)
    {
        if (maker is null)
        {
            return depth + 1;
        }

        int count = 0;
        for (NestedPids? at = there; at is not null && at.Owner == maker; at = at.Parent)
        {
            count++;
        }

        return count;
    }

    private static void WithDescriptors(Remote remote, int[] fds, Action<RemoteBatch, IReadOnlyList<RemoteArgument>> use)
    {
        const string Purpose = "nested user namespaces";
        using var pidFd = new Fd(Sys.PidfdOpen(remote.Tracee.Tid).OrThrow($"pidfd_open({remote.Tracee.Tid})").Int32);
        using var porter = new FdPorter(remote, pidFd);
        porter.QueueOpen();
        remote.Batch.Run(Purpose);
        porter.Send(fds);
        use(remote.Batch, porter.QueueReceive());
        porter.QueueClose();
        remote.Batch.Run(Purpose);
    }

    private static void WithDescriptors(Remote remote, Fd[] fds, Action<RemoteBatch, IReadOnlyList<RemoteArgument>> use)
        => WithDescriptors(remote, [.. fds.Select(fd => fd.Number)], use);
}
