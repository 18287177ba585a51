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
    private const string LastPid = "/proc/sys/kernel/ns_last_pid";

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

    /// <inheritdoc/>
    public override bool CanBeNested => true;

    // ---- dump

    /// <inheritdoc/>
    public override void Examine(DumpContext context, DumpedNamespace own)
    {
        DumpedTask root = context.Tasks[0];
        if (own.IsNested)
        {
            if (!NestedPidTree.Examine(context, own))
            {
                return;
            }
        }
        else if (root.InnerPid != AddedInit.Pid)
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
    /// <remarks>All that there is to save of it are the ids of its tasks, and where it is.</remarks>
    public override void Dump(DumpContext context, DumpedNamespace own)
    {
        if (own.IsNested)
        {
            context.Images.Add(ImageKind.Pidns, own.Id, new PidnsEntry { ParentId = NestedPidTree.ParentOf(context, own)!.Id });
        }
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
        RemoteBatch batch = root.Batch;
        Slot fd = batch.Try(Sysno.openat, At.AT_FDCWD, batch.Text(LastPid), (int)OpenFlags.O_WRONLY);
        WriteLastPid(context, batch, context.Tasks.SelectMany(task => task.Threads).Max(thread => thread.Tid), fd);
    }

    /// <inheritdoc cref="SetLastPid(RestoreContext, Remote)"/>
    /// <param name="context">The restore.</param>
    /// <param name="nested">The namespace, whose init exists.</param>
    public static void SetLastPid(RestoreContext context, NestedPids nested)
        => SetLastPid(
            context,
            nested.Init.Leader.Remote,
            context.Tasks.Where(task => task.Pids?.Contains(nested) == true).SelectMany(task => task.Threads)
                .Max(thread => (int)thread.Nested[nested.Depth - 1]));

    /// <summary>Says what id a pid namespace has given last.</summary>
    /// <remarks>What is mounted at /proc for the task may not let it, or show another: it has a proc of its own for it.</remarks>
    /// <param name="context">The restore.</param>
    /// <param name="within">A task in it.</param>
    /// <param name="last">The id.</param>
    public static void SetLastPid(RestoreContext context, Remote within, int last)
    {
        RemoteBatch batch = within.Batch;
        Slot fs = batch.Try(Sysno.fsopen, batch.Text("proc"), MountCall.FSOPEN_CLOEXEC);
        batch.Try(Sysno.fsconfig, fs, (int)FsConfigCommand.FSCONFIG_CMD_CREATE, 0, 0, 0);
        Slot proc = batch.Try(Sysno.fsmount, fs, MountCall.FSMOUNT_CLOEXEC, 0);
        Slot fd = batch.Try(Sysno.openat, proc, batch.Text("sys/kernel/ns_last_pid"), (int)OpenFlags.O_WRONLY);
        batch.Try(Sysno.close, fs);
        batch.Try(Sysno.close, proc);

        // In a mount namespace that it has no rights in, the task mounts nothing; but there it has a /proc that is not its own.
        Slot other = batch.Try(Sysno.openat, At.AT_FDCWD, batch.Text(LastPid), (int)OpenFlags.O_WRONLY);
        WriteLastPid(context, batch, last, fd, other);
    }

    private static void WriteLastPid(RestoreContext context, RemoteBatch batch, int last, params Slot[] files)
    {
        RemoteBuffer text = batch.Text(last.ToString(CultureInfo.InvariantCulture));
        List<Slot> written = [];
        foreach (Slot file in files)
        {
            written.Add(batch.Try(Sysno.write, file, text, text.Bytes.Length - 1));
            batch.Try(Sysno.close, file);
        }

        batch.Run("last pid");
        if (written.TrueForAll(write => write.Result.IsError))
        {
            context.Log.LogWarning(
                "the pid namespace starts to give ids at the lowest again: ns_last_pid was refused: {Errno}", written[^1].Result.Errno);
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
