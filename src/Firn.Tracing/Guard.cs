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

    /// <summary>The end of the pipe whose last close it waits for.</summary>
    internal int Pipe => pipe?.Number ?? throw new InvalidOperationException("the guard was sent away");

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
    // In place of an argument that is known only later: a descriptor's number in the guard, the address of an act's data.
    private const long ItsDescriptor = long.MinValue;
    private const long ItsData = long.MinValue + 1;

    // Above all that the program has.
    private const long WordAddress = 0x7000_0000;
    private const int FUTEX_WAKE = 1;

    private readonly List<Act> acts = [];

    private int before = -1;

    /// <summary>Whether there is nothing to do.</summary>
    public bool IsEmpty => acts.Count == 0;

    /// <summary>Another guard, which watches already, acts only when this one is through.</summary>
    public GuardPlan Before(Guard other)
    {
        ArgumentNullException.ThrowIfNull(other);
        before = other.Pipe;
        return this;
    }

    /// <summary>Kills a process.</summary>
    public GuardPlan Kill(int pid) => Add(new Act(Sysno.kill, [pid, (long)Signal.SIGKILL], null, -1, []));

    /// <summary>Writes to a file, which is opened when the guard is started.</summary>
    public GuardPlan Write(string path, byte[] bytes)
    {
        ArgumentNullException.ThrowIfNull(bytes);
        return Add(new Act(Sysno.write, [ItsDescriptor, ItsData, bytes.Length], path, -1, bytes));
    }

    /// <summary>Sets an option of a socket that is an int; the guard inherits the socket when it is started.</summary>
    public GuardPlan SetOption(int socket, int level, int option, int value)
        => Add(new Act(Sysno.setsockopt, [ItsDescriptor, level, option, ItsData, sizeof(int)], null, socket, BitConverter.GetBytes(value)));

    /// <summary>Lets threads go on that wait for a word.</summary>
    public GuardPlan Release(HoldWord word)
    {
        long page = word.Offset & -Kernel.PageSize;
        Add(new Act(Sysno.pwrite64, [ItsDescriptor, ItsData, sizeof(uint), word.Offset], null, word.Scratch, new byte[sizeof(uint)]));
        Add(new Act(
            Sysno.mmap,
            [
                WordAddress, Kernel.PageSize, (long)(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE),
                (long)(MapFlags.MAP_SHARED | MapFlags.MAP_FIXED), ItsDescriptor, page,
            ],
            null, word.Scratch, []));
        return Add(new Act(Sysno.futex, [WordAddress + word.Offset - page, FUTEX_WAKE, int.MaxValue], null, -1, []));
    }

    /// <summary>
    /// Opens the files that are written to, and makes sockets inheritable, for as long as it takes the guard to inherit them.
    /// </summary>
    /// <exception cref="LinuxException">One can't be opened.</exception>
    internal GuardFiles OpenFiles()
    {
        var files = new GuardFiles();
        try
        {
            foreach (Act act in acts.Where(act => act.HasDescriptor))
            {
                files.Open(act.Path, act.Descriptor);
            }

            if (before >= 0)
            {
                // Its end of the other's pipe, which it does nothing with.
                files.Open(null, before);
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
    /// <param name="files">The descriptors, in the order of the acts that need one.</param>
    internal byte[] Encode(int pipe, IReadOnlyList<int> files)
    {
        int[] kept = [.. files.Append(pipe).Distinct().Order()];

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
                AddRecord(Sysno.close_range, [from, descriptor - 1, 0]);
            }

            from = descriptor + 1;
        }

        AddRecord(Sysno.close_range, [from, int.MaxValue, 0]);
        AddRecord(Sysno.read, [pipe, Address(dataOffset), 1], end: 1);
        dataOffset += 8;
        int next = 0;
        foreach (Act act in acts)
        {
            long descriptor = act.HasDescriptor ? files[next++] : -1;
            long address = Address(dataOffset);
            AddRecord(
                act.Number,
                [.. act.Arguments.Select(value => value switch { ItsDescriptor => descriptor, ItsData => address, _ => value })]);
            act.Data.CopyTo(program.AsSpan(dataOffset));
            dataOffset += act.Data.Length;
        }

        AddRecord((Sysno)(-1), []);
        return program;

        void AddRecord(Sysno number, ReadOnlySpan<long> arguments, long end = Guard.NoSuchResult)
        {
            Guard.WriteRecord(program.AsSpan(at, Guard.RecordSize), number, arguments, end);
            at += Guard.RecordSize;
        }

        static long Address(int offset) => (long)TinyProgram.LoadAddress + TinyProgram.CodeOffset + offset;
    }

    private GuardPlan Add(Act act)
    {
        acts.Add(act);
        return this;
    }

    private readonly record struct Act(Sysno Number, long[] Arguments, string? Path, int Descriptor, byte[] Data)
    {
        public bool HasDescriptor => Path is not null || Descriptor >= 0;
    }
}

/// <summary>What a guard inherits: open across exec in Firn for a moment.</summary>
internal sealed class GuardFiles : IDisposable
{
    private readonly List<int> numbers = [];
    private readonly List<Fd> files = [];
    private readonly Dictionary<int, int> copies = [];

    /// <summary>Their descriptors, one for each call of <see cref="Open"/>.</summary>
    public IReadOnlyList<int> Numbers => numbers;

    /// <summary>Opens a file for writing, or a copy of a descriptor.</summary>
    public void Open(string? path, int descriptor)
    {
        if (path is null && copies.TryGetValue(descriptor, out int copy))
        {
            numbers.Add(copy);
            return;
        }

        var file = new Fd(path is not null
            ? Sys.OpenAt(At.AT_FDCWD, path, OpenFlags.O_WRONLY, 0).OrThrow($"openat({path}, O_WRONLY)").Int32
            : Sys.Fcntl(descriptor, FcntlCommand.F_DUPFD, 3).OrThrow($"fcntl({descriptor}, F_DUPFD)").Int32);
        files.Add(file);
        numbers.Add(file.Number);
        if (path is null)
        {
            copies.Add(descriptor, file.Number);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => files.ForEach(file => file.Dispose());
}
