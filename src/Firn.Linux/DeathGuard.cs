using System.Buffers.Binary;
using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>A tiny process that writes to files should this process die before it is done: what SIGKILL leaves no time for.</summary>
/// <remarks>
/// It waits in read(2) on a pipe whose other end only this process has. The end of that, however it comes, wakes it; it does its writes in
/// order, and exits. It leads a session of its own, so that what a terminal sends to this process does not reach it. SIGKILL to both at
/// once, as `cgroup.kill` sends it, is beyond it.
/// </remarks>
public sealed class DeathGuard : IDisposable
{
    private readonly int pid;
    private readonly Fd pipe;

    private DeathGuard(int pid, Fd pipe)
    {
        this.pid = pid;
        this.pipe = pipe;
    }

    // read(pipe, stack, 1) until it is not interrupted; at the end of the file, each of the table's {fd, length, address} is written.
    private static ReadOnlySpan<byte> Code =>
    [
        0x31, 0xc0,                                     // 00 xor eax, eax
        0x8b, 0x3d, 0x48, 0x00, 0x00, 0x00,             // 02 mov edi, [rip + table]
        0x48, 0x8d, 0x74, 0x24, 0xc0,                   // 08 lea rsi, [rsp - 64]
        0xba, 0x01, 0x00, 0x00, 0x00,                   // 0d mov edx, 1
        0x0f, 0x05,                                     // 12 syscall
        0x48, 0x83, 0xf8, 0xfc,                         // 14 cmp rax, -EINTR
        0x74, 0xe6,                                     // 18 je 00
        0x85, 0xc0,                                     // 1a test eax, eax
        0x75, 0x21,                                     // 1c jne 3f
        0x48, 0x8d, 0x1d, 0x2b, 0x00, 0x00, 0x00,       // 1e lea rbx, [rip + table]
        0x48, 0x83, 0xc3, 0x10,                         // 25 add rbx, 16
        0x8b, 0x3b,                                     // 29 mov edi, [rbx]
        0x85, 0xff,                                     // 2b test edi, edi
        0x78, 0x10,                                     // 2d js 3f
        0x8b, 0x53, 0x04,                               // 2f mov edx, [rbx + 4]
        0x48, 0x8b, 0x73, 0x08,                         // 32 mov rsi, [rbx + 8]
        0xb8, 0x01, 0x00, 0x00, 0x00,                   // 36 mov eax, SYS_write
        0x0f, 0x05,                                     // 3b syscall
        0xeb, 0xe6,                                     // 3d jmp 25
        0x31, 0xff,                                     // 3f xor edi, edi
        0xb8, 0xe7, 0x00, 0x00, 0x00,                   // 41 mov eax, SYS_exit_group
        0x0f, 0x05,                                     // 46 syscall
        0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, // 48 the table follows, aligned
    ];

    /// <summary>Starts a guard.</summary>
    /// <param name="writes">Which bytes go to which file, in this order.</param>
    /// <exception cref="LinuxException">A file can't be opened, or the process can't be started.</exception>
    public static DeathGuard Start(IReadOnlyList<(string Path, byte[] Bytes)> writes)
    {
        List<Fd> inherited = [];
        try
        {
            Sys.Pipe(out int readEnd, out int writeEnd, OpenFlags.O_CLOEXEC).OrThrow("pipe2(guard)");
            inherited.Add(new Fd(readEnd));
            using var ours = new Fd(writeEnd);
            foreach ((string path, _) in writes)
            {
                inherited.Add(Sys.Open(path, OpenFlags.O_WRONLY));
            }

            using Fd program = StaticProgram.Make("firn-guard", MakeProgram([.. inherited.Select(fd => fd.Number)], writes));
            int pid = Spawn.Start(
                [$"/proc/self/fd/{program.Number}"], [], [.. inherited.Select(fd => (fd.Number, fd.Number))], newSession: true);
            return new DeathGuard(pid, new Fd(ours.Release()));
        }
        finally
        {
            inherited.ForEach(fd => fd.Dispose());
        }
    }

    /// <summary>Ends the guard: nothing is written any more.</summary>
    public void Dispose()
    {
        if (!pipe.IsOpen)
        {
            return;
        }

        _ = Sys.Kill(pid, Signal.SIGKILL);
        while (Sys.Wait4(pid, out _, WaitOptions.__WALL).Errno == Errno.EINTR)
        {
            // Again.
        }

        pipe.Dispose();
    }

    private static byte[] MakeProgram(int[] descriptors, IReadOnlyList<(string Path, byte[] Bytes)> writes)
    {
        const int Row = 16;
        int texts = Code.Length + ((writes.Count + 2) * Row);
        byte[] program = new byte[texts + writes.Sum(write => write.Bytes.Length)];
        Code.CopyTo(program);
        Span<byte> row = program.AsSpan(Code.Length);
        BinaryPrimitives.WriteInt32LittleEndian(row, descriptors[0]);
        for (int i = 0; i < writes.Count; i++)
        {
            row = row[Row..];
            BinaryPrimitives.WriteInt32LittleEndian(row, descriptors[i + 1]);
            BinaryPrimitives.WriteInt32LittleEndian(row[4..], writes[i].Bytes.Length);
            BinaryPrimitives.WriteUInt64LittleEndian(row[8..], StaticProgram.CodeAddress + (ulong)texts);
            writes[i].Bytes.CopyTo(program, texts);
            texts += writes[i].Bytes.Length;
        }

        BinaryPrimitives.WriteInt32LittleEndian(row[Row..], -1);
        return program;
    }
}
