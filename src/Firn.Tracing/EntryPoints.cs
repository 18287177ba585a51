using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Tracing;

/// <summary>What a process has by nature that lets Firn in and the thread out again.</summary>
internal sealed class EntryPoints
{
    private const int ChunkSize = 256 << 10;

    // By device, inode, and offset in the file. Only ever used on the tracer thread.
    private static readonly Dictionary<(uint Major, uint Minor, ulong Inode), ulong> Trampolines = [];

    private static ReadOnlySpan<byte> WideTrampoline => [0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05];

    private static ReadOnlySpan<byte> NarrowTrampoline => [0xb8, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05];

    /// <summary>A `syscall` instruction of the vdso, followed by nothing but the clearing of call-clobbered registers and `ret`.</summary>
    public required RemotePtr SystemCall { get; init; }

    /// <summary>A trampoline that calls rt_sigreturn; null where the process has none.</summary>
    public required RemotePtr Trampoline { get; init; }

    /// <summary>The first page of the main thread's stack mapping, far below what is in use.</summary>
    public required RemotePtr StackBottom { get; init; }

    /// <summary>The end of that mapping.</summary>
    public required RemotePtr StackEnd { get; init; }

    /// <summary>Looks for them.</summary>
    /// <exception cref="TraceeBusyException">The process has no vdso with such an instruction: it can't be entered.</exception>
    public static EntryPoints Find(int pid, IReadOnlyList<Mapping> mappings)
    {
        Mapping? vdso = null;
        Mapping? stack = null;
        foreach (Mapping mapping in mappings)
        {
            if (mapping.IsNamed("[vdso]"))
            {
                vdso = mapping;
            }
            else if (mapping.IsNamed("[stack]"))
            {
                stack = mapping;
            }
        }

        RemotePtr systemCall = vdso is null ? RemotePtr.Null : FindSystemCall(pid, new RemotePtr(vdso.Start));
        if (systemCall.Value == 0)
        {
            throw new TraceeBusyException(pid, "it has no vdso through which a system call could be made; it can't be saved");
        }

        return new EntryPoints
        {
            SystemCall = systemCall,
            Trampoline = FindTrampoline(pid, mappings),
            StackBottom = new RemotePtr(stack?.Start ?? 0),
            StackEnd = new RemotePtr(stack?.End ?? 0),
        };
    }

    /// <summary>Looks for the system call instruction of a vdso; null where there is none.</summary>
    internal static RemotePtr FindSystemCall(int pid, RemotePtr vdso)
    {
        // A vdso is two pages or less; what is read beyond the end of a shorter one fails, and the first page must do.
        byte[] bytes = new byte[2 * Kernel.PageSize];
        SysResult read = Sys.ProcessVmRead(pid, vdso.Value, bytes);
        if (read.IsError)
        {
            return RemotePtr.Null;
        }

        Array.Resize(ref bytes, read.Int32);

        for (int i = 0; i + 2 < bytes.Length; i++)
        {
            if (bytes[i] == 0x0f && bytes[i + 1] == 0x05 && LeadsToReturn(bytes.AsSpan(i + 2)))
            {
                return vdso + (ulong)i;
            }
        }

        return RemotePtr.Null;
    }

    /// <summary>Whether code is `xor reg, reg` of call-clobbered registers any number of times, then `ret`.</summary>
    internal static bool LeadsToReturn(ReadOnlySpan<byte> code)
    {
        int i = 0;
        while (i < code.Length)
        {
            if (code[i] == 0xc3)
            {
                return true;
            }

            bool extended = code[i] == 0x45;
            int at = extended ? i + 1 : i;
            if (at + 1 >= code.Length || code[at] != 0x31)
            {
                return false;
            }

            int register = code[at + 1] & 7;
            bool isClear = code[at + 1] >> 6 == 3 && ((code[at + 1] >> 3) & 7) == register;

            // rcx, rdx, rsi, rdi; or r8 to r11.
            bool isClobbered = extended ? register <= 3 : register is 1 or 2 or 6 or 7;
            if (!isClear || !isClobbered)
            {
                return false;
            }

            i = at + 2;
        }

        return false;
    }

    // glibc and Go: mov $15, %rax; syscall. Others: mov $15, %eax; syscall.
    private static RemotePtr FindTrampoline(int pid, IReadOnlyList<Mapping> mappings)
    {
        foreach (bool libcFirst in (ReadOnlySpan<bool>)[true, false])
        {
            foreach (Mapping mapping in mappings)
            {
                if (mapping.Protection.HasFlag(ProtectionFlags.PROT_EXEC)
                    && mapping.HasFile
                    && mapping.Name.Contains("libc", StringComparison.Ordinal) == libcFirst)
                {
                    RemotePtr found = Remembered(pid, mapping) ?? Search(pid, mapping);
                    if (found.Value != 0)
                    {
                        Trampolines[(mapping.DevMajor, mapping.DevMinor, mapping.Inode)] = found.Value - mapping.Start + mapping.Offset;
                        return found;
                    }
                }
            }
        }

        return RemotePtr.Null;
    }

    // Many tasks of a tree have one libc: where it has its trampoline is found once, and looked at again in each.
    private static RemotePtr? Remembered(int pid, Mapping mapping)
    {
        if (!Trampolines.TryGetValue((mapping.DevMajor, mapping.DevMinor, mapping.Inode), out ulong offset)
            || offset < mapping.Offset
            || offset - mapping.Offset >= mapping.Length)
        {
            return null;
        }

        ulong address = mapping.Start + offset - mapping.Offset;
        Span<byte> bytes = stackalloc byte[9];
        return !Sys.ProcessVmRead(pid, address, bytes).IsError && (bytes.SequenceEqual(WideTrampoline) || bytes.StartsWith(NarrowTrampoline))
            ? new RemotePtr(address)
            : null;
    }

    private static RemotePtr Search(int pid, Mapping mapping)
    {
        byte[] buffer = new byte[ChunkSize];
        for (ulong at = mapping.Start; at < mapping.End; at += ChunkSize - 16)
        {
            int length = (int)Math.Min(ChunkSize, mapping.End - at);
            SysResult read = Sys.ProcessVmRead(pid, at, buffer.AsSpan(0, length));
            if (read.IsError)
            {
                return RemotePtr.Null;
            }

            ReadOnlySpan<byte> chunk = buffer.AsSpan(0, read.Int32);
            int index = chunk.IndexOf(WideTrampoline);
            if (index < 0)
            {
                index = chunk.IndexOf(NarrowTrampoline);
            }

            if (index >= 0)
            {
                return new RemotePtr(at + (ulong)index);
            }
        }

        return RemotePtr.Null;
    }
}
