using Firn.Engine.Restoring;
using Firn.Engine.Tree;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Files;

/// <summary>Where a process stands: working directory, root directory, umask.</summary>
/// <remarks>
/// Its dump half is the collecting of files (<see cref="Sharing.OpenFileTable.Collect"/>): the directories are entries of files.img, and fill
/// fs-PID.img with the umask of /proc/PID/status. Kernel: struct fs_struct; chroot(2), fchdir(2), umask(2).
/// </remarks>
internal sealed class WorkingDirectory : TaskKind
{
    /// <inheritdoc/>
    public override void RestoreTask(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        if (task.Fs is { HasUmask: true } fs)
        {
            batch.Call(Sysno.umask, fs.Umask);
        }
    }

    /// <summary>Queues root and working directory, in this order, while the task still has Firn's descriptors for them.</summary>
    public static void QueueDirectories(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        if (task.Fs is not { } fs)
        {
            return;
        }

        batch.MakeRoom(3, 16, $"restore the working directory of {task.Pid}");
        if (!string.Equals(context.Files.Entries[fs.RootId].Reg.Name, "/", StringComparison.Ordinal))
        {
            batch.Call(Sysno.fchdir, context.Files[fs.RootId].Number);
            batch.Call(Sysno.chroot, batch.Text("."));
        }

        batch.Call(Sysno.fchdir, context.Files[fs.CwdId].Number);
    }
}
