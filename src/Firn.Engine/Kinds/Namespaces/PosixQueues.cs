using System.Globalization;
using System.Text;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;
using Google.Protobuf;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>Message queues of mq_overview(7), with their messages; and descriptors of them.</summary>
/// <remarks>
/// A message can't be looked at without being taken. So all are taken and put back in one batch of a task: it goes on to its end also if
/// Firn is killed meanwhile, and the frozen tree sees nothing of it. Within a priority the order is that of arrival, and stays so.
/// Kernel: ipc/mqueue.c.
/// </remarks>
internal static class PosixQueues
{
    private const string FileSystem = "mqueue";
    private const uint PermissionBits = 0xfff;
    private const long FileSystemMagic = 0x1980_0202;
    private const int CallsAround = 16;

    // ---- dump

    /// <summary>Whether a file is a queue, that was opened by mq_open(2) and not through a mount.</summary>
    public static bool IsQueue(OpenFile file)
        => file is { IsDescriptor: true, IsPathOnly: false, FileType: InodeMode.S_IFREG }
        && !Sys.FstatFs(file.Taken.Number, out StatFs stat).IsError
        && (long)stat.f_type == FileSystemMagic;

    /// <summary>Refuses a notification that a task of the tree waits for.</summary>
    public static void ExamineFile(DumpContext context, OpenFile file)
    {
        using Fd queue = Sys.Open(file.ProcPath, OpenFlags.O_RDONLY | OpenFlags.O_NONBLOCK);
        if (context.FindTask(NotifiedPid(queue)) is not null)
        {
            AddNotified(context, file.Owner, file.Resource);
        }
    }

    /// <summary>
    /// Saves a descriptor of a queue. The queue itself is saved with its namespace; with its first descriptor, if it has no name any more.
    /// </summary>
    public static RegFileEntry DumpFile(DumpContext context, OpenFile file)
    {
        var entry = new RegFileEntry
        {
            Id = file.Id,
            Flags = (uint)file.Flags,
            Pos = 0,
            Fown = FileOwner.Dump(context, file),
            Name = file.Link,
            PosixQueue = true,
        };
        if (file.Stat.st_nlink > 0)
        {
            return entry;
        }

        Dictionary<ulong, uint> known = context.Files.State.Get<Unlinked>().ByInode;
        if (!known.TryGetValue(file.Stat.st_ino, out uint id))
        {
            known.Add(file.Stat.st_ino, id = file.Id);

            // Opened anew: for reading and writing, and without waiting.
            using Fd queue = Sys.Open(file.ProcPath, OpenFlags.O_RDWR | OpenFlags.O_NONBLOCK);
            entry.UnlinkedQueue = Save(file.Owner, queue, NameOf(file), file.Stat);
        }

        entry.UnlinkedQueueId = id;
        return entry;
    }

    // "/name (deleted)"
    private static string NameOf(OpenFile file)
    {
        const string Deleted = " (deleted)";
        string name = file.Link.TrimStart('/');
        return name.EndsWith(Deleted, StringComparison.Ordinal) ? name[..^Deleted.Length] : name;
    }

    /// <summary>Refuses what can't be taken and put back. The thread is in the ipc namespace.</summary>
    public static void Examine(DumpContext context, DumpedNamespace own)
    {
        foreach ((string name, Fd queue) in Open())
        {
            using (queue)
            {
                if (NotifiedPid(queue) != 0)
                {
                    AddNotified(context, own.Member, $"POSIX message queue /{name}");
                }
            }
        }
    }

    private static void AddNotified(DumpContext context, DumpedTask task, string resource)
        => context.Problems.Add(
            "mqueue-notify",
            task.Pid,
            resource,
            "a task waits to be notified of a message (mq_notify), and how can't be read",
            "let the program end the registration before the dump");

    /// <summary>Saves all queues. The thread is in the ipc namespace; the member makes the calls.</summary>
    public static void Dump(DumpContext context, DumpedNamespace own, IpcVarEntry entry)
    {
        foreach ((string name, Fd queue) in Open())
        {
            using (queue)
            {
                Sys.Fstat(queue.Number, out FileStat stat).OrThrow($"fstat({name})");
                entry.PosixQueues.Add(Save(own.Member, queue, name, stat));
            }
        }
    }

    private static PosixQueueEntry Save(DumpedTask task, Fd queue, string name, in FileStat stat)
    {
        Sys.MqGetAttributes(queue.Number, out MqAttr attributes).OrThrow($"mq_getattr({name})");
        var saved = new PosixQueueEntry
        {
            Name = name,
            Uid = stat.st_uid,
            Gid = stat.st_gid,
            Mode = stat.st_mode & PermissionBits,
            MaxMessages = attributes.mq_maxmsg,
            MessageSize = attributes.mq_msgsize,
        };
        if (attributes.mq_curmsgs > 0)
        {
            Read(task, queue, attributes, saved);
        }

        return saved;
    }

    // ---- restore

    /// <summary>Makes all queues. The thread is in the ipc namespace.</summary>
    public static void Restore(IpcVarEntry entry)
    {
        foreach (PosixQueueEntry saved in entry.PosixQueues)
        {
            Make(saved).Dispose();
        }
    }

    private static Fd Make(PosixQueueEntry saved)
    {
        var attributes = new MqAttr { mq_maxmsg = saved.MaxMessages, mq_msgsize = saved.MessageSize };
        const OpenFlags Flags = OpenFlags.O_CREAT | OpenFlags.O_EXCL | OpenFlags.O_RDWR | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC;
        var queue = new Fd(Sys.MqOpen(saved.Name, Flags, saved.Mode, attributes).OrThrow($"mq_open({saved.Name})").Int32);
        foreach (PosixQueueMessage message in saved.Messages)
        {
            Sys.MqSend(queue.Number, message.Data.Span, message.Priority)
                .OrThrow($"mq_send({saved.Name}, {message.Data.Length} bytes)");
        }

        Sys.Fchown(queue.Number, saved.Uid, saved.Gid).OrThrow($"fchown({saved.Name})");
        Sys.Fchmod(queue.Number, saved.Mode).OrThrow($"fchmod({saved.Name})");
        return queue;
    }

    /// <summary>Opens a queue that a task had open: it is there by now; one without a name is made by its first descriptor.</summary>
    public static Fd OpenFile(RestoreContext context, RegFileEntry file)
    {
        const OpenFlags Kept = OpenFlags.O_ACCMODE | OpenFlags.O_NONBLOCK;
        OpenFlags flags = ((OpenFlags)file.Flags & Kept) | OpenFlags.O_CLOEXEC;
        if (!file.HasUnlinkedQueueId)
        {
            return new Fd(Sys.MqOpen(file.Name, flags, 0, default).OrThrow($"mq_open({file.Name})").Int32);
        }

        Dictionary<uint, Fd> made = context.Files.State.Get<Unlinked>().ById;
        if (!made.TryGetValue(file.UnlinkedQueueId, out Fd? queue))
        {
            if (file.UnlinkedQueue is not { } saved)
            {
                throw new ImageFormatException(
                    ImageKind.Files.FileName(0), -1, "message-queue", $"has file {file.Id} of a message queue that no file before it has");
            }

            queue = MakeUnlinked(saved);
            made.Add(file.UnlinkedQueueId, queue);
        }

        return Sys.Open(NamespaceVisit.PathOf(queue.Number), flags);
    }

    // Under its own name, so that the link in /proc reads as before; under another one if a new queue has taken that.
    private static Fd MakeUnlinked(PosixQueueEntry saved)
    {
        PosixQueueEntry named = saved;
        if (!Sys.MqOpen(saved.Name, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC, 0, default).IsError)
        {
            named = saved.Clone();
            named.Name = $"{saved.Name}.firn-{Guid.NewGuid():N}";
        }

        Fd queue = Make(named);
        Sys.MqUnlink(named.Name).OrThrow($"mq_unlink({named.Name})");
        return queue;
    }

    private static void Read(DumpedTask member, Fd queue, in MqAttr attributes, PosixQueueEntry saved)
    {
        int count = (int)attributes.mq_curmsgs;
        int size = (int)attributes.mq_msgsize;
        RemoteBatch batch = member.Remote!.Threads[0].Batch;
        using var porter = new FdPorter(member.Remote.Threads[0], member.PidFd);
        porter.QueueOpen();
        batch.Run("open the way for a message queue");
        porter.Send([queue.Number]);
        RemoteArgument fd = porter.QueueReceive()[0];
        if (!batch.HasRoom((2 * count) + CallsAround, count * (size + sizeof(ulong) + 32)))
        {
            porter.QueueClose();
            batch.Run("close the way for a message queue");
            throw new CheckpointException(
                $"POSIX message queue /{saved.Name}: its {count} messages of up to {size} bytes are more than can be held aside; let the "
                    + "program read some of them, and dump again")
            {
                Phase = "dump",
                Pid = member.Pid,
            };
        }

        // None of these may end the batch: what was taken must be put back.
        List<(RemoteBuffer Data, RemoteBuffer Priority, Slot Length)> taken = [];
        for (int i = 0; i < count; i++)
        {
            RemoteBuffer data = batch.Allocate(size);
            RemoteBuffer priority = batch.Allocate(sizeof(ulong));
            taken.Add((data, priority, batch.Try(Sysno.mq_timedreceive, fd, data, size, priority, 0)));
        }

        List<Slot> returned = [];
        foreach ((RemoteBuffer data, RemoteBuffer priority, Slot length) in taken)
        {
            returned.Add(batch.Try(Sysno.mq_timedsend, fd, data, length, RemoteArgument.At(priority.Address), 0));
        }

        porter.QueueClose();
        batch.Then(() =>
        {
            foreach ((RemoteBuffer data, RemoteBuffer priority, Slot length) in taken)
            {
                saved.Messages.Add(new PosixQueueMessage
                {
                    Priority = (uint)priority.As<ulong>()[0],
                    Data = ByteString.CopyFrom(data.Bytes[..length.Result.OrThrow($"mq_receive({saved.Name})").Int32]),
                });
            }

            returned.ForEach(slot => slot.Result.OrThrow($"mq_send({saved.Name})"));
        });
        batch.Run("look into a message queue");
    }

    // Each open for reading and writing, without waiting; whoever gets them closes them.
    private static IEnumerable<(string Name, Fd Queue)> Open()
    {
        SysResult mounted = Sys.MountDetached(FileSystem);
        if (mounted.Errno == Errno.ENODEV)
        {
            // A kernel without them.
            yield break;
        }

        using var root = new Fd(mounted.OrThrow("fsmount(mqueue)").Int32);
        foreach (string name in Names(root))
        {
            const OpenFlags Flags = OpenFlags.O_RDWR | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC;
            yield return (name, new Fd(Sys.OpenAt(root.Number, name, Flags, 0).OrThrow($"openat(mqueue, {name})").Int32));
        }
    }

    private static List<string> Names(Fd root)
    {
        List<string> names = [];
        const OpenFlags Flags = OpenFlags.O_RDONLY | OpenFlags.O_DIRECTORY | OpenFlags.O_CLOEXEC;
        using var directory = new Fd(Sys.OpenAt(root.Number, ".", Flags, 0).OrThrow("openat(mqueue)").Int32);
        Span<byte> buffer = stackalloc byte[8192];
        while (Sys.GetDents64(directory.Number, buffer) is { IsError: false, Int32: > 0 } read)
        {
            foreach (DirectoryEntry entry in new DirectoryEntries(buffer[..read.Int32]))
            {
                if (!entry.Name.SequenceEqual("."u8) && !entry.Name.SequenceEqual(".."u8))
                {
                    names.Add(Encoding.UTF8.GetString(entry.Name));
                }
            }
        }

        return names;
    }

    // QSIZE:5 NOTIFY:0 SIGNO:0 NOTIFY_PID:0
    private static int NotifiedPid(Fd queue)
    {
        const string Key = "NOTIFY_PID:";
        Span<byte> buffer = stackalloc byte[256];
        int length = Sys.Pread(queue.Number, buffer, 0).OrThrow("pread(mqueue)").Int32;
        string text = Encoding.ASCII.GetString(buffer[..length]);
        int at = text.IndexOf(Key, StringComparison.Ordinal);
        return at < 0 ? 0 : int.Parse(text.AsSpan(at + Key.Length).Trim(), NumberStyles.None, CultureInfo.InvariantCulture);
    }

    private sealed class Unlinked : IDisposable
    {
        public Dictionary<ulong, uint> ByInode { get; } = [];

        public Dictionary<uint, Fd> ById { get; } = [];

        public void Dispose()
        {
            foreach (Fd fd in ById.Values)
            {
                fd.Dispose();
            }
        }
    }
}
