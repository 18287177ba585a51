using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>A restartable sequence that a thread is within when it is stopped: rseq(2).</summary>
/// <remarks>
/// Code that runs elsewhere in the thread, as a batch does, makes the kernel forget that the thread is within one: it would go on, on
/// another CPU perhaps, without being restarted. So the thread is made to abort the sequence, which the kernel may do at any time and the
/// program must expect. Kernel: kernel/rseq.c, rseq_ip_fixup().
/// </remarks>
public static class RestartableSequence
{
    private const int CriticalSectionOffset = 8;

    /// <summary>Gives the registers as found or, within a sequence, those at its abort handler.</summary>
    /// <param name="tracee">The thread, stopped, and not let run since.</param>
    /// <param name="registers">Its registers as found.</param>
    public static UserRegs Leave(Tracee tracee, in UserRegs registers)
    {
        ulong area = tracee.GetRseqConfiguration().rseq_abi_pointer;
        Span<byte> pointer = stackalloc byte[sizeof(ulong)];
        if (area == 0 || Sys.ProcessVmRead(tracee.Tid, area + CriticalSectionOffset, pointer).Raw != pointer.Length)
        {
            return registers;
        }

        ulong section = BinaryPrimitives.ReadUInt64LittleEndian(pointer);
        RseqCriticalSection sequence = default;
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<RseqCriticalSection>(ref sequence));
        if (section == 0 || Sys.ProcessVmRead(tracee.Tid, section, bytes).Raw != bytes.Length)
        {
            return registers;
        }

        return Leave(sequence, registers);
    }

    /// <summary>Gives the registers or, if they are within a sequence, those at its abort handler.</summary>
    internal static UserRegs Leave(in RseqCriticalSection sequence, in UserRegs registers)
    {
        UserRegs result = registers;
        if (sequence.version == 0 && registers.rip - sequence.start_ip < sequence.post_commit_offset)
        {
            result.rip = sequence.abort_ip;
        }

        return result;
    }
}
