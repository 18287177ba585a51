using Firn.Engine.Tree;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>What is asked of a tree whose tasks are in pid namespaces below that of its root. pid_namespaces(7).</summary>
/// <remarks>
/// A namespace begins with its init, which must be made before all others that are to be in it, and process groups that are not seen
/// in it can be had from outside alone: by the parent (setpgid(2)), as a task comes into it.
/// </remarks>
internal static class NestedPidTree
{
    /// <summary>The namespace in which another was made.</summary>
    public static DumpedNamespace? ParentOf(DumpContext context, DumpedNamespace own)
        => NamespaceOwners.ParentInode(own) is not 0 and ulong inode
            ? context.Of(CloneFlags.CLONE_NEWPID).FirstOrDefault(found => found.Inode == inode)
            : null;

    /// <summary>Says what of a nested namespace would make a restore fail.</summary>
    /// <returns>Whether its init is in the tree.</returns>
    public static bool Examine(DumpContext context, DumpedNamespace own)
    {
        List<DumpedTask> members = [.. context.Tasks.Where(task => !task.IsZombie && task.Namespaces.Pid == own.Inode)];
        if (members.Find(task => task.OwnPid == AddedInit.Pid) is not { } init || ParentOf(context, own) is null)
        {
            context.Problems.Add(
                "pid-namespace-part",
                own.Member.Pid,
                $"pid namespace {own.Inode}",
                "tasks of the tree are in it, and its init, or that of the namespace above it, is not",
                "dump a tree that holds them");
            return false;
        }

        // Who has come in later, by setns, may have been made by a task that stands nearer to the root.
        foreach (DumpedTask task in members.Where(task => task != init && task.Parent!.Namespaces.Pid != own.Inode))
        {
            bool keepsSession = task.Stat.Session != task.Parent!.Stat.Session && task.Stat.Session != task.ProcessId;
            if (GenerationOf(task) < GenerationOf(init) || keepsSession)
            {
                context.Problems.Add(
                    "nested-pid-order",
                    task.Pid,
                    $"pid namespace {own.Inode}",
                    $"the task has come into it by setns, and would have to be made before the init of it, {init.Pid}",
                    "let the task end first");
            }
        }

        ExamineGroups(context, members);
        return true;
    }

    private static void ExamineGroups(DumpContext context, List<DumpedTask> members)
    {
        foreach (DumpedTask task in members.Where(task => task.Status.NSpgid is [.., 0] && task.Stat.ProcessGroup != 0))
        {
            // All that came with it into the namespace has the group from the one that came.
            DumpedTask first = task;
            while (first.Parent is { } above && above.Namespaces.Pid == task.Namespaces.Pid)
            {
                first = above;
            }

            DumpedTask? leader = context.FindTask(task.Stat.ProcessGroup);
            bool isInherited = first.Parent?.Stat.ProcessGroup == task.Stat.ProcessGroup && task.Stat.ProcessGroup == task.Stat.Session;
            bool canBeJoined = leader is { IsZombie: false } && first.Parent is { } parent
                && parent.Stat.Session == task.Stat.Session && GenerationOf(leader) <= GenerationOf(parent);
            bool isOfFirst = first == task || first.Stat.Session == first.ProcessId || first.Stat.ProcessGroup == task.Stat.ProcessGroup
                || first.Status.NSpgid is [.., not 0];
            if (task.Stat.ProcessGroup != context.Tasks[0].Stat.ProcessGroup && ((!isInherited && !canBeJoined) || !isOfFirst))
            {
                context.Problems.Add(
                    "nested-pid-group",
                    task.Pid,
                    $"process group {task.Stat.ProcessGroup}",
                    "it is not seen in the task's pid namespace, and its leader is no task that could give it the group from outside",
                    "start the program in a group of its own (setpgid, setsid)");
            }
        }
    }

    private static int GenerationOf(DumpedTask task)
    {
        int generation = 0;
        for (DumpedTask? at = task.Parent; at is not null; at = at.Parent)
        {
            generation++;
        }

        return generation;
    }
}
