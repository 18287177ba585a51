using System.Globalization;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Files;

/// <summary>One end of a pipe without a name, or an end that was opened anew through /proc.</summary>
/// <remarks>pipe(2), pipe(7). Whether the other end is open at all, in the tree or not, poll(2) of this one tells.</remarks>
internal sealed class Pipe : FileKind
{
    private const int StandardStreams = 3;
    private const uint UsualMode = 0x180;

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Pipe;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file)
        => file.FileType == InodeMode.S_IFIFO && file.Link.StartsWith("pipe:[", StringComparison.Ordinal) && !file.IsPathOnly;

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        FileOwner.Examine(context, file);
        if (!HasOutsideEnd(context, file) || IsExternal(context, file))
        {
            return;
        }

        if (file.Holders.Exists(holder => holder.Number < StandardStreams))
        {
            context.Log.LogWarning(
                "pid {Pid} {Resource}: the other end is outside of the tree; a restore needs --inherit-fd fd[N]:{Link}, or finds it closed",
                file.Owner.Pid,
                file.Resource,
                file.Link);
            return;
        }

        context.Problems.Add(
            "pipe-outside",
            file.Owner.Pid,
            file.Resource,
            "its other end is open only outside of the tree",
            $"allow it with --external {file.Link}, and restore with --inherit-fd fd[N]:{file.Link}");
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        entry.Pipe = new PipeEntry
        {
            Id = file.Id,
            PipeId = (uint)file.Stat.st_ino,
            Flags = (uint)file.Flags,
            Fown = FileOwner.Dump(context, file),
        };
        uint mode = file.Stat.st_mode & ~InodeMode.S_IFMT;
        if (file.Stat.st_uid != 0 || file.Stat.st_gid != 0 || mode != UsualMode)
        {
            entry.Pipe.Uid = file.Stat.st_uid;
            entry.Pipe.Gid = file.Stat.st_gid;
            entry.Pipe.Mode = mode;
        }

        PipeContent.Dump(context, ImageKind.PipesData, file);
    }

    private static bool IsExternal(DumpContext context, OpenFile file)
        => context.Options.External.Contains("pipe", file.Stat.st_ino.ToString(CultureInfo.InvariantCulture));

    private static bool HasOutsideEnd(DumpContext context, OpenFile file)
    {
        OpenFlags access = file.Flags & OpenFlags.O_ACCMODE;
        bool inside = access == OpenFlags.O_RDWR || context.Files.Files.Any(other =>
            other.Stat.st_ino == file.Stat.st_ino
            && other.FileType == InodeMode.S_IFIFO
            && other.Stat.st_dev == file.Stat.st_dev
            && (other.Flags & OpenFlags.O_ACCMODE) != access);
        if (inside)
        {
            return false;
        }

        // POLLERR: no reader anywhere; POLLHUP: no writer anywhere.
        Pollfd[] poll = [new Pollfd { fd = file.Taken.Number, events = PollEvents.POLLOUT }];
        Sys.Poll(poll, 0).OrThrow($"poll({file.Resource})");
        return (poll[0].revents & (PollEvents.POLLERR | PollEvents.POLLHUP)) == 0;
    }

    // ---- restore

    /// <summary>Makes the pipe with its content, and the descriptions of all entries that it has.</summary>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        PipeEntry pipe = entry.Pipe;
        string name = string.Create(CultureInfo.InvariantCulture, $"pipe:[{pipe.PipeId}]");
        List<FileEntry> ends = [.. context.Files.Entries.Values.Where(other => other.Pipe?.PipeId == pipe.PipeId)];
        if (context.Options.InheritFd.TryGetValue(name, out int inherited)
            || context.Options.InheritFd.TryGetValue(name.Replace(":", string.Empty, StringComparison.Ordinal), out inherited))
        {
            return OpenAnew(inherited, pipe, name);
        }

        Sys.Pipe(out int readEnd, out int writeEnd, OpenFlags.O_CLOEXEC | OpenFlags.O_NONBLOCK).OrThrow("pipe2");
        using var reader = new Fd(readEnd);
        using var writer = new Fd(writeEnd);
        PipeContent.Restore(context, ImageKind.PipesData, pipe.PipeId, writeEnd, name);
        if (pipe.HasMode)
        {
            Sys.Fchown(writeEnd, pipe.Uid, pipe.Gid).OrThrow($"fchown({name})");
            Sys.Fchmod(writeEnd, pipe.Mode).OrThrow($"fchmod({name})");
        }

        var unused = new List<Fd> { reader, writer };
        foreach (FileEntry other in ends)
        {
            context.Files.Provide(other.Id, Open(other.Pipe, unused, reader, writer, name));
        }

        return null;
    }

    // An end of pipe2 itself has no O_LARGEFILE; one that was opened through /proc has.
    private static Fd Open(PipeEntry pipe, List<Fd> unused, Fd reader, Fd writer, string name)
    {
        var flags = (OpenFlags)pipe.Flags;
        Fd end = (flags & OpenFlags.O_ACCMODE) == OpenFlags.O_RDONLY ? reader : writer;
        if ((flags & (OpenFlags.O_LARGEFILE | OpenFlags.O_RDWR)) != 0 || !unused.Remove(end))
        {
            return OpenAnew(end.Number, pipe, name);
        }

        Sys.Fcntl(
            end.Number, FcntlCommand.F_SETFL, (nint)(flags & FileOwner.Settable & ~OpenFlags.O_ASYNC)).OrThrow($"fcntl({name}, F_SETFL)");
        return new Fd(Sys.Fcntl(end.Number, FcntlCommand.F_DUPFD_CLOEXEC).OrThrow($"fcntl({name}, F_DUPFD_CLOEXEC)").Int32);
    }

    private static Fd OpenAnew(int end, PipeEntry pipe, string name)
    {
        // Packets can be asked for only once it is open.
        OpenFlags flags = (OpenFlags)pipe.Flags & (OpenFlags.O_ACCMODE | OpenFlags.O_NONBLOCK | OpenFlags.O_NOATIME);
        var opened = new Fd(Sys.OpenAt(
            At.AT_FDCWD, NamespaceVisit.PathOf(end), flags | OpenFlags.O_CLOEXEC, 0).OrThrow($"openat({name}, {flags})").Int32);
        FileOwner.RestoreFlags(opened, pipe.Flags & ~(uint)OpenFlags.O_ASYNC);
        return opened;
    }

    /// <inheritdoc/>
    public override void Attach(RestoreContext context, FileEntry entry, RestoredTask task, FdinfoEntry descriptor, RemoteBatch batch)
        => FileOwner.Attach(entry.Pipe.Flags, descriptor, batch);

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd)
        => FileOwner.Arm(context, entry.Pipe.Fown, fd, $"pipe:[{entry.Pipe.PipeId}]");
}
