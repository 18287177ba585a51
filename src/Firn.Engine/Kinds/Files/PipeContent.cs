using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Files;

/// <summary>What waits in a pipe or FIFO, and how large it is.</summary>
/// <remarks>
/// tee(2) copies without taking anything out, if the copy has as many slots, and keeps the borders of packets (O_DIRECT): a read ends with
/// the first packet. pipe(7), F_SETPIPE_SZ of fcntl(2), fs/pipe.c.
/// </remarks>
internal static class PipeContent
{
    private const int DefaultSize = 65536;
    private const int LargestPacket = 4096;

    // ---- dump

    /// <summary>
    /// Saves it once for each pipe: by a read end if one is in the tree; if none is open anywhere, by one that is opened for the moment,
    /// since who has a write end may do the same. What waits for a reader outside is not the tree's.
    /// </summary>
    public static void Dump(DumpContext context, ImageKind kind, OpenFile file)
    {
        if (!IsReadable(file) && context.Files.Files.Any(other => IsReadable(other) && IsSamePipe(file, other)))
        {
            return;
        }

        if (!context.Files.State.Get<Done>().Inodes.Add(file.Stat.st_ino))
        {
            return;
        }

        int size = Sys.Fcntl(file.Taken.Number, FcntlCommand.F_GETPIPE_SZ).OrThrow($"fcntl({file.Resource}, F_GETPIPE_SZ)").Int32;
        var entry = new PipeDataEntry { PipeId = (uint)file.Stat.st_ino, Size = (uint)size };
        byte[] bytes = [];
        if (IsReadable(file))
        {
            bytes = Read(file.Taken.Number, file, size, entry);
        }
        else if (HasNoReader(file))
        {
            using Fd reader = Sys.Open(file.ProcPath, OpenFlags.O_RDONLY | OpenFlags.O_NONBLOCK);
            bytes = Read(reader.Number, file, size, entry);
        }

        if (IsReadable(file) || bytes.Length > 0 || size != DefaultSize)
        {
            entry.Bytes = (uint)bytes.Length;
            context.Images.Add(kind, 0, entry, bytes);
        }
    }

    private static byte[] Read(int fd, OpenFile file, int size, PipeDataEntry entry)
    {
        Sys.IoctlGet(fd, TerminalIoctl.FIONREAD, out int waiting).OrThrow($"ioctl({file.Resource}, FIONREAD)");
        if (waiting == 0)
        {
            return [];
        }

        Sys.Pipe(out int readEnd, out int writeEnd, OpenFlags.O_CLOEXEC | OpenFlags.O_NONBLOCK).OrThrow("pipe2");
        using var source = new Fd(readEnd);
        using var copy = new Fd(writeEnd);

        // Twice the size leaves a slot for the mark behind it.
        if (Sys.Fcntl(copy.Number, FcntlCommand.F_SETPIPE_SZ, 2 * size).IsError)
        {
            Sys.Fcntl(copy.Number, FcntlCommand.F_SETPIPE_SZ, size).OrThrow($"fcntl(F_SETPIPE_SZ, {size}) for a copy of {file.Resource}");
        }

        int copied = Sys.Tee(fd, copy.Number, int.MaxValue, SpliceFlags.SPLICE_F_NONBLOCK).OrThrow($"tee({file.Resource})").Int32;
        if (copied != waiting)
        {
            throw new CheckpointException($"pid {file.Owner.Pid} {file.Resource}: only {copied} of its {waiting} bytes could be copied");
        }

        // A plain byte: the read that gives it too did not end with a packet.
        bool isMarked = !Sys.Write(copy.Number, [0]).IsError;
        byte[] bytes = new byte[copied + 1];
        for (int done = 0; done < copied;)
        {
            int count = Sys.Read(source.Number, bytes.AsSpan(done)).OrThrow($"read(copy of {file.Resource})").Int32;
            done += count;
            if (done < copied || (done == copied && (isMarked || entry.Packets.Count > 0)))
            {
                entry.Packets.Add((uint)count);
            }
        }

        return bytes[..copied];
    }

    private static bool IsReadable(OpenFile file)
        => file is { IsDescriptor: true, IsPathOnly: false } && (file.Flags & OpenFlags.O_ACCMODE) != OpenFlags.O_WRONLY;

    private static bool IsSamePipe(OpenFile file, OpenFile other)
        => file.Stat.st_ino == other.Stat.st_ino && file.Stat.st_dev == other.Stat.st_dev && other.FileType == InodeMode.S_IFIFO;

    private static bool HasNoReader(OpenFile file)
    {
        Pollfd[] poll = [new Pollfd { fd = file.Taken.Number, events = PollEvents.POLLOUT }];
        Sys.Poll(poll, 0).OrThrow($"poll({file.Resource})");
        return (poll[0].revents & PollEvents.POLLERR) != 0;
    }

    // ---- restore

    /// <summary>Puts size and content back, by a write end that does not block.</summary>
    /// <remarks>A FIFO in which something waits is open elsewhere, and has kept what it had.</remarks>
    public static void Restore(RestoreContext context, ImageKind kind, uint pipeId, int writeEnd, string name)
    {
        ImageEntry found = context.Images.Entries(kind).FirstOrDefault(entry => ((PipeDataEntry)entry.Message).PipeId == pipeId);
        if (found.Message is not PipeDataEntry data
            || !Sys.IoctlGet(writeEnd, TerminalIoctl.FIONREAD, out int waiting).IsError && waiting > 0)
        {
            return;
        }

        if (data.HasSize && Sys.Fcntl(writeEnd, FcntlCommand.F_GETPIPE_SZ).OrThrow($"fcntl({name}, F_GETPIPE_SZ)").Int32 != (int)data.Size)
        {
            SysResult sized = Sys.Fcntl(writeEnd, FcntlCommand.F_SETPIPE_SZ, (nint)data.Size);
            if (sized.Errno == Errno.EPERM)
            {
                throw new CheckpointException(
                    $"{name}: its size of {data.Size} bytes is more than /proc/sys/fs/pipe-max-size allows without CAP_SYS_RESOURCE; "
                        + "raise that")
                {
                    Errno = Errno.EPERM,
                };
            }

            sized.OrThrow($"fcntl({name}, F_SETPIPE_SZ, {data.Size})");
        }

        ReadOnlySpan<byte> bytes = found.Payload.Span;
        foreach (uint length in data.Packets)
        {
            if (length == 0 || length > bytes.Length)
            {
                throw new ImageFormatException(
                    kind.FileName(0), -1, "pipe-packets", $"says that the packets of pipe {pipeId} are longer than what waits in it");
            }

            // Plain data before a packet is read with it.
            int plain = Math.Max(0, (int)length - LargestPacket);
            Write(writeEnd, bytes[..plain], name);
            SetDirect(writeEnd, true, name);
            Write(writeEnd, bytes[plain..(int)length], name);
            SetDirect(writeEnd, false, name);
            bytes = bytes[(int)length..];
        }

        Write(writeEnd, bytes, name);
    }

    private static void Write(int writeEnd, ReadOnlySpan<byte> bytes, string name)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[Sys.Write(writeEnd, bytes).OrThrow($"write({name}, {bytes.Length} bytes)").Int32..];
        }
    }

    private static void SetDirect(int writeEnd, bool isDirect, string name)
    {
        OpenFlags flags = OpenFlags.O_NONBLOCK | (isDirect ? OpenFlags.O_DIRECT : default);
        Sys.Fcntl(writeEnd, FcntlCommand.F_SETFL, (nint)flags).OrThrow($"fcntl({name}, F_SETFL, {flags})");
    }

    private sealed class Done
    {
        public HashSet<ulong> Inodes { get; } = [];
    }
}
