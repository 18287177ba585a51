using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Files;

/// <summary>Locks on files, of all kinds of files: POSIX, flock, open file description locks, leases.</summary>
/// <remarks>
/// fdinfo shows a lock at the descriptors of the description that it was taken through; a POSIX lock only in the table of the process that
/// owns it. The owner takes it again itself, so that /proc/locks names it. A task that waits for a lock goes on waiting by its restarted
/// call. Kernel: fs/locks.c, show_fd_locks().
/// </remarks>
internal static class FileLocks
{
    // Kinds in filelocks.img.
    private const uint FL_POSIX = 1;
    private const uint FL_FLOCK = 2;
    private const uint FL_OFD = 4;
    private const uint FL_LEASE = 8;

    // The kernel's numbers, which images of Firn's first versions have.
    private const uint OldLease = 32;
    private const uint OldOpenFileDescription = 1024;

    // With the type of a lease: it is being broken, and the type is what it must become.
    private const uint LEASE_BREAKING = 4;

    // ---- dump

    /// <summary>Whether a lease is held through a file.</summary>
    public static bool HasLease(OpenFile file)
        => file.Holders.Exists(holder => holder.Locks.Any(held => held.Kind == FileLockKind.Lease))
            || InFlight(file).Any(held => held.Kind == FileLockKind.Lease);

    /// <summary>Refuses locks, unless it was asked for them: a lock may stand against a process outside of the tree.</summary>
    public static void Examine(DumpContext context, OpenFile file)
    {
        foreach ((FileHolder holder, FileLock held) in Held(file))
        {
            string resource = $"fd {holder.Number}: {file.Link}";
            if (held.Kind is FileLockKind.Unknown or FileLockKind.Delegation)
            {
                context.Problems.Add(
                    "file-lock-kind",
                    holder.Task.Pid,
                    resource,
                    $"it holds a {held.Kind} lock",
                    "let the program give it up");
            }
            else if (!context.Options.FileLocks)
            {
                context.Problems.Add(
                    "file-locks", holder.Task.Pid, resource, $"it holds a {held.Kind} lock", "allow locks with --file-locks");
            }
        }

        if (!context.Options.FileLocks && InFlight(file).Any())
        {
            context.Problems.Add("file-locks", file.Owner.Pid, file.Resource, "it holds a lock", "allow locks with --file-locks");
        }
    }

    /// <summary>Saves the locks that are held through a file. One that lies in a queue, and that no task has, stands by its id.</summary>
    public static void Dump(DumpContext context, OpenFile file)
    {
        foreach ((FileHolder holder, FileLock held) in Held(file))
        {
            Add(context, held, holder.Task.InnerPid, holder.Number);
        }

        foreach (FileLock held in InFlight(file))
        {
            Add(context, held, 0, (int)file.Id);
        }
    }

    private static void Add(DumpContext context, FileLock held, int pid, int number)
        => context.Images.Add(ImageKind.FileLocks, 0, new FileLockEntry
        {
            Flag = held.Kind switch
            {
                FileLockKind.Posix => FL_POSIX,
                FileLockKind.Flock => FL_FLOCK,
                FileLockKind.OpenFileDescription => FL_OFD,
                _ => FL_LEASE,
            },
            Type = TypeOf(held),
            Pid = pid,
            Fd = number,
            Start = held.Start,
            Len = held.End == long.MaxValue ? 0 : held.End - held.Start + 1,
        });

    private static IEnumerable<FileLock> InFlight(OpenFile file)
        => file.Via is not null && file.Holders.Count == 0 ? file.Info.Locks.Where(held => !held.Waiting) : [];

    private static uint TypeOf(FileLock held)
    {
        uint type = (uint)(ushort)(held.Unlocking ? Flock.F_UNLCK : held.Write ? Flock.F_WRLCK : Flock.F_RDLCK);
        return held.Breaking ? type | LEASE_BREAKING : type;
    }

    // Each once, though all descriptors of a description show it; a POSIX lock at the process that owns it.
    private static IEnumerable<(FileHolder Holder, FileLock Lock)> Held(OpenFile file)
    {
        var seen = new HashSet<(FileLockKind, bool, long, long, int)>();
        foreach (FileHolder holder in file.Holders)
        {
            foreach (FileLock held in holder.Locks)
            {
                int owner = held.Kind == FileLockKind.Posix ? holder.Task.Pid : 0;
                if (!held.Waiting && seen.Add((held.Kind, held.Write, held.Start, held.End, owner)))
                {
                    yield return (holder, held);
                }
            }
        }
    }

    // ---- restore

    /// <summary>Takes the locks of files in queues: they are the description's, so that Firn's descriptor does.</summary>
    /// <exception cref="RestoreConflictException">Someone else has one by now.</exception>
    public static void RestoreInFlight(RestoreContext context)
    {
        ILookup<(int Pid, int Fd), FileLockEntry> all = context.Files.State.Get<Locks>().Of(context);
        foreach (IGrouping<(int Pid, int Fd), FileLockEntry> locks in all.Where(own => own.Key.Pid == 0))
        {
            FileEntry file = context.Files.Entry((uint)locks.Key.Fd);
            Fd fd = context.Files[file.Id];
            foreach (FileLockEntry entry in locks)
            {
                if (Take(fd, entry, file) is { IsError: true } failed)
                {
                    throw new RestoreConflictException(
                        $"a file in a socket's queue ({file.Reg?.Name ?? file.Type.ToString()}): its lock can't be taken again: "
                            + $"{ErrnoText.Describe(failed.Errno)}; /proc/locks says who holds it");
                }

                if (IsBreaking(entry))
                {
                    Break(fd, entry, file);
                }
            }
        }
    }

    private static SysResult Take(Fd fd, FileLockEntry entry, FileEntry file)
    {
        if (IsLease(entry))
        {
            return Sys.Fcntl(fd.Number, FcntlCommand.F_SETLEASE, (int)(IsBreaking(entry) ? Unbroken(file, entry) : entry.Type));
        }

        if (entry.Flag == FL_FLOCK)
        {
            FlockOperation operation = entry.Type == Flock.F_WRLCK ? FlockOperation.LOCK_EX : FlockOperation.LOCK_SH;
            return Sys.Flock(fd.Number, operation | FlockOperation.LOCK_NB);
        }

        var range = new Flock { l_type = (short)entry.Type, l_whence = Seek.SEEK_SET, l_start = entry.Start, l_len = entry.Len };
        return Sys.Fcntl(fd.Number, FcntlCommand.F_OFD_SETLK, ref range);
    }

    /// <summary>Queues the locks that a task held through a descriptor.</summary>
    /// <remarks>A lock that someone else has by now is a <see cref="RestoreConflictException"/>, once the batch has run.</remarks>
    public static void Attach(RestoreContext context, RestoredTask task, FdinfoEntry descriptor, RemoteBatch batch)
    {
        ILookup<(int, int), FileLockEntry> locks = context.Files.State.Get<Locks>().Of(context);
        foreach (FileLockEntry entry in locks[(task.Pid, (int)descriptor.Fd)])
        {
            batch.MakeRoom(1, 64, $"restore the locks of {task.Pid}");
            Slot done = Queue(context, descriptor, entry, batch);
            batch.Then(() =>
            {
                if (done.Result.IsError)
                {
                    FileEntry file = context.Files.Entry(descriptor.Id);
                    throw new RestoreConflictException(
                        $"pid {task.Pid} fd {descriptor.Fd} ({file.Reg?.Name ?? file.Type.ToString()}): its lock of bytes {entry.Start}, "
                            + $"length {entry.Len}, can't be taken again: {ErrnoText.Describe(done.Result.Errno)}; /proc/locks says who "
                                + "holds it");
                }

                if (IsBreaking(entry))
                {
                    Break(context.Files[descriptor.Id], entry, context.Files.Entry(descriptor.Id));
                }
            });
        }
    }

    private static bool IsBreaking(FileLockEntry entry) => IsLease(entry) && (entry.Type & LEASE_BREAKING) != 0;

    private static bool IsLease(FileLockEntry entry) => entry.Flag is FL_LEASE or OldLease;

    // To open the file in a way that the lease stands against begins to break it. Its owner had the signal, and gets no other: the owner is
    // set when the file is armed.
    private static void Break(Fd fd, FileLockEntry entry, FileEntry file)
    {
        Sys.Fcntl(fd.Number, FcntlCommand.F_SETOWN).OrThrow($"fcntl({file.Reg?.Name}, F_SETOWN, 0)");
        OpenFlags access = (entry.Type & ~LEASE_BREAKING) == (uint)Flock.F_UNLCK ? OpenFlags.O_WRONLY : OpenFlags.O_RDONLY;
        SysResult opened = Sys.OpenAt(
            At.AT_FDCWD, NamespaceVisit.PathOf(fd.Number), access | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC, 0);
        if (!opened.IsError)
        {
            new Fd(opened.Int32).Dispose();
            throw new CheckpointException($"{file.Reg?.Name}: its lease was being broken, and can't be brought into that state again");
        }

        if (opened.Errno != Errno.EAGAIN)
        {
            opened.OrThrow($"openat({file.Reg?.Name}, {access})");
        }
    }

    private static Slot Queue(RestoreContext context, FdinfoEntry descriptor, FileLockEntry entry, RemoteBatch batch)
    {
        switch (entry.Flag)
        {
            case FL_FLOCK:
                FlockOperation operation = entry.Type == Flock.F_WRLCK ? FlockOperation.LOCK_EX : FlockOperation.LOCK_SH;
                return batch.Try(Sysno.flock, entry.Fd, (int)(operation | FlockOperation.LOCK_NB));
            case FL_LEASE or OldLease:
                return batch.Try(
                    Sysno.fcntl,
                    entry.Fd,
                    (int)FcntlCommand.F_SETLEASE,
                    IsBreaking(entry) ? Unbroken(context.Files.Entry(descriptor.Id), entry) : entry.Type);
            default:
                FcntlCommand command = entry.Flag is FL_OFD or OldOpenFileDescription ? FcntlCommand.F_OFD_SETLK : FcntlCommand.F_SETLK;
                var range = new Flock { l_type = (short)entry.Type, l_whence = Seek.SEEK_SET, l_start = entry.Start, l_len = entry.Len };
                return batch.Try(Sysno.fcntl, entry.Fd, (int)command, batch.Data(range));
        }
    }

    // One that is to become a lease for reading was for writing; of one that is to be given up its descriptor tells.
    private static uint Unbroken(FileEntry file, FileLockEntry entry)
    {
        bool isLowered = (entry.Type & ~LEASE_BREAKING) == (uint)Flock.F_RDLCK;
        bool isReader = ((OpenFlags)(file.Reg?.Flags ?? 0) & OpenFlags.O_ACCMODE) == OpenFlags.O_RDONLY;
        return (uint)(isReader && !isLowered ? Flock.F_RDLCK : Flock.F_WRLCK);
    }

    private sealed class Locks
    {
        private ILookup<(int, int), FileLockEntry>? byDescriptor;

        public ILookup<(int Pid, int Fd), FileLockEntry> Of(RestoreContext context)
        {
            if (byDescriptor is null)
            {
                List<FileLockEntry> entries = [.. context.Images.All<FileLockEntry>(ImageKind.FileLocks)];
                if (entries.Count > 0 && !context.Options.FileLocks)
                {
                    context.Log.LogWarning("{Count} file locks of the image set are not restored: that needs --file-locks", entries.Count);
                    entries.Clear();
                }

                byDescriptor = entries.ToLookup(entry => (entry.Pid, entry.Fd));
            }

            return byDescriptor;
        }
    }
}
