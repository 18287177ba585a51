using System.Buffers.Binary;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>A small process that does something if Firn is killed, and nothing otherwise.</summary>
/// <remarks>
/// What must be done or undone as a whole, while Firn may be killed in the midst of it, needs someone who is left over then. The guard
/// reads
/// a pipe whose other end only Firn holds. A byte releases it, and it ends; should Firn be gone first, the pipe ends, and the guard makes
/// the calls that it was given. It executes a program of some hundred bytes, holds no other descriptor and takes no signal but SIGKILL
/// and SIGSTOP.
/// </remarks>
public sealed class Guard : IDisposable
{
    /// <summary>Bytes of a record: number, six arguments, and the result with which the guard is to end.</summary>
    public const int RecordSize = 64;

    /// <summary>A result that no call has.</summary>
    internal const long NoSuchResult = long.MinValue;

    private readonly int pid;
    private Fd? pipe;

    private Guard(int pid, Fd pipe)
    {
        this.pid = pid;
        this.pipe = pipe;
    }

    /// <summary>The program: walks through records until one has the result with which it is to end, or one has no number.</summary>
    /// <remarks>A test assembles this listing anew and compares.</remarks>
    public static ReadOnlySpan<byte> Code =>
    [
        0x48, 0x8d, 0x1d, 0x37, 0x00, 0x00, 0x00, // lea rbx, [rip+records]
        // next:
        0x48, 0x8b, 0x03,             // mov rax, [rbx]
        0x48, 0x85, 0xc0,             // test rax, rax
        0x78, 0x26,                   // js end
        0x48, 0x8b, 0x7b, 0x08,       // mov rdi, [rbx+8]
        0x48, 0x8b, 0x73, 0x10,       // mov rsi, [rbx+16]
        0x48, 0x8b, 0x53, 0x18,       // mov rdx, [rbx+24]
        0x4c, 0x8b, 0x53, 0x20,       // mov r10, [rbx+32]
        0x4c, 0x8b, 0x43, 0x28,       // mov r8, [rbx+40]
        0x4c, 0x8b, 0x4b, 0x30,       // mov r9, [rbx+48]
        0x0f, 0x05,                   // syscall
        0x48, 0x3b, 0x43, 0x38,       // cmp rax, [rbx+56]
        0x74, 0x06,                   // je end
        0x48, 0x83, 0xc3, 0x40,       // add rbx, 64
        0xeb, 0xd2,                   // jmp next

        // end:
        0x31, 0xff,                   // xor edi, edi
        0xb8, 0xe7, 0x00, 0x00, 0x00, // mov eax, 231 (exit_group)
        0x0f, 0x05,                   // syscall

        // records:
    ];

    /// <summary>Starts a guard. When this returns, it watches.</summary>
    /// <param name="plan">What it is to do if Firn is killed.</param>
    /// <exception cref="LinuxException">It can't be started.</exception>
    public static Guard Start(GuardPlan plan)
    {
        Sys.Pipe(out int read, out int write, OpenFlags.O_CLOEXEC).OrThrow("pipe2(firn-guard)");
        using var readEnd = new Fd(read);
        var writeEnd = new Fd(write);
        try
        {
            // A second number, open across exec.
            using var inherited = new Fd(Sys.Fcntl(readEnd.Number, FcntlCommand.F_DUPFD, 3).OrThrow("fcntl(F_DUPFD)").Int32);
            using GuardFiles files = plan.OpenFiles();
            using Fd program = TinyProgram.Make("firn-guard", plan.Encode(inherited.Number, files.Numbers), isWritable: true);
            int pid = Seed.CloneInto(0, CloneFlags.CLONE_VFORK, Signal.None, program.Number, out _).OrThrow("clone3(firn-guard)").Int32;
            return new Guard(pid, writeEnd);
        }
        catch
        {
            writeEnd.Dispose();
            throw;
        }
    }

    /// <summary>Sends the guard away: nothing will be done any more, whatever becomes of Firn. This is one instant.</summary>
    public void Release()
    {
        if (pipe is null)
        {
            return;
        }

        _ = Sys.Write(pipe.Number, [1]);
        pipe.Dispose();
        pipe = null;
        while (Sys.Wait4(pid, out _, WaitOptions.__WALL).Errno == Errno.EINTR)
        {
        }
    }

    /// <summary>The same as <see cref="Release"/>.</summary>
    public void Dispose() => Release();

    internal static void WriteRecord(Span<byte> record, Sysno number, ReadOnlySpan<long> arguments, long end)
    {
        BinaryPrimitives.WriteInt64LittleEndian(record, (long)number);
        for (int i = 0; i < arguments.Length; i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(record[(8 * (i + 1))..], arguments[i]);
        }

        BinaryPrimitives.WriteInt64LittleEndian(record[56..], end);
    }
}

/// <summary>What a <see cref="Guard"/> is to do, in order. No error keeps it from the next.</summary>
public sealed class GuardPlan
{
    private readonly List<(int Pid, string? Path, byte[] Data)> acts = [];

    /// <summary>Whether there is nothing to do.</summary>
    public bool IsEmpty => acts.Count == 0;

    /// <summary>Kills a process.</summary>
    public GuardPlan Kill(int pid)
    {
        acts.Add((pid, null, []));
        return this;
    }

    /// <summary>Writes to a file, which is opened when the guard is started.</summary>
    public GuardPlan Write(string path, byte[] bytes)
    {
        acts.Add((0, path, bytes));
        return this;
    }

    /// <summary>Opens the files that are written to, for as long as it takes the guard to inherit them.</summary>
    /// <exception cref="LinuxException">One can't be opened.</exception>
    internal GuardFiles OpenFiles()
    {
        var files = new GuardFiles();
        try
        {
            foreach ((_, string? path, _) in acts.Where(act => act.Path is not null))
            {
                files.Open(path!);
            }

            return files;
        }
        catch
        {
            files.Dispose();
            throw;
        }
    }

    /// <summary>Code, records and data, as <see cref="TinyProgram"/> takes them.</summary>
    /// <param name="pipe">The descriptor at which the guard waits.</param>
    /// <param name="files">The descriptors of the files, in the order in which they are written to.</param>
    internal byte[] Encode(int pipe, IReadOnlyList<int> files)
    {
        int[] kept = [.. files.Append(pipe).Order()];

        // Closes what it does not need, before, between and behind; waits; acts; ends.
        int count = kept.Length + 1 + 1 + acts.Count + 1;
        int dataOffset = Guard.Code.Length + (count * Guard.RecordSize);
        byte[] program = new byte[dataOffset + 8 + acts.Sum(act => act.Data.Length)];
        Guard.Code.CopyTo(program);
        int at = Guard.Code.Length;
        long from = 0;
        foreach (int descriptor in kept)
        {
            if (descriptor > from)
            {
                Add(Sysno.close_range, [from, descriptor - 1, 0]);
            }

            from = descriptor + 1;
        }

        Add(Sysno.close_range, [from, int.MaxValue, 0]);
        Add(Sysno.read, [pipe, Address(dataOffset), 1], end: 1);
        dataOffset += 8;
        int next = 0;
        foreach ((int pid, string? path, byte[] data) in acts)
        {
            if (path is null)
            {
                Add(Sysno.kill, [pid, (long)Signal.SIGKILL]);
                continue;
            }

            Add(Sysno.write, [files[next++], Address(dataOffset), data.Length]);
            data.CopyTo(program.AsSpan(dataOffset));
            dataOffset += data.Length;
        }

        Add((Sysno)(-1), []);
        return program;

        void Add(Sysno number, ReadOnlySpan<long> arguments, long end = Guard.NoSuchResult)
        {
            Guard.WriteRecord(program.AsSpan(at, Guard.RecordSize), number, arguments, end);
            at += Guard.RecordSize;
        }

        static long Address(int offset) => (long)TinyProgram.LoadAddress + TinyProgram.CodeOffset + offset;
    }
}

/// <summary>Files that a guard inherits: open across exec in Firn for a moment.</summary>
internal sealed class GuardFiles : IDisposable
{
    private readonly List<Fd> files = [];

    /// <summary>Their descriptors.</summary>
    public IReadOnlyList<int> Numbers => [.. files.Select(file => file.Number)];

    /// <summary>Opens one for writing.</summary>
    public void Open(string path)
        => files.Add(new Fd(Sys.OpenAt(At.AT_FDCWD, path, OpenFlags.O_WRONLY, 0).OrThrow($"openat({path}, O_WRONLY)").Int32));

    /// <inheritdoc/>
    public void Dispose() => files.ForEach(file => file.Dispose());
}
