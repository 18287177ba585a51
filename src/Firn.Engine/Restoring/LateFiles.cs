using Firn.Engine.Kinds.Events;
using Firn.Engine.Kinds.Files;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Restoring;

/// <summary>Open file descriptions that can be made only when all tasks and threads exist: files in /proc of a task, and pidfds.</summary>
/// <remarks>
/// Until then a stand-in has their numbers (<see cref="DescriptorTables.QueueTable"/>). Firn opens each once, and hands it to all who hold
/// it.
/// </remarks>
internal static class LateFiles
{
    private const int CallsEach = 8;
    private const int BytesEach = 256;

    /// <summary>Opens them and puts them in place; a working directory, too.</summary>
    /// <param name="context">The restore.</param>
    /// <param name="first">The task in whose namespaces paths are looked up.</param>
    public static void Run(RestoreContext context, Remote first)
    {
        List<FileEntry> late = [.. context.Images.All<FileEntry>(ImageKind.Files).Where(entry => IsLate(context, entry))];
        if (late.Count == 0)
        {
            return;
        }

        foreach (FileEntry entry in late.Where(PidFdFile.IsLate))
        {
            context.Files.Provide(entry.Id, PidFdFile.OpenLate(context, entry));
        }

        context.Within(first, () =>
        {
            foreach (FileEntry entry in late.Where(entry => !PidFdFile.IsLate(entry)))
            {
                context.Files.Provide(entry.Id, RegularFile.OpenVerified(context, entry.Reg));
            }
        });
        HashSet<uint> ids = [.. late.Select(entry => entry.Id)];
        foreach (RestoredTask task in context.Tasks.Where(task => !task.IsZombie))
        {
            List<FdinfoEntry> descriptors = [.. task.Descriptors.Where(descriptor => ids.Contains(descriptor.Id))];
            uint directory = task.Fs is { } fs && ids.Contains(fs.CwdId) ? fs.CwdId : 0;
            if (descriptors.Count > 0 || directory != 0)
            {
                HandTo(context, task, descriptors, directory);
            }
        }

        EpollFile.LinkLate(context);
    }

    private static bool IsLate(RestoreContext context, FileEntry entry)
        => !context.Files.IsProvided(entry.Id)
        && (PidFdFile.IsLate(entry)
            || (entry.Reg is { } file
                && !context.Files.State.Get<Companions>().Contains(context, entry.Id)
                && ProcFiles.IsLate(context, file)));

    private static void HandTo(RestoreContext context, RestoredTask task, List<FdinfoEntry> descriptors, uint directory)
    {
        Remote remote = task.Leader.Remote;
        List<uint> ids = [.. descriptors.Select(descriptor => descriptor.Id)];
        if (directory != 0)
        {
            ids.Add(directory);
        }

        string purpose = $"restore the files in /proc and the pidfds of {task.Pid}";
        List<uint> each = [.. ids.Distinct()];
        using var pidFd = new Fd(Sys.PidfdOpen(remote.Tracee.Tid).OrThrow($"pidfd_open({remote.Tracee.Tid})").Int32);
        using var porter = new FdPorter(remote, pidFd);
        RemoteBatch batch = remote.Batch;
        porter.QueueOpen();
        batch.Run(purpose);
        porter.Send([.. each.Select(id => context.Files[id].Number)]);
        batch.MakeRoom(CallsEach * (each.Count + descriptors.Count), BytesEach * each.Count, purpose);
        IReadOnlyList<RemoteArgument> received = porter.QueueReceive();
        foreach (FdinfoEntry descriptor in descriptors)
        {
            int closeOnExec = (descriptor.Flags & 1) != 0 ? (int)OpenFlags.O_CLOEXEC : 0;
            batch.Call(Sysno.dup3, received[each.IndexOf(descriptor.Id)], descriptor.Fd, closeOnExec);
        }

        if (directory != 0)
        {
            batch.Call(Sysno.fchdir, received[each.IndexOf(directory)]);
        }

        porter.QueueClose();
        batch.Run(purpose);
    }
}
