using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Files;

/// <content>The restore half.</content>
internal sealed partial class RegularFile
{
    private const OpenFlags OnlyOnce = OpenFlags.O_CREAT | OpenFlags.O_EXCL | OpenFlags.O_TRUNC | OpenFlags.O_ASYNC;

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        RegFileEntry file = entry.Reg;
        if (context.Files.State.Get<Companions>().Contains(context, entry.Id) || ProcFiles.IsLate(context, file))
        {
            return null;
        }

        if (Inherited(context, file) is { } inherited)
        {
            return inherited;
        }

        if (file.PosixQueue)
        {
            return PosixQueues.OpenFile(context, file);
        }

        return OpenVerified(context, file);
    }

    /// <summary>Opens the file of an entry, checks that it is the one that was dumped, and goes to its position.</summary>
    /// <exception cref="CheckpointException">It can't be opened, or is another one.</exception>
    public static Fd OpenVerified(RestoreContext context, RegFileEntry file)
    {
        if (file.HasProcessStart && !context.Options.AllowChangedFiles)
        {
            ProcFiles.VerifyOutside(file);
        }

        Fd fd = OpenPath(context, file, (OpenFlags)file.Flags);
        try
        {
            Verify(context, file, fd);
            SetPosition(file, fd);
            WriteHint.Restore(context, file, fd);
            return fd;
        }
        catch
        {
            fd.Dispose();
            throw;
        }
    }

    /// <summary>Opens the file of an entry, whatever became of its name.</summary>
    /// <exception cref="CheckpointException">It can't be opened.</exception>
    public static Fd OpenPath(RestoreContext context, RegFileEntry file, OpenFlags flags)
    {
        bool regular = file.HasMode && (file.Mode & InodeMode.S_IFMT) == InodeMode.S_IFREG;
        flags = (flags & ~OnlyOnce & ~(regular ? OpenFlags.O_TMPFILE : default)) | OpenFlags.O_NOCTTY | OpenFlags.O_CLOEXEC;
        RemapFilePathEntry? remap = context.Files.State.Get<Remaps>().Of(context, file.Id);
        try
        {
            return remap switch
            {
                null => file.HasCoveredBelow ? CoveredFile.Open(file, flags) : Sys.Open(PathOf(context, file), flags),
                _ when Remaps.TypeOf(remap) == RemapType.Ghost => GhostFile.Open(context, Remaps.IdOf(remap), file, flags),
                _ when Remaps.TypeOf(remap) == RemapType.Linked => LinkRemap.Open(context, remap, file, flags),
                _ when Remaps.TypeOf(remap) == RemapType.Procfs => ProcFiles.OpenDead(context, Remaps.IdOf(remap), file, flags),
                _ => throw new CheckpointException($"file {file.Name} (id {file.Id}): a remap of the type {remap.RemapType} is not known"),
            };
        }
        catch (LinuxException exception)
        {
            throw new CheckpointException(
                $"file {file.Name} (id {file.Id}) can't be opened: {exception.Message}"
                    + (exception.Errno == Errno.ENOENT ? "; it was removed since the dump: put it back" : string.Empty),
                exception)
            {
                Errno = exception.Errno,
            };
        }
    }

    /// <summary>What was handed in for a file: by its name without the first slash, or as `file[MOUNT:INODE]`.</summary>
    /// <exception cref="CheckpointException">The file is external, and nothing was handed in.</exception>
    public static Fd? Inherited(RestoreContext context, RegFileEntry file)
    {
        IReadOnlyDictionary<string, int> handed = context.Options.InheritFd;
        if (handed.TryGetValue(file.Name.TrimStart('/'), out int number) || handed.TryGetValue(file.Name, out number)
            || (file.HasDeviceKey && handed.TryGetValue(file.DeviceKey, out number)))
        {
            return new Fd(Sys.Fcntl(number, FcntlCommand.F_DUPFD_CLOEXEC, 0).OrThrow($"fcntl({number}, F_DUPFD_CLOEXEC)").Int32);
        }

        return file.Ext
            ? throw new CheckpointException(
                $"file {file.Name} (id {file.Id}) was external at the dump; hand it in with --inherit-fd fd[N]:{file.Name}")
            : null;
    }

    /// <inheritdoc/>
    public override void Attach(RestoreContext context, FileEntry entry, RestoredTask task, FdinfoEntry descriptor, RemoteBatch batch)
        => FileOwner.Attach(entry.Reg.Flags, descriptor, batch);

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd)
    {
        FileOwner.Arm(context, entry.Reg.Fown, fd, entry.Reg.Name);
        LinkRemap.CleanUp(context, entry);
    }

    // Of a device that was external, what takes its place may have been named: `--external dev[KEY]:PATH`.
    private static string PathOf(RestoreContext context, RegFileEntry file)
        => file.HasDeviceKey && context.Options.External.Find("dev", file.DeviceKey)?.Value is { } path ? path : file.Name;

    /// <summary>Checks that the file is the one that was dumped, as far as the image says.</summary>
    private static void Verify(RestoreContext context, RegFileEntry file, Fd fd)
    {
        Sys.Fstat(fd.Number, out FileStat stat).OrThrow($"fstat({file.Name})");
        if (file.HasMode && (stat.st_mode & InodeMode.S_IFMT) != (file.Mode & InodeMode.S_IFMT))
        {
            throw Changed(file, $"is of another type now (mode {Octal(stat.st_mode)}, at the dump {Octal(file.Mode)})", string.Empty);
        }

        const string Remedy = "; put the file back, or allow it with --allow-changed-files";
        if (!context.Options.SkipModeCheck && !context.Options.AllowChangedFiles && file.HasMode && stat.st_mode != file.Mode)
        {
            throw Changed(
                file,
                $"has mode {Octal(stat.st_mode)}, at the dump {Octal(file.Mode)}",
                "; put the mode back, or allow it with --skip-file-rwx-check");
        }

        if (context.Options.AllowChangedFiles)
        {
            return;
        }

        if (file.HasSize && (stat.st_mode & InodeMode.S_IFMT) == InodeMode.S_IFREG && (ulong)stat.st_size != file.Size)
        {
            throw Changed(file, $"has {stat.st_size} bytes, at the dump {file.Size}", Remedy);
        }

        // Who has a build id is known by it, however it was installed.
        if (file.BuildId.Count == 0 && file.HasMtime && (long)stat.st_mtime != file.Mtime)
        {
            throw Changed(
                file,
                $"was modified since the dump ({DateTimeOffset.FromUnixTimeSeconds((long)stat.st_mtime):u}, then "
                    + $"{DateTimeOffset.FromUnixTimeSeconds(file.Mtime):u}), and a task has mapped it",
                Remedy);
        }

        if (file.BuildId.Count > 0)
        {
            using Fd content = Sys.Open(NamespaceVisit.PathOf(fd.Number), OpenFlags.O_RDONLY);
            if (!BuildId.Read(content.Number).AsSpan().SequenceEqual(file.BuildId.ToArray()))
            {
                throw Changed(file, "has another build id: it is another program or library of the same size", Remedy);
            }
        }
    }

    private static void SetPosition(RegFileEntry file, Fd fd)
    {
        if (file.Mode != 0 && (file.Mode & InodeMode.S_IFMT) == InodeMode.S_IFCHR
            && !Sys.Fstat(fd.Number, out FileStat stat).IsError && stat.st_rdev == DeviceNumber.Make(1, KernelLogMinor))
        {
            // A reader of the kernel's log had read all.
            _ = Sys.Lseek(fd.Number, 0, Seek.SEEK_END);
        }
        else if (file.Pos != 0 && ((OpenFlags)file.Flags & OpenFlags.O_PATH) == 0)
        {
            SysResult result = Sys.Lseek(fd.Number, (long)file.Pos, Seek.SEEK_SET);
            if (result.Errno != Errno.ESPIPE)
            {
                result.OrThrow($"lseek({file.Name}, {file.Pos})");
            }
        }
    }

    private static CheckpointException Changed(RegFileEntry file, string how, string remedy)
        => new($"file {file.Name} (id {file.Id}) {how}{remedy}");

    private static string Octal(uint mode) => "0" + Convert.ToString((int)mode, 8);
}
