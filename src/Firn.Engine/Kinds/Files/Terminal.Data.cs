using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Files;

/// <content>What waits in a pair.</content>
/// <remarks>
/// A terminal has no peek: what waits is read, and written back at once by the other side, with all processing off meanwhile. In canonical
/// mode a line end that came from ^D reads as a 0 byte, and goes back as VEOF. Kernel: drivers/tty/n_tty.c.
/// </remarks>
internal sealed partial class Terminal
{
    private const int ReadSize = 4096;

    // ---- dump

    private static void DumpData(DumpContext context, OpenFile file, uint infoId)
    {
        if (SideOf(file) == Side.Controlling || FindMaster(context, IndexOf(file)) is not { } master)
        {
            return;
        }

        int masterFd = master.Taken.Number;
        SysResult opened = SideOf(file) == Side.Slave
            ? Sys.Fcntl(file.Taken.Number, FcntlCommand.F_DUPFD_CLOEXEC)
            : FindSlave(context, IndexOf(file)) is { } slave
                ? Sys.Fcntl(slave.Taken.Number, FcntlCommand.F_DUPFD_CLOEXEC)
                : new SysResult(-(nint)Errno.ENOENT);
        if (opened.IsError)
        {
            // No one has the slave open, and so nothing can wait but what its last close left: opening it would change what the master
            // reads.
            return;
        }

        using var slaveFd = new Fd(opened.Int32);
        byte[] data = SideOf(file) == Side.Slave
            ? Drain(slaveFd.Number, bytes => RefillInput(masterFd, slaveFd.Number, bytes, file.Resource), file.Resource, slaveFd.Number)
            : Drain(masterFd, bytes => RefillOutput(slaveFd.Number, bytes, file.Resource), file.Resource, null);
        if (data.Length > 0)
        {
            context.Images.Add(ImageKind.TtyData, 0, new TtyDataEntry { TtyId = infoId, Data = Google.Protobuf.ByteString.CopyFrom(data) });
        }
    }

    private static OpenFile? FindSlave(DumpContext context, int index)
        => context.Files.Files.FirstOrDefault(file => file.IsDescriptor && SideOf(file) == Side.Slave && IndexOf(file) == index);

    // Reads all that waits at one side, and puts it back.
    private static byte[] Drain(int fd, Action<byte[]> refill, string name, int? rawSlave)
    {
        Termios2 found = default;
        if (rawSlave is { } slave)
        {
            Sys.TerminalGet(slave, out found).OrThrow($"ioctl({name}, TCGETS2)");
            Termios2 raw = found;
            raw.c_lflag &= ~TerminalFlags.ICANON;
            Sys.TerminalSet(slave, raw).OrThrow($"ioctl({name}, TCSETS2)");
        }

        int flags = Sys.Fcntl(fd, FcntlCommand.F_GETFL).OrThrow($"fcntl({name}, F_GETFL)").Int32;
        var bytes = new List<byte>();
        try
        {
            Sys.Fcntl(fd, FcntlCommand.F_SETFL, flags | (int)OpenFlags.O_NONBLOCK).OrThrow($"fcntl({name}, F_SETFL)");
            Span<byte> buffer = stackalloc byte[ReadSize];
            for (SysResult read = Sys.Read(fd, buffer); !read.IsError && read.Int32 > 0; read = Sys.Read(fd, buffer))
            {
                bytes.AddRange(buffer[..read.Int32]);
            }
        }
        finally
        {
            Sys.Fcntl(fd, FcntlCommand.F_SETFL, flags).OrThrow($"fcntl({name}, F_SETFL)");
            if (rawSlave is { } changed)
            {
                Sys.TerminalSet(changed, found).OrThrow($"ioctl({name}, TCSETS2)");
            }
        }

        byte[] data = [.. bytes];
        if (data.Length > 0)
        {
            refill(data);
        }

        return data;
    }

    // ---- both

    /// <summary>Puts bytes into a slave's input queue, by the master, past all processing.</summary>
    private static void RefillInput(int master, int slave, byte[] data, string name)
    {
        Sys.TerminalGet(slave, out Termios2 found).OrThrow($"ioctl({name}, TCGETS2)");
        Termios2 raw = found;
        raw.c_iflag = 0;
        raw.c_oflag = 0;
        raw.c_lflag = found.c_lflag & TerminalFlags.ICANON;
        Sys.TerminalSet(slave, raw).OrThrow($"ioctl({name}, TCSETS2)");
        byte[] typed = (byte[])data.Clone();
        if (raw.c_lflag != 0)
        {
            typed.AsSpan().Replace((byte)0, found.c_cc[TerminalFlags.VEOF]);
        }

        WriteAll(master, typed, name);
        Sys.TerminalSet(slave, found).OrThrow($"ioctl({name}, TCSETS2)");
    }

    /// <summary>Puts bytes where the master reads them, by the slave, past all processing.</summary>
    private static void RefillOutput(int slave, byte[] data, string name)
    {
        Sys.TerminalGet(slave, out Termios2 found).OrThrow($"ioctl({name}, TCGETS2)");
        Termios2 raw = found;
        raw.c_oflag = 0;
        Sys.TerminalSet(slave, raw).OrThrow($"ioctl({name}, TCSETS2)");
        WriteAll(slave, data, name);
        Sys.TerminalSet(slave, found).OrThrow($"ioctl({name}, TCSETS2)");
    }

    private static void WriteAll(int fd, ReadOnlySpan<byte> data, string name)
    {
        while (!data.IsEmpty)
        {
            data = data[Sys.Write(fd, data).OrThrow($"write({name}, {data.Length} bytes that waited in it)").Int32..];
        }
    }
}
