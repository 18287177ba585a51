using System.Globalization;
using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Kinds.Namespaces.Mounts;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Files;

/// <summary>
/// Whatever is opened by a path and has no more state than a position: files, directories, the memory devices, all of O_PATH.
/// </summary>
/// <remarks>
/// Also the files behind mappings, working directories and roots. A file without a good name is a <see cref="GhostFile"/> or a
/// <see cref="LinkRemap"/>. open(2), proc_pid_fd(5).
/// </remarks>
internal sealed partial class RegularFile : FileKind
{
    private const uint KernelLogMinor = 11;

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Reg;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file)
        => file.Link.StartsWith('/')
        && (file.IsPathOnly || file.FileType switch
        {
            InodeMode.S_IFREG or InodeMode.S_IFDIR or InodeMode.S_IFLNK => true,
            InodeMode.S_IFCHR => IsMemoryDevice(file.Stat.st_rdev),
            _ => false,
        });

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        if (FileName.Of(context, file).State != NameState.Good && PosixQueues.IsQueue(file))
        {
            PosixQueues.ExamineFile(context, file);
        }
        else if (!IsExternal(context, file))
        {
            ExamineName(context, file);
        }

        if (file.FileType == InodeMode.S_IFDIR && FileOwner.Exists(file))
        {
            context.Problems.Add(
                "directory-notification",
                file.Owner.Pid,
                file.Resource,
                "the program is notified of changes by signals (F_NOTIFY), and of which can't be read",
                "let it use inotify, or close the directory before the dump");
        }

        if (NestedProcs.Holds(context, file))
        {
            context.Problems.Add(
                "file-nested-proc",
                file.Owner.Pid,
                file.Resource,
                "it is on a proc file system of a pid namespace below that of the tree's root, which is mounted when all files are open",
                "let the program close it, or leave that directory, before the dump");
        }

        if (file.IsInFlight && ProcFiles.ProcessOf(file.Link) is int pid and not 0 && context.Tasks.Exists(task => task.InnerPid == pid))
        {
            context.Problems.Add(
                "in-flight-process",
                file.Owner.Pid,
                file.Resource,
                "it is a file in /proc of a task, which can be opened only when that exists, and it lies in a socket's queue, which is "
                    + "filled before",
                "let the program receive it before the dump");
        }

        if (IsKernelLog(file) && HasUnreadLog(file))
        {
            context.Problems.Add(
                "kernel-log-unread",
                file.Owner.Pid,
                file.Resource,
                "records wait to be read from it, and how many can't be seen",
                "let the program read them before the dump");
        }

        FileOwner.Examine(context, file);
    }

    /// <summary>Refuses a file that could not be opened again by its name, nor made again.</summary>
    public static void ExamineName(DumpContext context, OpenFile file)
    {
        FileName name = FileName.Of(context, file);
        switch (name.State)
        {
            case NameState.Unlinked:
                GhostFile.Examine(context, file);
                break;
            case NameState.Lost:
                LinkRemap.Examine(context, file);
                break;
            case NameState.Unreachable:
                context.Problems.Add(
                    "file-unreachable",
                    file.Owner.Pid,
                    file.Resource,
                    "its name leads nowhere, so that a restore could not open it",
                    "close it before the dump");
                break;
            case NameState.Covered:
                context.Problems.Add(
                    "file-covered",
                    file.Owner.Pid,
                    file.Resource,
                    "its name leads to another file, as under a mount point, so that a restore would open the wrong one",
                    "unmount what covers it, or close it before the dump");
                break;
            case NameState.DeadProcess:
                ProcFiles.ExamineDead(context, file, name.Path);
                break;
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
        => entry.Reg = FileName.Of(context, file).State != NameState.Good && PosixQueues.IsQueue(file)
            ? PosixQueues.DumpFile(context, file)
            : DumpPath(context, file, file.Id);

    /// <summary>The entry of a path, also for kinds that have one beside their own.</summary>
    /// <param name="context">The dump.</param>
    /// <param name="file">The file.</param>
    /// <param name="id">The id of the entry.</param>
    public static RegFileEntry DumpPath(DumpContext context, OpenFile file, uint id)
    {
        FileName name = FileName.Of(context, file);
        var entry = new RegFileEntry
        {
            Id = id,
            Flags = (uint)file.Flags,
            Pos = (ulong)file.Info.Position,
            Fown = FileOwner.Dump(context, file),
            Name = name.Path,
            Mode = file.Stat.st_mode,
        };
        if (IsExternal(context, file))
        {
            entry.Ext = true;
            entry.Name = $"file[{ExternalId(file)}]";
            return entry;
        }

        if (context.Files.State.Get<MountViews>().MountOf(file) is int mount and not -1)
        {
            entry.MntId = mount;
        }

        // A file that is only appended to, as a log, may well grow until the restore.
        bool grows = (file.Flags & (OpenFlags.O_ACCMODE | OpenFlags.O_APPEND)) == (OpenFlags.O_WRONLY | OpenFlags.O_APPEND);
        if (file.FileType == InodeMode.S_IFREG && !grows)
        {
            entry.Size = (ulong)file.Stat.st_size;
            entry.BuildId.AddRange(ReadBuildId(file));
            if (file.IsMappedPrivately && name.State == NameState.Good)
            {
                entry.Mtime = (long)file.Stat.st_mtime;
            }
        }

        if (WriteHint.Read(file) is ulong hint and not 0)
        {
            entry.WriteHint = hint;
        }

        if (name.State == NameState.Good && ProcFiles.StartOutside(context, file, name.Path) is { } start)
        {
            entry.ProcessStart = start;
        }

        switch (name.State)
        {
            case NameState.Unlinked:
                GhostFile.Dump(context, file, entry.Id);
                break;
            case NameState.Lost:
                LinkRemap.Dump(context, file, entry.Id, name.Path);
                break;
            case NameState.Reachable:
                entry.CoveredBelow = name.Below;
                break;
            case NameState.DeadProcess:
                ProcFiles.DumpDead(context, entry.Id, name.Path);
                break;
        }

        return entry;
    }

    /// <summary>Whether a device holds nothing of its own: mem, null, port, zero, full, random, urandom, and kmsg.</summary>
    private static bool IsMemoryDevice(ulong device)
        => DeviceNumber.Major(device) == 1 && DeviceNumber.Minor(device) is 1 or 3 or 4 or 5 or 7 or 8 or 9 or KernelLogMinor;

    private static bool IsKernelLog(OpenFile file)
        => file is { FileType: InodeMode.S_IFCHR, IsPathOnly: false }
        && DeviceNumber.Major(file.Stat.st_rdev) == 1
        && DeviceNumber.Minor(file.Stat.st_rdev) == KernelLogMinor;

    // Where a reader is in the log is nowhere to be read; but at its end there is nothing to read.
    private static bool HasUnreadLog(OpenFile file)
    {
        if ((file.Flags & OpenFlags.O_ACCMODE) == OpenFlags.O_WRONLY)
        {
            return false;
        }

        Pollfd[] poll = [new Pollfd { fd = file.Taken.Number, events = PollEvents.POLLIN }];
        Sys.Poll(poll, 0).OrThrow($"poll({file.Resource})");
        return poll[0].revents != 0;
    }

    /// <summary>Whether a file is somebody else's business: `--external file[MOUNT:INODE]`, both in hexadecimal.</summary>
    private static bool IsExternal(DumpContext context, OpenFile file)
        => file.IsDescriptor && context.Options.External.Contains("file", ExternalId(file));

    private static string ExternalId(OpenFile file)
        => string.Create(CultureInfo.InvariantCulture, $"{file.Info.MountId:x}:{file.Stat.st_ino:x}");

    private static uint[] ReadBuildId(OpenFile file)
    {
        const int Smallest = 64;
        if (file.Stat.st_size < Smallest || file.IsPathOnly || file.Link.StartsWith("/proc/", StringComparison.Ordinal))
        {
            return [];
        }

        if (file.IsDescriptor && (file.Flags & OpenFlags.O_ACCMODE) != OpenFlags.O_WRONLY)
        {
            return BuildId.Read(file.Taken.Number);
        }

        // To open a file breaks a lease on it.
        if (FileLocks.HasLease(file))
        {
            return [];
        }

        // Opened anew, as the task has it for writing only. What can't be read has no build id, as with CRIU.
        SysResult opened = Sys.OpenAt(
            At.AT_FDCWD, file.ProcPath, OpenFlags.O_RDONLY | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC | OpenFlags.O_NOATIME, 0);
        if (opened.IsError)
        {
            return [];
        }

        using var fd = new Fd(opened.Int32);
        return BuildId.Read(fd.Number);
    }
}
