using System.Runtime.InteropServices;
using Firn.Linux;
using Firn.Linux.Abi;

[assembly: System.Runtime.CompilerServices.DisableRuntimeMarshalling]

namespace Firn.Tracing;

public sealed unsafe partial class Tracee
{
    private SysResult RegisterSetCall(PtraceRequest request, ref UserRegs registers)
        => Sys.PtraceRegisterSet(
            request, Tid, RegisterSet.NT_PRSTATUS, MemoryMarshal.AsBytes(new Span<UserRegs>(ref registers)), out _);

    private SysResult RseqCall(ref RseqConfiguration configuration)
        => Sys.Ptrace(PtraceRequest.PTRACE_GET_RSEQ_CONFIGURATION, Tid, sizeof(RseqConfiguration), ref configuration);
}
