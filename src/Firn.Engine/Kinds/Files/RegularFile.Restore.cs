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
        if (context.Files.State.Get<Companions>().Contains(context, entry.Id) || OwnerInProc(context, file) is not null)
        {
            return null;
        }

        if (context.Options.InheritFd.TryGetValue(file.Name.TrimStart('/'), out int inherited))
        {
            return new Fd(Sys.Fcntl(inherited, FcntlCommand.F_DUPFD_CLOEXEC, 0).OrThrow($"fcntl({inherited}, F_DUPFD_CLOEXEC)").Int32);
        }

        if (file.PosixQueue)
        {
            return PosixQueues.OpenFile(file);
        }

        Fd fd = OpenPath(context, file, (OpenFlags)file.Flags);
        try
        {
            Verify(context, file, fd);
            SetPosition(file, fd);
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
                null => Sys.Open(file.Name, flags),
                _ when Remaps.TypeOf(remap) == RemapType.Ghost => GhostFile.Open(context, Remaps.IdOf(remap), file, flags),
                _ when Remaps.TypeOf(remap) == RemapType.Linked => LinkRemap.Open(context, remap, file, flags),
                _ => throw new CheckpointException($"file {file.Name} (id {file.Id}): a remap of the type {remap.RemapType} is not known"),
            };
        }
        catch (LinuxException exception)
        {
            throw new CheckpointException($"file {file.Name} (id {file.Id}) can't be opened: {exception.Message}", exception)
            {
                Errno = exception.Errno,
            };
        }
    }

    /// <inheritdoc/>
    public override void Attach(RestoreContext context, FileEntry entry, RestoredTask task, FdinfoEntry descriptor, RemoteBatch batch)
    {
        if (OwnerInProc(context, entry.Reg) is not null)
        {
            AttachProc(entry.Reg, descriptor, batch);
        }

        FileOwner.Attach(entry.Reg.Flags, descriptor, batch);
    }

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd)
    {
        FileOwner.Arm(context, entry.Reg.Fown, fd, entry.Reg.Name);
        LinkRemap.CleanUp(context, entry);
    }

    /// <summary>Checks that the file is the one that was dumped, as far as the image says.</summary>
    private static void Verify(RestoreContext context, RegFileEntry file, Fd fd)
    {
        Sys.Fstat(fd.Number, out FileStat stat).OrThrow($"fstat({file.Name})");
        if (file.HasMode && (stat.st_mode & InodeMode.S_IFMT) != (file.Mode & InodeMode.S_IFMT))
        {
            throw Changed(file, $"is of another type now (mode {Octal(stat.st_mode)}, at the dump {Octal(file.Mode)})", string.Empty);
        }

        if (context.Options.SkipFileCheck)
        {
            return;
        }

        const string Remedy = "; put the file back, or allow it with --skip-file-rwx-check";
        if (file.HasMode && stat.st_mode != file.Mode)
        {
            throw Changed(file, $"has mode {Octal(stat.st_mode)}, at the dump {Octal(file.Mode)}", Remedy);
        }

        if (file.HasSize && (stat.st_mode & InodeMode.S_IFMT) == InodeMode.S_IFREG && (ulong)stat.st_size != file.Size)
        {
            throw Changed(file, $"has {stat.st_size} bytes, at the dump {file.Size}", Remedy);
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
        if (file.Pos != 0 && ((OpenFlags)file.Flags & OpenFlags.O_PATH) == 0)
        {
            SysResult result = Sys.Lseek(fd.Number, (long)file.Pos, Seek.SEEK_SET);
            if (result.Errno != Errno.ESPIPE)
            {
                result.OrThrow($"lseek({file.Name}, {file.Pos})");
            }
        }
    }

    // A file in the /proc directory of a task of the tree can only be opened once that task exists: by the task that holds it.
    private static RestoredTask? OwnerInProc(RestoreContext context, RegFileEntry file)
    {
        const string Proc = "/proc/";
        if (!file.Name.StartsWith(Proc, StringComparison.Ordinal))
        {
            return null;
        }

        ReadOnlySpan<char> rest = file.Name.AsSpan(Proc.Length);
        int slash = rest.IndexOf('/');
        return int.TryParse(slash < 0 ? rest : rest[..slash], out int pid) ? context.Tasks.Find(task => task.Pid == pid) : null;
    }

    // A placeholder has the number already, so that open gives another one.
    private static void AttachProc(RegFileEntry file, FdinfoEntry descriptor, RemoteBatch batch)
    {
        OpenFlags flags = ((OpenFlags)file.Flags & ~OnlyOnce) | OpenFlags.O_CLOEXEC;
        Slot opened = batch.Call(Sysno.openat, At.AT_FDCWD, batch.Text(file.Name), (int)flags);
        if (file.Pos != 0)
        {
            batch.Try(Sysno.lseek, opened, file.Pos, Seek.SEEK_SET);
        }

        batch.Call(Sysno.dup3, opened, descriptor.Fd, (descriptor.Flags & 1) != 0 ? (int)OpenFlags.O_CLOEXEC : 0);
        batch.Call(Sysno.close, opened);
    }

    private static CheckpointException Changed(RegFileEntry file, string how, string remedy)
        => new($"file {file.Name} (id {file.Id}) {how}{remedy}");

    private static string Octal(uint mode) => "0" + Convert.ToString((int)mode, 8);
}
