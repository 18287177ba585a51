using Firn.Tracing;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Firn.Tracing.Tests;

public sealed class ExecutorTests
{
    [Fact]
    public void The_code_is_what_its_listing_says()
    {
        var a = new Assembler(64);
        Label next = a.CreateLabel();
        Label end = a.CreateLabel();
        a.Label(ref next);
        a.test(r12, r12);
        a.je(end);
        a.mov(r14, __[rbx + Executor.FlagsOffset]);
        AssemblerRegister64[] arguments = [rdi, rsi, rdx, r10, r8, r9];
        for (int i = 0; i < arguments.Length; i++)
        {
            a.mov(arguments[i], __[rbx + (8 * (i + 1))]);
            a.test(r14b, (sbyte)(1 << i));
            Label direct = a.CreateLabel();
            a.je(direct);
            a.mov(arguments[i], __[arguments[i]]);
            a.Label(ref direct);
        }

        a.mov(rax, __[rbx]);
        a.syscall();
        a.mov(__[rbx + Executor.ResultOffset], rax);
        a.add(rbx, Executor.RecordSize);
        a.dec(r12);
        a.test(r14b, Executor.MayFail);
        a.jne(next);
        a.cmp(rax, -4096);
        a.jbe(next);
        a.Label(ref end);
        a.mov(__qword_ptr[rsp + Executor.EndMarkOffset], 1);
        a.mov(eax, 234);
        a.mov(rdi, r15);
        a.mov(rsi, rbp);
        a.mov(rdx, r13);
        a.syscall();
        a.mov(eax, 15);
        a.syscall();

        using var stream = new MemoryStream();
        a.Assemble(new StreamCodeWriter(stream), 0);
        Assert.Equal(Convert.ToHexString(stream.ToArray()), Convert.ToHexString(Executor.Code));
    }

    [Fact]
    public void The_code_of_a_guard_is_what_its_listing_says()
    {
        var a = new Assembler(64);
        Label next = a.CreateLabel();
        Label end = a.CreateLabel();
        Label records = a.CreateLabel();
        a.lea(rbx, __[records]);
        a.Label(ref next);
        a.mov(rax, __[rbx]);
        a.test(rax, rax);
        a.js(end);
        AssemblerRegister64[] arguments = [rdi, rsi, rdx, r10, r8, r9];
        for (int i = 0; i < arguments.Length; i++)
        {
            a.mov(arguments[i], __[rbx + (8 * (i + 1))]);
        }

        a.syscall();
        a.cmp(rax, __[rbx + 56]);
        a.je(end);
        a.add(rbx, Guard.RecordSize);
        a.jmp(next);
        a.Label(ref end);
        a.xor(edi, edi);
        a.mov(eax, 231);
        a.syscall();
        a.Label(ref records);
        a.nop();

        using var stream = new MemoryStream();
        a.Assemble(new StreamCodeWriter(stream), 0);
        Assert.Equal(Convert.ToHexString(stream.ToArray().AsSpan()[..^1]), Convert.ToHexString(Guard.Code));
    }

    [Theory]
    [InlineData("31d231c931f631ff4531dbc3", true)]
    [InlineData("c3", true)]
    [InlineData("c931d2c3", false)]
    [InlineData("31c0c3", false)]
    [InlineData("31d2", false)]
    [InlineData("4531e4c3", false)]
    public void Only_code_that_clears_call_clobbered_registers_leads_to_return(string code, bool leads)
        => Assert.Equal(leads, EntryPoints.LeadsToReturn(Convert.FromHexString(code)));
}
