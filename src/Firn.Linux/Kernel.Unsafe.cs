using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Firn.Linux.Abi;

[assembly: DisableRuntimeMarshalling]

namespace Firn.Linux;

public static unsafe partial class Kernel
{
    // mov rax,rdi; mov rdi,rsi; mov rsi,rdx; mov rdx,rcx; mov r10,r8; mov r8,r9; mov r9,[rsp+8]; syscall; ret
    // From the C calling convention (number first) to that of the kernel: syscall(2), "Architecture calling conventions".
    private static ReadOnlySpan<byte> SyscallStub =>
    [
        0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x4d, 0x89, 0xc2, 0x4d, 0x89, 0xc8,
        0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05, 0xc3,
    ];

    // rdi = clone_args, rsi = its size, rdx = argument of the child, rcx = code of the child.
    // mov r8,rdx; mov r9,rcx; mov eax,435; syscall; test rax,rax; jz child; ret; child: mov rbx,r8; jmp r9
    // The child goes on without using the stack, which it may share with the caller (clone3(2), CLONE_VM).
    private static ReadOnlySpan<byte> CloneStub =>
    [
        0x49, 0x89, 0xd0, 0x49, 0x89, 0xc9, 0xb8, 0xb3, 0x01, 0x00, 0x00, 0x0f, 0x05, 0x48, 0x85, 0xc0, 0x74, 0x01, 0xc3,
        0x4c, 0x89, 0xc3, 0x41, 0xff, 0xe1,
    ];

    private const int CloneStubOffset = 64;
    private const int ChildCodeOffset = 128;
    private const int CodeSize = PageSize;

    private static readonly byte* Code = MapCode();

    private static readonly delegate* unmanaged<nint, nint, nint, nint, nint, nint, nint, nint> Syscall =
        (delegate* unmanaged<nint, nint, nint, nint, nint, nint, nint, nint>)Code;

    public static partial SysResult Call(Sysno nr, nint a0, nint a1, nint a2, nint a3, nint a4, nint a5)
        => new(Syscall((nint)nr, a0, a1, a2, a3, a4, a5));

    /// <summary>
    /// Makes a task by clone3(2) that runs <paramref name="childCode"/>, position-independent machine code that must not use the stack,
    /// with <paramref name="childArgument"/> in rbx. Managed code never runs in the child.
    /// </summary>
    /// <returns>The new task's id as the caller's pid namespace sees it, or -errno.</returns>
    public static SysResult Clone3(in CloneArgs arguments, ReadOnlySpan<byte> childCode, nint childArgument)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(childCode.Length, CodeSize - ChildCodeOffset);

        // SAFETY: the code page is written only while it is writable; clone3 reads the arguments during the call alone, and the child
        // leaves by exec or exit without touching the stack that it shares.
        Protect(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE);
        childCode.CopyTo(new Span<byte>(Code + ChildCodeOffset, CodeSize - ChildCodeOffset));
        Protect(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_EXEC);
        var clone = (delegate* unmanaged<CloneArgs*, nint, nint, byte*, nint>)(Code + CloneStubOffset);
        fixed (CloneArgs* pointer = &arguments)
        {
            return new SysResult(clone(pointer, sizeof(CloneArgs), childArgument, Code + ChildCodeOffset));
        }
    }

    /// <summary>Makes a task without an exit signal, with an id of its own in the innermost pid namespace.</summary>
    /// <param name="flags">What it shares.</param>
    /// <param name="pid">The id, or 0 for the next one.</param>
    /// <param name="childCode">What it runs, as above.</param>
    /// <param name="childArgument">What it finds in rbx.</param>
    public static SysResult Clone3(CloneFlags flags, int pid, ReadOnlySpan<byte> childCode, nint childArgument)
    {
        // SAFETY: the id lies on the stack for as long as the call lasts.
        var arguments = new CloneArgs { flags = (ulong)flags, set_tid = pid > 0 ? (ulong)&pid : 0, set_tid_size = pid > 0 ? 1UL : 0 };
        return Clone3(in arguments, childCode, childArgument);
    }

    // struct: number, four arguments, result, user, group. setresgid(-1, group, -1), setresuid(-1, user, -1), the call, exit(0).
    private static ReadOnlySpan<byte> CallAsCode =>
    [
        0xb8, 0x77, 0x00, 0x00, 0x00, 0x48, 0x83, 0xcf, 0xff, 0x48, 0x8b, 0x73, 0x38, 0x48, 0x83, 0xca, 0xff, 0x0f, 0x05,
        0xb8, 0x75, 0x00, 0x00, 0x00, 0x48, 0x83, 0xcf, 0xff, 0x48, 0x8b, 0x73, 0x30, 0x48, 0x83, 0xca, 0xff, 0x0f, 0x05,
        0x48, 0x8b, 0x03, 0x48, 0x8b, 0x7b, 0x08, 0x48, 0x8b, 0x73, 0x10, 0x48, 0x8b, 0x53, 0x18, 0x4c, 0x8b, 0x53, 0x20, 0x0f, 0x05,
        0x48, 0x89, 0x43, 0x28, 0x31, 0xff, 0xb8, 0x3c, 0x00, 0x00, 0x00, 0x0f, 0x05,
    ];

    /// <summary>
    /// Makes a system call as a process that is there for that alone: with an id and effective user and group of its own, and the
    /// caller's memory, descriptors and directories. What the kernel keeps of who has called is then that process.
    /// </summary>
    /// <param name="identity">Who calls.</param>
    /// <param name="nr">The call.</param>
    /// <param name="a0">Its arguments.</param>
    /// <param name="a1">The second.</param>
    /// <param name="a2">The third.</param>
    /// <param name="a3">The fourth.</param>
    /// <returns>What the call gives; or of clone3(2): EEXIST if the id is taken, EPERM, EINVAL.</returns>
    public static SysResult CallAs(Identity identity, Sysno nr, nint a0, nint a1, nint a2, nint a3)
    {
        // SAFETY: the parent stands still until the child has ended (CLONE_VFORK), so that what lies on its stack stays there.
        nint* call = stackalloc nint[8];
        (call[0], call[1], call[2], call[3], call[4]) = ((nint)nr, a0, a1, a2, a3);
        (call[5], call[6], call[7]) = (-(nint)Errno.EAGAIN, (nint)identity.User, (nint)identity.Group);
        const CloneFlags Flags = CloneFlags.CLONE_VM | CloneFlags.CLONE_FILES | CloneFlags.CLONE_FS | CloneFlags.CLONE_VFORK;
        SysResult child = Clone3(Flags, identity.Pid, CallAsCode, (nint)call);
        if (child.IsError)
        {
            return child;
        }

        Sys.Wait4(child.Int32, out _, WaitOptions.__WALL).OrThrow($"wait4({child.Int32})");
        return new SysResult(call[5]);
    }

    /// <summary>
    /// Makes a process with a certain id that has ended when this returns, and is there until it is waited for (with __WALL). clone3(2).
    /// </summary>
    /// <param name="id">Its id in the pid namespace of the caller's children.</param>
    /// <returns>Its id as the caller's pid namespace sees it, or -errno: EEXIST if the id is taken.</returns>
    public static SysResult CloneEnded(int id)
    {
        // xor edi,edi; mov eax,60; syscall: exit(0).
        ReadOnlySpan<byte> exit = [0x31, 0xff, 0xb8, 0x3c, 0x00, 0x00, 0x00, 0x0f, 0x05];

        // SAFETY: the id is read during the call alone.
        var arguments = new CloneArgs
        {
            flags = (ulong)(CloneFlags.CLONE_VM | CloneFlags.CLONE_VFORK),
            set_tid = (ulong)&id,
            set_tid_size = 1,
        };
        return Clone3(in arguments, exit, 0);
    }

    private static byte* MapCode()
    {
        // SAFETY: an anonymous mapping of one page, filled before it becomes executable, and never unmapped.
        byte* page = (byte*)MapFirst(0, CodeSize, (int)(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE), 0x22, -1, 0);
        if ((nint)page == -1)
        {
            throw new InvalidOperationException("mmap of one page for the system call stub failed");
        }

        SyscallStub.CopyTo(new Span<byte>(page, CloneStubOffset));
        CloneStub.CopyTo(new Span<byte>(page + CloneStubOffset, ChildCodeOffset - CloneStubOffset));
        if (ProtectFirst(page, CodeSize, (int)(ProtectionFlags.PROT_READ | ProtectionFlags.PROT_EXEC)) != 0)
        {
            throw new InvalidOperationException("mprotect of the system call stub failed");
        }

        return page;
    }

    // The stub itself is what is being changed here, so libc's mprotect serves.
    private static void Protect(ProtectionFlags protection)
    {
        if (ProtectFirst(Code, CodeSize, (int)protection) != 0)
        {
            throw new InvalidOperationException("mprotect of the system call stub failed");
        }
    }

    // The only two calls that go through libc: they make the page that all others go through.
    [DllImport("libc", EntryPoint = "mmap")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern nint MapFirst(nint address, nint length, int protection, int flags, int fd, long offset);

    [DllImport("libc", EntryPoint = "mprotect")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int ProtectFirst(byte* address, nint length, int protection);
}
