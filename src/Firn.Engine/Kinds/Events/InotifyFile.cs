using System.Buffers.Binary;
using System.Globalization;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Events;

/// <summary>inotify: watches on files and directories, and the events that they give.</summary>
/// <remarks>
/// Kernel: fs/notify/inotify/, inotify(7), proc_pid_fdinfo(5). Events that wait to be read can't be had without taking them, nor be put
/// back: they are lost with a warning, as with CRIU. The program is told so in the kernel's own way: the queue holds IN_Q_OVERFLOW after a
/// restore. Watches are put on at last, so that the restore itself is no event.
/// </remarks>
internal sealed class InotifyFile : FileKind
{
    private const uint FIONREAD = 0x541B;
    private const string Deleted = " (deleted)";
    private const uint IN_ATTRIB = 4;
    private const uint Mode = 0x180; // rw-------
    private const int EventSize = 16;
    private const int MostQueued = 1 << 16;
    private const string QueueLimit = "/proc/sys/fs/inotify/max_queued_events";

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Inotify;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => file.IsAnonymousInode("inotify");

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        context.Files.State.Get<HandlePaths>().FindMany(
            file.Owner.Pid, [.. file.Info.InotifyWatches.Select(watch => (watch.Device, watch.Inode, watch.Handle))]);
        foreach (InotifyWatch watch in file.Info.InotifyWatches)
        {
            if (PathOf(context, file, watch) is not { } path)
            {
                // A file that is no more, or the directory of a task that has ended: nothing can happen there, and the watch is left out.
                if (HasNothingLeft(context, file, watch))
                {
                    continue;
                }

                Refuse(context, file, watch, "no path to it can be found");
            }
            else if (path.EndsWith(Deleted, StringComparison.Ordinal))
            {
                Refuse(context, file, watch, $"{path[..^Deleted.Length]} is deleted");
            }
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        int pending = 0;
        entry.Ify = new InotifyFileEntry { Id = file.Id, Flags = (uint)file.Flags, Fown = FileOwner.Dump(context, file) };
        if (!Sys.Ioctl(file.Taken.Number, FIONREAD, ref pending).IsError && pending > 0)
        {
            context.Log.LogWarning(
                "pid {Pid} fd {Fd}: {Bytes} bytes of inotify events wait to be read and are lost", file.Owner.Pid, file.Number, pending);
            entry.Ify.LostEvents = true;
        }

        foreach (InotifyWatch watch in file.Info.InotifyWatches)
        {
            string? path = PathOf(context, file, watch);
            if (path is null && HasNothingLeft(context, file, watch))
            {
                context.Log.LogWarning(
                    "pid {Pid} fd {Fd}: watch {Watch} is on a file that is gone; it is left out", file.Owner.Pid, file.Number, watch.Watch);
                continue;
            }

            entry.Ify.Wd.Add(new InotifyWdEntry
            {
                Id = 0,
                IIno = watch.Inode,
                Mask = watch.Mask,
                IgnoredMask = watch.IgnoredMask,
                SDev = watch.Device,
                Wd = (uint)watch.Watch,
                FHandle = HandleEntry(watch.Handle, path),
            });
        }
    }

    /// <summary>A handle as the format has it: its bytes in words, at least 16 of them.</summary>
    internal static FhEntry HandleEntry(FileHandle? handle, string? path)
    {
        byte[] bytes = handle?.Bytes ?? [];
        byte[] padded = new byte[Math.Max((int)FhEntrySizes.MinEntries * sizeof(ulong), (bytes.Length + 7) & ~7)];
        bytes.CopyTo(padded, 0);
        var entry = new FhEntry { Bytes = (uint)bytes.Length, Type = (uint)(handle?.Type ?? 0) };
        for (int i = 0; i < padded.Length; i += sizeof(ulong))
        {
            entry.Handle.Add(BinaryPrimitives.ReadUInt64LittleEndian(padded.AsSpan(i)));
        }

        if (path is not null)
        {
            entry.Path = path;
        }

        return entry;
    }

    private static void Refuse(DumpContext context, OpenFile file, InotifyWatch watch, string reason)
        => context.Problems.Add(
            "inotify-path", file.Owner.Pid, $"fd {file.Number}: inotify watch {watch.Watch} on inode {watch.Inode}", reason,
            "let the program remove the watch before the dump");

    private static bool HasNothingLeft(DumpContext context, OpenFile file, InotifyWatch watch)
    {
        HandlePaths paths = context.Files.State.Get<HandlePaths>();
        return paths.IsGone(watch.Device, watch.Handle) || paths.IsMadeUp(file.Owner.Pid, watch.Device);
    }

    private static string? PathOf(DumpContext context, OpenFile file, InotifyWatch watch)
        => context.Files.State.Get<HandlePaths>().Find(file.Owner.Pid, watch.Device, watch.Inode, watch.Handle);

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        var fd = new Fd(Sys.InotifyInit().OrThrow($"inotify_init1 of file {entry.Id}").Int32);
        FileOwner.RestoreFlags(fd, entry.Ify.Flags);
        return fd;
    }

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd)
    {
        if (entry.Ify.LostEvents)
        {
            Overflow(context, entry, fd);
        }

        // Ascending: the kernel gives a new watch the number after the last one, unless it is told another.
        long last = 0;
        foreach (InotifyWdEntry watch in entry.Ify.Wd.OrderBy(watch => watch.Wd))
        {
            if (watch.Wd != last + 1)
            {
                Sys.InotifySetNextWatch(fd.Number, (int)watch.Wd).OrThrow($"ioctl(INOTIFY_IOC_SETNEXTWD, {watch.Wd}) of file {entry.Id}");
            }

            SysResult added = Add(context, fd, watch);
            if (added.Errno is Errno.ENOENT or Errno.ENOTDIR)
            {
                context.Log.LogWarning(
                    "inotify {Id}: {Path} is not there any more; watch {Watch} is left out", entry.Id, watch.FHandle.Path, watch.Wd);
                last = -1;
                continue;
            }

            int given = added.OrThrow($"inotify_add_watch({watch.FHandle.Path}, 0x{watch.Mask:x}) of file {entry.Id}").Int32;
            if (given != watch.Wd)
            {
                throw new RestoreConflictException(
                    $"inotify {entry.Id}: the watch on {watch.FHandle.Path} got the number {given} instead of {watch.Wd}");
            }

            last = watch.Wd;
        }

        FileOwner.Arm(context, entry.Ify.Fown, fd, fd.ToString());
    }

    // Two files of no one else's are changed in turn, since equal events that follow each other become one, until the queue is full. Then
    // all is read but the last event, which says so.
    private static void Overflow(RestoreContext context, FileEntry entry, Fd fd)
    {
        if (!IsLimited())
        {
            context.Log.LogWarning("inotify {Id}: its queue is too long to say in it that events are lost", entry.Id);
            return;
        }

        int waiting = 0;
        using (Fd one = Watched(fd, entry.Id), other = Watched(fd, entry.Id))
        {
            int before;
            do
            {
                before = waiting;
                for (int i = 0; i < 256; i++)
                {
                    Sys.Fchmod(one.Number, Mode).OrThrow("fchmod(memfd)");
                    Sys.Fchmod(other.Number, Mode).OrThrow("fchmod(memfd)");
                }

                Sys.Ioctl(fd.Number, FIONREAD, ref waiting).OrThrow($"ioctl(FIONREAD) of file {entry.Id}");
            }
            while (waiting != before);
        }

        byte[] taken = new byte[MostQueued];
        for (int left = waiting - EventSize; left > 0;)
        {
            left -= Sys.Read(fd.Number, taken.AsSpan(0, Math.Min(left, taken.Length))).OrThrow($"read of file {entry.Id}").Int32;
        }

        Sys.InotifySetNextWatch(fd.Number, 1).OrThrow($"ioctl(INOTIFY_IOC_SETNEXTWD, 1) of file {entry.Id}");
    }

    private static bool IsLimited()
    {
        try
        {
            return int.TryParse(Sys.ReadText(QueueLimit), CultureInfo.InvariantCulture, out int most) && most is > 0 and <= MostQueued;
        }
        catch (LinuxException)
        {
            return false;
        }
    }

    private static Fd Watched(Fd inotify, uint id)
    {
        var file = new Fd(Sys.MemfdCreate("firn-overflow", Memfd.MFD_CLOEXEC).OrThrow("memfd_create(firn-overflow)").Int32);
        SysResult added = Sys.InotifyAddWatch(inotify.Number, NamespaceVisit.PathOf(file.Number), IN_ATTRIB);
        if (added.IsError)
        {
            file.Dispose();
        }

        added.OrThrow($"inotify_add_watch(memfd) of file {id}");
        return file;
    }

    private static SysResult Add(RestoreContext context, Fd fd, InotifyWdEntry watch)
    {
        const uint IN_DONT_FOLLOW = 0x02000000;
        if (watch.FHandle.HasPath)
        {
            string path = watch.FHandle.Path.StartsWith('/') ? watch.FHandle.Path : "/" + watch.FHandle.Path;
            return Sys.InotifyAddWatch(fd.Number, path, watch.Mask | IN_DONT_FOLLOW);
        }

        using Fd target = OpenTarget(context, watch);
        return Sys.InotifyAddWatch(fd.Number, NamespaceVisit.PathOf(target.Number), watch.Mask);
    }

    private static Fd OpenTarget(RestoreContext context, InotifyWdEntry watch)
    {
        byte[] bytes = new byte[watch.FHandle.Handle.Count * sizeof(ulong)];
        for (int i = 0; i < watch.FHandle.Handle.Count; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(i * sizeof(ulong)), watch.FHandle.Handle[i]);
        }

        var handle = new FileHandle((int)watch.FHandle.Type, bytes[..Math.Min(bytes.Length, (int)watch.FHandle.Bytes)]);
        return context.Files.State.Get<HandlePaths>().Open(Sys.GetPid(), watch.SDev, handle)
            ?? throw new RestoreConflictException(
                $"inotify watch {watch.Wd} of file {watch.Id}: no mounted file system has inode {watch.IIno} of device "
                    + $"{watch.SDev >> 20}:{watch.SDev & 0xfffff}");
    }
}
