using System.Diagnostics;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Files;

/// <summary>Why nothing goes out of a side of a terminal.</summary>
internal enum TerminalStop : uint
{
    /// <summary>It is not stopped.</summary>
    None = 0,

    /// <summary>By the stop character (^S): the start character starts it again.</summary>
    Key = 1,

    /// <summary>By the program (TCOOFF of tcflow(3)): only TCOON starts it again.</summary>
    Program = 2,
}

/// <summary>What waits in both directions of a pair, and whether they are stopped.</summary>
/// <param name="Output">What the master is to read.</param>
/// <param name="Input">What the slave is to read. In canonical mode a 0 stands for an end mark (^D).</param>
/// <param name="Unprocessed">How many of the input's last bytes the line discipline has not seen yet: its own queue is full.</param>
/// <param name="SlaveStop">The slave's output.</param>
/// <param name="MasterStop">The master's.</param>
internal readonly record struct TerminalContent(
    byte[] Output, byte[] Input, int Unprocessed, TerminalStop SlaveStop, TerminalStop MasterStop)
{
    /// <summary>Whether there is nothing at all.</summary>
    public bool IsEmpty => Output.Length == 0 && Input.Length == 0 && SlaveStop == TerminalStop.None && MasterStop == TerminalStop.None;
}

/// <summary>The queues of a pair, taken out and put back.</summary>
/// <remarks>
/// A terminal has no peek: what waits is read, and written back at once by the other side, with all processing off meanwhile. A byte that
/// was written is processed by the kernel's workers some time later, with the settings of that moment; so a stop character goes after it,
/// and once that has acted, all before it is in the queue. Kernel: drivers/tty/n_tty.c, drivers/tty/tty_buffer.c.
/// </remarks>
internal sealed class TerminalQueues(int master, int slave, string name) : IDisposable
{
    private const int ReadSize = 4096;
    private const int AlmostFull = 4000;
    private const byte UsualStop = 0x13;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Settling = TimeSpan.FromMilliseconds(10);

    private readonly NonBlocking masterMode = new(master, name);
    private readonly NonBlocking slaveMode = new(slave, name);

    /// <summary>Takes all out; <see cref="Put"/> must follow, also after an error. Packet mode and locks of settings are off.</summary>
    /// <param name="found">The settings.</param>
    /// <param name="taken">Told what was taken so far, also if the rest fails.</param>
    public void Take(in Termios2 found, Action<TerminalContent> taken)
    {
        List<byte> output = ReadAll(master);
        TerminalStop stop = Start(slave);
        if (stop != TerminalStop.None)
        {
            output.AddRange(ReadAll(master));
        }

        taken(new TerminalContent([.. output], [], 0, stop, TerminalStop.None));
        Termios2 raw = Raw(found);
        raw.c_cc[TerminalFlags.VMIN] = 1;
        raw.c_cc[TerminalFlags.VTIME] = 0;
        Set(raw);
        Sys.IoctlGet(slave, TerminalIoctl.TIOCINQ, out int processed).OrThrow($"ioctl({name}, TIOCINQ)");
        byte[] input = [.. ReadAll(slave)];
        taken(new TerminalContent([.. output], input, Math.Max(0, input.Length - processed), stop, Start(master)));
    }

    /// <summary>Puts all in: first what is processed already, then, after the settings are right, the rest.</summary>
    /// <param name="content">What was taken.</param>
    /// <param name="settings">The settings that it was taken with.</param>
    /// <param name="settle">Sets all settings.</param>
    public void Put(in TerminalContent content, Termios2 settings, Action settle)
    {
        int processed = content.Input.Length - content.Unprocessed;
        if (!content.IsEmpty)
        {
            PutProcessed(content.Input.AsSpan(0, processed), settings);
            WriteAll(slave, content.Output);
            Stop(content, settings);
        }

        settle();
        WriteAll(master, content.Input.AsSpan(processed));
        if (content.MasterStop != TerminalStop.None)
        {
            Flow(master, TerminalIoctl.TCOOFF);
        }
    }

    /// <summary>Both sides wait again, if they did.</summary>
    public void Dispose()
    {
        masterMode.Dispose();
        slaveMode.Dispose();
    }

    /// <summary>Whether a side can be written to: its queue is not full, and its output not stopped.</summary>
    public static bool IsWritable(int fd)
    {
        Pollfd[] poll = [new Pollfd { fd = fd, events = PollEvents.POLLOUT }];
        Sys.Poll(poll, 0).OrThrow("poll(terminal)");
        return (poll[0].revents & PollEvents.POLLOUT) != 0;
    }

    private static Termios2 Raw(in Termios2 found)
    {
        Termios2 raw = found;
        raw.c_iflag = 0;
        raw.c_oflag = 0;
        raw.c_lflag = 0;
        return raw;
    }

    private void PutProcessed(ReadOnlySpan<byte> input, in Termios2 settings)
    {
        Span<bool> used = stackalloc bool[256];
        used[0] = true;
        foreach (byte one in input)
        {
            used[one] = true;
        }

        // What ends a line in canonical mode still does; all else is data.
        Termios2 raw = Raw(settings);
        byte[] typed = input.ToArray();
        if ((settings.c_lflag & TerminalFlags.ICANON) != 0)
        {
            used[settings.c_cc[TerminalFlags.VEOL]] = true;
            used[settings.c_cc[TerminalFlags.VEOL2]] = true;
            used['\n'] = true;
            byte end = Unused(used) ?? settings.c_cc[TerminalFlags.VEOF];
            used[end] = true;
            Span<byte> characters = raw.c_cc;
            for (int i = 0; i < characters.Length; i++)
            {
                characters[i] = i is TerminalFlags.VEOL or TerminalFlags.VEOL2 ? characters[i] : (byte)0;
            }

            raw.c_cc[TerminalFlags.VEOF] = end;
            raw.c_lflag = settings.c_lflag & (TerminalFlags.ICANON | TerminalFlags.EXTPROC | TerminalFlags.IEXTEN);
            typed.AsSpan().Replace((byte)0, end);
        }

        // Two bytes that do not come, since what starts is looked for first.
        byte? stop = input.Length < AlmostFull ? Unused(used) : null;
        used[stop ?? 0] = true;
        if (stop is { } mark && Unused(used) is { } start)
        {
            raw.c_iflag = TerminalFlags.IXON;
            raw.c_cc[TerminalFlags.VSTOP] = mark;
            raw.c_cc[TerminalFlags.VSTART] = start;
        }
        else
        {
            stop = null;
        }

        Set(raw);
        if (input.Length > 0)
        {
            WriteAll(master, typed);
            if (stop is { } written)
            {
                WriteAll(master, [written]);
                Until(() => !IsWritable(slave), "process what was put back");
                Start(slave);
            }
            else
            {
                Thread.Sleep(Settling);
            }
        }
    }

    private void Stop(in TerminalContent content, in Termios2 settings)
    {
        switch (content.SlaveStop)
        {
            case TerminalStop.Program:
                Flow(slave, TerminalIoctl.TCOOFF);
                break;
            case TerminalStop.Key:
                Sys.TerminalGet(slave, out Termios2 raw).OrThrow($"ioctl({name}, TCGETS2)");
                raw.c_iflag = TerminalFlags.IXON;
                raw.c_cc[TerminalFlags.VSTOP] = UsualStop;
                raw.c_cc[TerminalFlags.VSTART] = settings.c_cc[TerminalFlags.VSTART];
                Set(raw);
                WriteAll(master, [UsualStop]);
                Until(() => !IsWritable(slave), "stop");
                break;
        }
    }

    // A stop by the program alone is lifted by TCOON; after a TCOOFF, so is any.
    private static TerminalStop Start(int fd)
    {
        if (IsWritable(fd))
        {
            return TerminalStop.None;
        }

        Flow(fd, TerminalIoctl.TCOON);
        if (IsWritable(fd))
        {
            return TerminalStop.Program;
        }

        Flow(fd, TerminalIoctl.TCOOFF);
        Flow(fd, TerminalIoctl.TCOON);
        return IsWritable(fd) ? TerminalStop.Key : TerminalStop.None;
    }

    private static void Flow(int fd, int action) => Sys.Ioctl(fd, TerminalIoctl.TCXONC, action).OrThrow($"ioctl(TCXONC, {action})");

    private static byte? Unused(Span<bool> used) => used.IndexOf(false) is int at and >= 0 ? (byte)at : null;

    private void Until(Func<bool> condition, string what)
    {
        for (long start = Stopwatch.GetTimestamp(); !condition(); Thread.Yield())
        {
            if (Stopwatch.GetElapsedTime(start) > Patience)
            {
                throw new CheckpointException($"{name}: the terminal did not {what} in {Patience.TotalSeconds} s");
            }
        }
    }

    private void Set(in Termios2 settings) => Sys.TerminalSet(slave, settings).OrThrow($"ioctl({name}, TCSETS2)");

    private static List<byte> ReadAll(int fd)
    {
        var bytes = new List<byte>();
        Span<byte> buffer = stackalloc byte[ReadSize];
        for (SysResult read = Sys.Read(fd, buffer); !read.IsError && read.Int32 > 0; read = Sys.Read(fd, buffer))
        {
            bytes.AddRange(buffer[..read.Int32]);
        }

        return bytes;
    }

    private void WriteAll(int fd, ReadOnlySpan<byte> data)
    {
        // The queue behind is emptied by the kernel's workers.
        for (long start = Stopwatch.GetTimestamp(); !data.IsEmpty;)
        {
            SysResult written = Sys.Write(fd, data);
            if (written.Errno == Errno.EAGAIN && Stopwatch.GetElapsedTime(start) < Patience)
            {
                Thread.Yield();
                continue;
            }

            data = data[written.OrThrow($"write({name}, {data.Length} bytes that waited in it)").Int32..];
        }
    }

    /// <summary>A description that does not wait for the moment.</summary>
    private sealed class NonBlocking : IDisposable
    {
        private readonly int fd;
        private readonly int flags;

        public NonBlocking(int fd, string name)
        {
            this.fd = fd;
            flags = Sys.Fcntl(fd, FcntlCommand.F_GETFL).OrThrow($"fcntl({name}, F_GETFL)").Int32;
            if ((flags & (int)OpenFlags.O_NONBLOCK) == 0)
            {
                Sys.Fcntl(fd, FcntlCommand.F_SETFL, flags | (int)OpenFlags.O_NONBLOCK).OrThrow($"fcntl({name}, F_SETFL)");
            }
        }

        public void Dispose()
        {
            if ((flags & (int)OpenFlags.O_NONBLOCK) == 0)
            {
                _ = Sys.Fcntl(fd, FcntlCommand.F_SETFL, flags);
            }
        }
    }
}
