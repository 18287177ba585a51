using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Files;

/// <summary>What waits in a pipe or FIFO, and how large it is.</summary>
/// <remarks>tee(2) copies without taking anything out, if the copy has as many slots. pipe(7), F_SETPIPE_SZ of fcntl(2).</remarks>
internal static class PipeContent
{
    // ---- dump

    /// <summary>Reads a copy of what waits behind a read end.</summary>
    /// <param name="file">A read end.</param>
    /// <param name="capacity">The size of the pipe.</param>
    /// <param name="packets">How many reads it takes: more than one only in packet mode.</param>
    public static byte[] Read(OpenFile file, out int capacity, out int packets)
    {
        int fd = file.Taken.Number;
        capacity = Sys.Fcntl(fd, FcntlCommand.F_GETPIPE_SZ).OrThrow($"fcntl({file.Resource}, F_GETPIPE_SZ)").Int32;
        packets = 0;
        Sys.IoctlGet(fd, TerminalIoctl.FIONREAD, out int waiting).OrThrow($"ioctl({file.Resource}, FIONREAD)");
        if (waiting == 0)
        {
            return [];
        }

        Sys.Pipe(out int readEnd, out int writeEnd, OpenFlags.O_CLOEXEC | OpenFlags.O_NONBLOCK).OrThrow("pipe2");
        using var source = new Fd(readEnd);
        using var copy = new Fd(writeEnd);
        Sys.Fcntl(copy.Number, FcntlCommand.F_SETPIPE_SZ, capacity).OrThrow(
            $"fcntl(F_SETPIPE_SZ, {capacity}) for a copy of {file.Resource}");
        int copied = Sys.Tee(fd, copy.Number, int.MaxValue, SpliceFlags.SPLICE_F_NONBLOCK).OrThrow($"tee({file.Resource})").Int32;
        if (copied != waiting)
        {
            throw new CheckpointException($"pid {file.Owner.Pid} {file.Resource}: only {copied} of its {waiting} bytes could be copied");
        }

        byte[] bytes = new byte[copied];
        for (int done = 0; done < copied; packets++)
        {
            done += Sys.Read(source.Number, bytes.AsSpan(done)).OrThrow($"read(copy of {file.Resource})").Int32;
        }

        return bytes;
    }

    /// <summary>Refuses packets: the image has no place for where one ends.</summary>
    public static void Examine(DumpContext context, OpenFile file)
    {
        if (IsReadable(file) && Read(file, out _, out int packets) is { Length: > 0 } && packets > 1)
        {
            context.Problems.Add(
                "pipe-packets",
                file.Owner.Pid,
                file.Resource,
                $"{packets} packets (O_DIRECT) wait in it",
                "let the program read them before the dump");
        }
    }

    /// <summary>Saves it once for each pipe, if a read end is in the tree: what waits for a reader outside is not the tree's.</summary>
    public static void Dump(DumpContext context, ImageKind kind, OpenFile file)
    {
        if (IsReadable(file) && context.Files.State.Get<Done>().Inodes.Add(file.Stat.st_ino))
        {
            byte[] bytes = Read(file, out int capacity, out _);
            context.Images.Add(
                kind, 0, new PipeDataEntry { PipeId = (uint)file.Stat.st_ino, Bytes = (uint)bytes.Length, Size = (uint)capacity }, bytes);
        }
    }

    private static bool IsReadable(OpenFile file) => (file.Flags & OpenFlags.O_ACCMODE) != OpenFlags.O_WRONLY;

    // ---- restore

    /// <summary>Puts size and content back, by a write end that does not block.</summary>
    public static void Restore(RestoreContext context, ImageKind kind, uint pipeId, int writeEnd, string name)
    {
        ImageEntry found = context.Images.Entries(kind).FirstOrDefault(entry => ((PipeDataEntry)entry.Message).PipeId == pipeId);
        if (found.Message is not PipeDataEntry data)
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
        while (!bytes.IsEmpty)
        {
            bytes = bytes[Sys.Write(writeEnd, bytes).OrThrow($"write({name}, {bytes.Length} bytes)").Int32..];
        }
    }

    private sealed class Done
    {
        public HashSet<ulong> Inodes { get; } = [];
    }
}
