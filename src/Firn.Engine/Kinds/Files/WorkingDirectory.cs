using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Files;

/// <summary>Where a process stands: working directory, root directory, umask.</summary>
/// <remarks>
/// The directories are entries of files.img, and are collected with the descriptors (<see cref="OpenFileTable.Collect"/>), like the
/// umask, which /proc/PID/status tells. Kernel: struct fs_struct; chroot(2), fchdir(2), umask(2).
/// </remarks>
internal sealed class WorkingDirectory : TaskKind
{
    // ---- dump

    /// <inheritdoc/>
    public override void DumpTask(DumpContext context, DumpedTask task, RemoteBatch batch)
        => context.Images.Add(ImageKind.Fs, (ulong)task.InnerPid, task.Fs);

    // ---- restore

    /// <inheritdoc/>
    public override void RestoreTask(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        if (task is { OwnsDirectories: true, Fs: { HasUmask: true } fs })
        {
            batch.Call(Sysno.umask, fs.Umask);
        }
    }

    /// <summary>Queues root and working directory, in this order, while the task still has Firn's descriptors for them.</summary>
    public static void QueueDirectories(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        if (task is not { OwnsDirectories: true, Fs: { } fs })
        {
            return;
        }

        batch.MakeRoom(3, 16, $"restore the working directory of {task.Pid}");
        if (!string.Equals(context.Files.Entry(fs.RootId).Reg?.Name, "/", StringComparison.Ordinal))
        {
            batch.Call(Sysno.fchdir, context.Files[fs.RootId].Number);
            batch.Call(Sysno.chroot, batch.Text("."));
        }

        // One in /proc of a task comes later.
        if (context.Files.IsProvided(fs.CwdId))
        {
            batch.Call(Sysno.fchdir, context.Files[fs.CwdId].Number);
        }
    }
}
