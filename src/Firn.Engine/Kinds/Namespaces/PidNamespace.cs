using System.Globalization;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>A pid namespace, whose init is the root of the tree. pid_namespaces(7).</summary>
internal sealed class PidNamespace : NamespaceKind
{
    /// <inheritdoc/>
    public override string Name => "pid";

    /// <inheritdoc/>
    public override CloneFlags Flag => CloneFlags.CLONE_NEWPID;

    /// <inheritdoc/>
    public override ulong Inode(NamespaceIds ids) => ids.Pid;

    /// <inheritdoc/>
    public override uint GetId(TaskKobjIdsEntry ids) => ids.PidNsId;

    /// <inheritdoc/>
    public override void SetId(TaskKobjIdsEntry ids, uint id) => ids.PidNsId = id;

    // ---- dump

    /// <inheritdoc/>
    public override void Examine(DumpContext context, DumpedNamespace own)
    {
        DumpedTask root = context.Tasks[0];
        if (root.InnerPid != AddedInit.Pid)
        {
            context.Problems.Add(
                "pid-namespace-part",
                root.Pid,
                $"pid namespace {own.Inode}",
                $"the tree's root is task {root.InnerPid} of it, and not its init",
                "dump the whole namespace, by the pid of its init, or run firn within it");
            return;
        }

        foreach (int pid in ProcessList.Read())
        {
            if (context.FindTask(pid) is null && IsIn(pid, own.Inode))
            {
                context.Problems.Add(
                    "pid-namespace-stranger",
                    pid,
                    $"pid namespace {own.Inode}",
                    $"process {pid} is in it, but was started from outside and is not in the tree of its init",
                    "end it, or wait until it has ended: it would go down with its namespace");
            }
        }
    }

    /// <inheritdoc/>
    /// <remarks>All that there is to save of it are the ids of its tasks.</remarks>
    public override void Dump(DumpContext context, DumpedNamespace own)
    {
    }

    // ---- restore

    /// <inheritdoc/>
    public override void InRoot(RestoreContext context, RestoredNamespace own, Remote root) => SetLastPid(context, root);

    /// <summary>Lets the namespace go on to give ids above all that are in use.</summary>
    /// <remarks>
    /// The file belongs to the namespace of who writes it, and only a task within can; tasks that are made with an id of choice do not move
    /// it (kernel/pid_namespace.c).
    /// </remarks>
    public static void SetLastPid(RestoreContext context, Remote root)
    {
        int highest = context.Tasks.SelectMany(task => task.Threads).Max(thread => thread.Tid);
        RemoteBatch batch = root.Batch;
        RemoteBuffer text = batch.Text(highest.ToString(CultureInfo.InvariantCulture));
        Slot fd = batch.Try(Sysno.openat, At.AT_FDCWD, batch.Text("/proc/sys/kernel/ns_last_pid"), (int)OpenFlags.O_WRONLY);
        Slot written = batch.Try(Sysno.write, fd, text, text.Bytes.Length - 1);
        batch.Try(Sysno.close, fd);
        batch.Run("last pid");
        if (written.Result.IsError)
        {
            context.Log.LogWarning(
                "the pid namespace starts to give ids at the lowest again: ns_last_pid was refused: {Errno}", written.Result.Errno);
        }
    }

    private static bool IsIn(int pid, ulong inode)
    {
        try
        {
            return NamespaceIds.Read(pid).Pid == inode;
        }
        catch (LinuxException)
        {
            // Gone meanwhile, or a kernel thread.
            return false;
        }
    }
}
