using System.Collections;
using System.Globalization;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Files;

/// <summary>A pair that is to be looked into.</summary>
/// <param name="Master">Its master.</param>
/// <param name="Slave">Its slave; -1 where it has to be opened although it is locked.</param>
/// <param name="IsPacketMode">Whether the master reads packets.</param>
/// <param name="Name">For messages.</param>
internal readonly record struct TerminalPair(int Master, int Slave, bool IsPacketMode, string Name);

/// <summary>The process that takes out what waits in terminals, tells it, and puts it back: Firn's own program, executed anew.</summary>
/// <remarks>
/// In between, Firn may be killed. This process is left over then and brings the work to its end, while the threads of the tree wait for it
/// (<see cref="HeldThreads"/>). It is in a session of its own, so that no key of a terminal reaches it.
/// </remarks>
internal static class TerminalProcess
{
    /// <summary>The first argument of the process; then come its plan and the file for its answer, as descriptors.</summary>
    public const string Verb = "terminal-process";

    private const string Itself = "/proc/self/exe";
    private const int Input = 0;
    private const int Output = 1;
    private const int Error = 2;

    private enum Answer : byte
    {
        None,
        Contents,
        Failure,
    }

    // ---- Firn's half

    /// <summary>What waits in pairs. They are afterwards as before, whatever becomes of Firn.</summary>
    /// <param name="processes">The processes of the tree, all stopped.</param>
    /// <param name="pairs">The pairs.</param>
    /// <exception cref="CheckpointException">It failed; the pairs are as before.</exception>
    public static TerminalContent[] LookInto(IEnumerable<RemoteProcess> processes, IReadOnlyList<TerminalPair> pairs)
    {
        using var held = new HeldThreads(processes);
        using Fd plan = MakeFile("firn-terminal-plan");
        using Fd answer = MakeFile("firn-terminal-answer");
        WritePlan(plan, held.Words, pairs);
        Sys.Pipe(out int goRead, out int goWrite, OpenFlags.O_CLOEXEC).OrThrow("pipe2(terminal process)");
        using var goOut = new Fd(goRead);
        using var go = new Fd(goWrite);
        Sys.Pipe(out int readyRead, out int readyWrite, OpenFlags.O_CLOEXEC).OrThrow("pipe2(terminal process)");
        using var ready = new Fd(readyRead);
        using var readyIn = new Fd(readyWrite);
        IEnumerable<int> kept =
            held.Words.Select(word => word.Scratch).Concat(pairs.SelectMany(pair => (int[])[pair.Master, pair.Slave]))
                .Append(plan.Number).Append(answer.Number).Where(fd => fd >= 0).Distinct();
        int pid = Spawn.Start(
            [Itself, Verb, Text(plan.Number), Text(answer.Number)],
            [.. Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(variable => $"{variable.Key}={variable.Value}")],
            [(goRead, Input), (readyWrite, Output), (Error, Error), .. kept.Select(fd => (fd, fd))],
            newSession: true);
        goOut.Dispose();
        readyIn.Dispose();
        if (Await(ready.Number))
        {
            held.Hold();
            Sys.Write(go.Number, [1]).OrThrow("write(terminal process)");
        }

        go.Dispose();
        while (Sys.Wait4(pid, out _, WaitOptions.__WALL).Errno == Errno.EINTR)
        {
        }

        return ReadAnswer(answer);
    }

    private static void WritePlan(Fd plan, IReadOnlyList<HoldWord> words, IReadOnlyList<TerminalPair> pairs)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write(words.Count);
        foreach (HoldWord word in words)
        {
            writer.Write(word.Scratch);
            writer.Write(word.Offset);
        }

        writer.Write(pairs.Count);
        foreach (TerminalPair pair in pairs)
        {
            writer.Write(pair.Master);
            writer.Write(pair.Slave);
            writer.Write(pair.IsPacketMode);
            writer.Write(pair.Name);
        }

        Write(plan.Number, stream);
    }

    private static TerminalContent[] ReadAnswer(Fd answer)
    {
        using BinaryReader reader = Read(answer.Number);
        if (reader.BaseStream.Length == 0)
        {
            throw new CheckpointException("the process that looks into terminals ended without an answer");
        }

        if ((Answer)reader.ReadByte() == Answer.Failure)
        {
            throw new CheckpointException(reader.ReadString());
        }

        var contents = new TerminalContent[reader.ReadInt32()];
        for (int i = 0; i < contents.Length; i++)
        {
            contents[i] = new TerminalContent(
                reader.ReadBytes(reader.ReadInt32()),
                reader.ReadBytes(reader.ReadInt32()),
                reader.ReadInt32(),
                (TerminalStop)reader.ReadUInt32(),
                (TerminalStop)reader.ReadUInt32());
        }

        return contents;
    }

    // ---- the process

    /// <summary>Runs as that process.</summary>
    /// <param name="arguments">The numbers of the plan and of the answer.</param>
    /// <returns>Its exit status.</returns>
    public static int Run(IReadOnlyList<string> arguments)
    {
        using BinaryReader plan = Read(Number(arguments[0]));
        var releases = new Action[plan.ReadInt32()];
        for (int i = 0; i < releases.Length; i++)
        {
            releases[i] = HoldWord.Releaser(plan.ReadInt32(), plan.ReadInt32());
        }

        var pairs = new TerminalPair[plan.ReadInt32()];
        for (int i = 0; i < pairs.Length; i++)
        {
            pairs[i] = new TerminalPair(plan.ReadInt32(), plan.ReadInt32(), plan.ReadBoolean(), plan.ReadString());
        }

        try
        {
            // A Firn that is gone by now has harmed nothing yet. Later no one may be there to read the answer.
            if (!Sys.Write(Output, [1]).IsError && Await(Input))
            {
                WriteAnswer(Number(arguments[1]), pairs);
            }
        }
        finally
        {
            foreach (Action release in releases)
            {
                release();
            }
        }

        return 0;
    }

    private static void WriteAnswer(int answer, IReadOnlyList<TerminalPair> pairs)
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        try
        {
            TerminalContent[] contents = [.. pairs.Select(LookInto)];
            writer.Write((byte)Answer.Contents);
            writer.Write(contents.Length);
            foreach (TerminalContent content in contents)
            {
                writer.Write(content.Output.Length);
                writer.Write(content.Output);
                writer.Write(content.Input.Length);
                writer.Write(content.Input);
                writer.Write(content.Unprocessed);
                writer.Write((uint)content.SlaveStop);
                writer.Write((uint)content.MasterStop);
            }
        }
        catch (Exception failure) when (failure is LinuxException or CheckpointException)
        {
            writer.Write((byte)Answer.Failure);
            writer.Write(failure.Message);
        }

        Write(answer, stream);
    }

    private static TerminalContent LookInto(TerminalPair pair)
    {
        if (pair.Slave >= 0)
        {
            return TakeAndPut(pair);
        }

        // A locked pair can't be opened, so the lock is off for the moment.
        Sys.TerminalLock(pair.Master, false).OrThrow($"ioctl({pair.Name}, TIOCSPTLCK)");
        try
        {
            using var slave = new Fd(
                Sys.TerminalOpenPeer(pair.Master, Terminal.PeerFlags).OrThrow($"ioctl({pair.Name}, TIOCGPTPEER)").Int32);
            return TakeAndPut(pair with { Slave = slave.Number });
        }
        finally
        {
            Sys.TerminalLock(pair.Master, true).OrThrow($"ioctl({pair.Name}, TIOCSPTLCK)");
        }
    }

    private static TerminalContent TakeAndPut(TerminalPair pair)
    {
        (int master, int slave, bool isPacketMode, string name) = pair;
        Sys.TerminalGet(slave, out Termios2 found).OrThrow($"ioctl({name}, TCGETS2)");
        Sys.IoctlGet(slave, TerminalIoctl.TIOCGLCKTRMIOS, out Termios2 locked).OrThrow($"ioctl({name}, TIOCGLCKTRMIOS)");
        bool isLocked = IsLocking(locked);
        var content = new TerminalContent([], [], 0, TerminalStop.None, TerminalStop.None);
        using var queues = new TerminalQueues(master, slave, name);
        try
        {
            if (isLocked)
            {
                SetLocks(slave, default, name);
            }

            if (isPacketMode)
            {
                SetPacketMode(master, 0, name);
            }

            queues.Take(found, taken => content = taken);
        }
        finally
        {
            queues.Put(content, found, () =>
            {
                Sys.TerminalSet(slave, found).OrThrow($"ioctl({name}, TCSETS2)");
                if (isLocked)
                {
                    SetLocks(slave, locked, name);
                }
            });
            if (isPacketMode)
            {
                SetPacketMode(master, 1, name);
            }
        }

        return content;
    }

    private static bool IsLocking(in Termios2 mask)
    {
        bool any = (mask.c_iflag | mask.c_oflag | mask.c_cflag | mask.c_lflag | mask.c_line) != 0;
        foreach (byte character in mask.c_cc)
        {
            any |= character != 0;
        }

        return any;
    }

    private static void SetLocks(int slave, Termios2 mask, string name)
        => Sys.Ioctl(slave, TerminalIoctl.TIOCSLCKTRMIOS, ref mask).OrThrow($"ioctl({name}, TIOCSLCKTRMIOS)");

    private static void SetPacketMode(int master, int wanted, string name)
        => Sys.Ioctl(master, TerminalIoctl.TIOCPKT, ref wanted).OrThrow($"ioctl({name}, TIOCPKT)");

    // ---- both

    private static Fd MakeFile(string name) => new(Sys.MemfdCreate(name, Memfd.MFD_CLOEXEC).OrThrow($"memfd_create({name})").Int32);

    private static void Write(int fd, MemoryStream content)
    {
        ReadOnlySpan<byte> left = content.GetBuffer().AsSpan(0, (int)content.Length);
        while (!left.IsEmpty)
        {
            left = left[Sys.Write(fd, left).OrThrow($"write({fd})").Int32..];
        }
    }

    private static BinaryReader Read(int fd)
    {
        Sys.Fstat(fd, out FileStat status).OrThrow($"fstat({fd})");
        byte[] content = new byte[status.st_size];
        int read = Sys.Pread(fd, content, 0).OrThrow($"pread({fd})").Int32;
        return new BinaryReader(new MemoryStream(content, 0, read));
    }

    // Whether a byte comes, and not the end.
    private static bool Await(int pipe)
    {
        Span<byte> one = stackalloc byte[1];
        SysResult read;
        do
        {
            read = Sys.Read(pipe, one);
        }
        while (read.Errno == Errno.EINTR);

        return !read.IsError && read.Int32 == 1;
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
