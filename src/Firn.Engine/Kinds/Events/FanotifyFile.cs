using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Events;

/// <summary>fanotify: a group with marks on files, mounts and file systems.</summary>
/// <remarks>
/// Kernel: fs/notify/fanotify/, fanotify(7), proc_pid_fdinfo(5). Events that wait to be read are lost with a warning. A group that is asked
/// for permission is refused: while it stands still nobody may open a file that it guards, Firn included.
/// </remarks>
internal sealed class FanotifyFile : FileKind
{
    private const uint FIONREAD = 0x541B;
    private const string Deleted = " (deleted)";
    private const ulong Permissions = Fanotify.FAN_OPEN_PERM | Fanotify.FAN_ACCESS_PERM | Fanotify.FAN_OPEN_EXEC_PERM | 0x100000;
    private const uint KeptFlags =
        Fanotify.FAN_MARK_IGNORED_SURV_MODIFY | Fanotify.FAN_MARK_EVICTABLE | Fanotify.FAN_MARK_IGNORE;

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Fanotify;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => file.IsAnonymousInode("[fanotify]");

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        foreach (FanotifyMark mark in Group(file).Marks)
        {
            if (((mark.Mask | mark.IgnoredMask) & Permissions) != 0)
            {
                context.Problems.Add(
                    "fanotify-permission",
                    file.Owner.Pid,
                    $"fd {file.Number}: fanotify group",
                    "it decides who may open files (FAN_OPEN_PERM and the like); while it stands still, all who ask would wait",
                    "stop the guard before the dump");
                return;
            }

            if (PathOf(context, file, mark) is null && !IsGone(context, file, mark))
            {
                context.Problems.Add(
                    "fanotify-mark",
                    file.Owner.Pid,
                    $"fd {file.Number}: fanotify mark of {mark.Kind} {mark.Id}",
                    "no path to it can be found",
                    "let the program remove the mark before the dump");
            }
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        int pending = 0;
        if (!Sys.Ioctl(file.Taken.Number, FIONREAD, ref pending).IsError && pending > 0)
        {
            context.Log.LogWarning(
                "pid {Pid} fd {Fd}: {Bytes} bytes of fanotify events wait to be read and are lost", file.Owner.Pid, file.Number, pending);
        }

        FanotifyGroup group = Group(file);
        entry.Ffy = new FanotifyFileEntry
        {
            Id = file.Id,
            Flags = (uint)file.Flags,
            Fown = FileOwner.Dump(context, file),
            Faflags = group.Flags,
            Evflags = group.EventFlags,
        };
        foreach (FanotifyMark mark in group.Marks)
        {
            if (PathOf(context, file, mark) is not { } path)
            {
                context.Log.LogWarning(
                    "pid {Pid} fd {Fd}: a fanotify mark is on a file that is gone; it is left out", file.Owner.Pid, file.Number);
                continue;
            }

            (mark.Kind == FanotifyMarkKind.FileSystem ? entry.Ffy.FileSystemMark : entry.Ffy.Mark).Add(Message(mark, path));
        }
    }

    private static FanotifyMarkEntry Message(FanotifyMark mark, string path)
    {
        var message = new FanotifyMarkEntry
        {
            Id = 0,
            Type = mark.Kind == FanotifyMarkKind.Inode ? MarkType.Inode : MarkType.Mount,
            Mflags = mark.MarkFlags,
            Mask = (uint)mark.Mask,
            IgnoredMask = (uint)mark.IgnoredMask,
            SDev = mark.Device,
        };
        if (mark.Kind == FanotifyMarkKind.Inode)
        {
            message.Ie = new FanotifyInodeMarkEntry { IIno = mark.Id, FHandle = InotifyFile.HandleEntry(mark.Handle, path) };
        }
        else
        {
            message.Me = new FanotifyMountMarkEntry { MntId = (uint)mark.Id, Path = path };
        }

        return message;
    }

    private static FanotifyGroup Group(OpenFile file) => file.Info.Fanotify
        ?? throw new CheckpointException($"{file.Resource}: fdinfo of a fanotify group without its flags") { Pid = file.Owner.Pid };

    private static string? PathOf(DumpContext context, OpenFile file, FanotifyMark mark)
    {
        HandlePaths paths = context.Files.State.Get<HandlePaths>();
        string? path = mark.Kind switch
        {
            FanotifyMarkKind.Inode => paths.Find(file.Owner.Pid, mark.Device, mark.Id, mark.Handle),
            FanotifyMarkKind.Mount => paths.MountPoint(file.Owner.Pid, (int)mark.Id),
            FanotifyMarkKind.FileSystem => paths.MountPointOf(file.Owner.Pid, mark.Device),
            _ => null,
        };
        return path is null || path.EndsWith(Deleted, StringComparison.Ordinal) ? null : path;
    }

    private static bool IsGone(DumpContext context, OpenFile file, FanotifyMark mark)
        => mark.Kind == FanotifyMarkKind.Inode && context.Files.State.Get<HandlePaths>().IsGone(mark.Device, mark.Handle);

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        FanotifyFileEntry message = entry.Ffy;
        var fd = new Fd(
            Sys.FanotifyInit(message.Faflags, message.Evflags)
                .OrThrow($"fanotify_init(0x{message.Faflags:x}, 0x{message.Evflags:x}) of file {entry.Id}").Int32);
        FileOwner.RestoreFlags(fd, message.Flags);
        return fd;
    }

    /// <inheritdoc/>
    /// <remarks>The marks are put on at last, so that the restore itself is no event.</remarks>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd)
    {
        foreach (FanotifyMarkEntry mark in entry.Ffy.Mark)
        {
            Add(context, fd, mark, mark.Type == MarkType.Mount ? Fanotify.FAN_MARK_MOUNT : 0);
        }

        foreach (FanotifyMarkEntry mark in entry.Ffy.FileSystemMark)
        {
            Add(context, fd, mark, Fanotify.FAN_MARK_FILESYSTEM);
        }

        FileOwner.Arm(context, entry.Ffy.Fown, fd, fd.ToString());
    }

    private static void Add(RestoreContext context, Fd fd, FanotifyMarkEntry mark, uint kind)
    {
        string path = mark.Me is { HasPath: true } mount ? mount.Path
            : mark.Ie is { FHandle.HasPath: true } inode ? inode.FHandle.Path
            : throw new ImageFormatException("files.img", 0, "fanotify-path", $"a fanotify mark of file {mark.Id} has no path");
        path = path.StartsWith('/') ? path : "/" + path;
        uint flags = Fanotify.FAN_MARK_ADD | kind | (mark.Mflags & Fanotify.FAN_MARK_EVICTABLE);
        if (mark.Mask != 0 && !IsPut(context, fd, flags, mark.Mask, path))
        {
            return;
        }

        if (mark.IgnoredMask != 0)
        {
            uint ignoring = (mark.Mflags & KeptFlags & ~Fanotify.FAN_MARK_EVICTABLE)
                | ((mark.Mflags & Fanotify.FAN_MARK_IGNORE) == 0 ? Fanotify.FAN_MARK_IGNORED_MASK : 0);
            IsPut(context, fd, flags | ignoring, mark.IgnoredMask, path);
        }
    }

    private static bool IsPut(RestoreContext context, Fd fd, uint flags, ulong mask, string path)
    {
        SysResult result = Sys.FanotifyMark(fd.Number, flags, mask, path);
        if (result.Errno is Errno.ENOENT or Errno.ENOTDIR)
        {
            context.Log.LogWarning("fanotify {Fd}: {Path} is not there any more; its mark is left out", fd, path);
            return false;
        }

        result.OrThrow($"fanotify_mark(0x{flags:x}, 0x{mask:x}, {path})");
        return true;
    }
}
