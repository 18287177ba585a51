namespace Firn.Tracing;

/// <summary>The one piece of code that is ever put into a task: it walks a list of system call records, then stops.</summary>
/// <remarks>
/// <para>
/// Position-independent, and without a stack: rsp points at the frame that leads home (<see cref="HomeFrame"/>). rbx is the next record,
/// r12 how many are left, r15 and rbp the task's own process and thread id, r13 the signal that ends the batch, r14 the flags of a record.
/// The list ends, or breaks off at the first error of a call that may not fail; then the batch's end mark is set, the thread sends itself
/// the signal, and a tracer sees a signal-delivery stop and swallows the signal. Without a tracer the signal, one that the task ignores,
/// does nothing, and rt_sigreturn takes the thread home to where it was found: a Firn that is killed harms no one.
/// </para>
/// <para>A test assembles this listing anew and compares.</para>
/// </remarks>
public static class Executor
{
    /// <summary>Bytes of one record: number, six arguments, result, flags.</summary>
    public const int RecordSize = 72;

    /// <summary>Offset of the result in a record.</summary>
    public const int ResultOffset = 56;

    /// <summary>Offset of the flags in a record.</summary>
    public const int FlagsOffset = 64;

    /// <summary>Flag of a call whose failure does not end the batch. Bits 0 to 5 say which arguments are addresses of the value.</summary>
    public const int MayFail = 64;

    /// <summary>Offset of the end mark from rsp: a word that is not 0 once the batch has ended.</summary>
    public const int EndMarkOffset = -32;

    /// <summary>The code.</summary>
    public static ReadOnlySpan<byte> Code =>
    [
        // next:
        0x4d, 0x85, 0xe4,             // test r12, r12
        0x74, 0x70,                   // jz end
        0x4c, 0x8b, 0x73, 0x40,       // mov r14, [rbx+64]
        0x48, 0x8b, 0x7b, 0x08,       // mov rdi, [rbx+8]
        0x41, 0xf6, 0xc6, 0x01,       // test r14b, 1
        0x74, 0x03,                   // jz +3
        0x48, 0x8b, 0x3f,             // mov rdi, [rdi]
        0x48, 0x8b, 0x73, 0x10,       // mov rsi, [rbx+16]
        0x41, 0xf6, 0xc6, 0x02,       // test r14b, 2
        0x74, 0x03,                   // jz +3
        0x48, 0x8b, 0x36,             // mov rsi, [rsi]
        0x48, 0x8b, 0x53, 0x18,       // mov rdx, [rbx+24]
        0x41, 0xf6, 0xc6, 0x04,       // test r14b, 4
        0x74, 0x03,                   // jz +3
        0x48, 0x8b, 0x12,             // mov rdx, [rdx]
        0x4c, 0x8b, 0x53, 0x20,       // mov r10, [rbx+32]
        0x41, 0xf6, 0xc6, 0x08,       // test r14b, 8
        0x74, 0x03,                   // jz +3
        0x4d, 0x8b, 0x12,             // mov r10, [r10]
        0x4c, 0x8b, 0x43, 0x28,       // mov r8, [rbx+40]
        0x41, 0xf6, 0xc6, 0x10,       // test r14b, 16
        0x74, 0x03,                   // jz +3
        0x4d, 0x8b, 0x00,             // mov r8, [r8]
        0x4c, 0x8b, 0x4b, 0x30,       // mov r9, [rbx+48]
        0x41, 0xf6, 0xc6, 0x20,       // test r14b, 32
        0x74, 0x03,                   // jz +3
        0x4d, 0x8b, 0x09,             // mov r9, [r9]
        0x48, 0x8b, 0x03,             // mov rax, [rbx]
        0x0f, 0x05,                   // syscall
        0x48, 0x89, 0x43, 0x38,       // mov [rbx+56], rax
        0x48, 0x83, 0xc3, 0x48,       // add rbx, 72
        0x49, 0xff, 0xcc,             // dec r12
        0x41, 0xf6, 0xc6, 0x40,       // test r14b, 64
        0x75, 0x93,                   // jnz next
        0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, // cmp rax, -4096
        0x76, 0x8b,                   // jbe next

        // end:
        0x48, 0xc7, 0x44, 0x24, 0xe0, 0x01, 0x00, 0x00, 0x00, // mov qword [rsp-32], 1
        0xb8, 0xea, 0x00, 0x00, 0x00, // mov eax, 234 (tgkill)
        0x4c, 0x89, 0xff,             // mov rdi, r15
        0x48, 0x89, 0xee,             // mov rsi, rbp
        0x4c, 0x89, 0xea,             // mov rdx, r13
        0x0f, 0x05,                   // syscall
        0xb8, 0x0f, 0x00, 0x00, 0x00, // mov eax, 15 (rt_sigreturn)
        0x0f, 0x05,                   // syscall
    ];
}
