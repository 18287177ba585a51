using System.Globalization;
using Firn.Engine.Memory;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>System V segments that a tree without an ipc namespace of its own has attached. sysvipc(7), shmctl(2).</summary>
/// <remarks>
/// <para>
/// A segment that none but the tree has attached is the tree's memory: it is saved with its content. At the restore it is made again with
/// its id, key and owner; or, if it is still there and nobody has attached it, it gets the content that it had. One that others have
/// attached, at the dump or at the restore, is refused: its content is not the tree's alone.
/// </para>
/// <para>
/// Segments that the tree has not attached, semaphores and message queues are the host's and outlive the tree: they are left as they are,
/// and the tree finds them by their ids again.
/// </para>
/// <para>The kernel counts mappings (ipc/shm.c, shm_open()): a segment that is attached in two parts counts twice.</para>
/// </remarks>
internal sealed class AttachedSegments
{
    private readonly SortedDictionary<uint, Attachment> attached = [];
    private readonly HashSet<uint> reused = [];

    private sealed class Attachment(int pid, string file)
    {
        public int Pid { get; } = pid;

        public string File { get; } = file;

        public ulong Count { get; set; }

        public Shmid64Ds Segment { get; set; }
    }

    // ---- dump

    private void Add(DumpedTask task, Mapping mapping)
    {
        uint id = (uint)mapping.Inode;
        if (!attached.TryGetValue(id, out Attachment? attachment))
        {
            string file = string.Create(CultureInfo.InvariantCulture, $"/proc/{task.Pid}/map_files/{mapping.Start:x}-{mapping.End:x}");
            attached.Add(id, attachment = new Attachment(task.Pid, file));
        }

        attachment.Count++;
    }

    /// <summary>Says which segments can't be saved. The mappings of all tasks are collected.</summary>
    public static void Examine(DumpContext context)
    {
        AttachedSegments all = context.Files.State.Get<AttachedSegments>();
        context.Files.State.Get<MemoryDumpState>().Segments.ForEach(row => all.Add(row.Task, row.Mapping));
        all.ExamineAll(context);
    }

    private void ExamineAll(DumpContext context)
    {
        foreach ((uint id, Attachment attachment) in attached)
        {
            var segment = default(Shmid64Ds);
            Sys.ShmCtl((int)id, IpcCommand.IPC_STAT, ref segment).OrThrow($"shmctl({id}, IPC_STAT)");
            attachment.Segment = segment;
            if (segment.shm_nattch > attachment.Count)
            {
                context.Problems.Add(
                    "sysv-shm",
                    attachment.Pid,
                    $"System V segment {id}",
                    $"processes outside of the tree have attached it, too ({segment.shm_nattch - attachment.Count} times)",
                    "dump a tree that holds them all, let them detach it, or start the application in an ipc namespace (unshare --ipc)");
            }
        }
    }

    /// <summary>Saves the segments, through the tasks' own mappings: nothing is attached for it.</summary>
    public static void Dump(DumpContext context)
    {
        foreach ((uint id, Attachment attachment) in context.Files.State.Get<AttachedSegments>().attached)
        {
            IpcShmEntry entry = SystemVMemory.Describe(attachment.Segment, (int)id);
            entry.Creator = attachment.Segment.shm_cpid;
            using Fd content = Sys.Open(attachment.File, OpenFlags.O_RDONLY);
            SystemVMemory.Write(context, context.Namespace(CloneFlags.CLONE_NEWIPC).Id, entry, content);
        }
    }

    // ---- restore

    /// <summary>Reads and verifies the segments of a tree without an ipc namespace of its own.</summary>
    public static void Resolve(RestoreContext context)
    {
        uint id = context.Tasks[0].Ids.IpcNsId;
        if (context.OwnNamespace(CloneFlags.CLONE_NEWIPC) is null && context.Images.Entries(ImageKind.IpcnsShm, id).Count > 0)
        {
            SystemVMemory.Resolve(context, id);
        }
    }

    /// <summary>Finds the segments, or makes them.</summary>
    /// <exception cref="RestoreConflictException">An id or key is taken by another segment, or somebody uses the segment.</exception>
    public static void Make(RestoreContext context)
    {
        if (context.OwnNamespace(CloneFlags.CLONE_NEWIPC) is not null)
        {
            return;
        }

        AttachedSegments own = context.Files.State.Get<AttachedSegments>();
        foreach (IpcShmEntry entry in SystemVMemory.Entries(context))
        {
            int id = (int)entry.Desc.Id;
            var segment = default(Shmid64Ds);
            if (!Sys.ShmCtl(id, IpcCommand.IPC_STAT, ref segment).IsError)
            {
                own.Reuse(context, entry, segment);
                continue;
            }

            MakeHere(entry);
            context.Undo.Push(() =>
            {
                var unused = default(Shmid64Ds);
                _ = Sys.ShmCtl(id, IpcCommand.IPC_RMID, ref unused);
            });
            SystemVMemory.Fill(context, entry.Desc.Id, false);
        }
    }

    /// <summary>What comes when all have attached the segments: the content of those that were still there, and removal.</summary>
    public static void Finish(RestoreContext context)
    {
        if (context.OwnNamespace(CloneFlags.CLONE_NEWIPC) is not null)
        {
            return;
        }

        foreach (uint id in context.Files.State.Get<AttachedSegments>().reused)
        {
            SystemVMemory.Fill(context, id, true);
        }

        SystemVMemory.Vanish(context);
    }

    private static void MakeHere(IpcShmEntry entry)
    {
        int id;
        try
        {
            id = SystemVMemory.Make(entry).Int32;
        }
        catch (LinuxException exception) when (exception.Errno == Errno.EEXIST)
        {
            throw Taken(entry, $"its key 0x{entry.Desc.Key:x} is another segment's by now");
        }

        if (id != (int)entry.Desc.Id)
        {
            var unused = default(Shmid64Ds);
            _ = Sys.ShmCtl(id, IpcCommand.IPC_RMID, ref unused);
            throw Taken(entry, "its id is another segment's by now");
        }
    }

    private static RestoreConflictException Taken(IpcShmEntry entry, string why) => new(
        $"System V segment {entry.Desc.Id} can't be made again: {why}; remove that (ipcrm), or restore in an ipc namespace of its own "
            + "(unshare --ipc)")
    {
        Phase = "files",
    };

    private void Reuse(RestoreContext context, IpcShmEntry entry, in Shmid64Ds found)
    {
        bool isSame = (uint)found.shm_perm.key == entry.Desc.Key && found.shm_segsz == entry.Size
            && found.shm_perm.cuid == entry.Desc.Cuid && found.shm_perm.cgid == entry.Desc.Cgid
            && (!entry.HasCreator || entry.Creator == found.shm_cpid);
        if (!isSame)
        {
            throw Taken(entry, "its id is another segment's by now");
        }

        if (found.shm_nattch != 0)
        {
            throw new RestoreConflictException(
                $"System V segment {entry.Desc.Id} is still there, and other processes have attached it: its content is not the tree's "
                    + "alone any more; let them detach it")
            {
                Phase = "files",
            };
        }

        context.Log.LogInformation("System V segment {Id} is still there, and gets its content back", entry.Desc.Id);
        reused.Add(entry.Desc.Id);
    }
}
