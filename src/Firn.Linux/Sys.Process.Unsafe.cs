using Firn.Linux.Abi;

namespace Firn.Linux;

public static unsafe partial class Sys
{
    /// <summary>wait4(2) for one task or, with -1, for any; the status is as the kernel gives it.</summary>
    public static SysResult Wait4(int pid, out int status, WaitOptions options)
    {
        int value = 0;
        SysResult result = Kernel.Call(Sysno.wait4, pid, (nint)(&value), (nint)options);
        status = value;
        return result;
    }

    /// <summary>ptrace(2) with bare arguments.</summary>
    public static SysResult Ptrace(PtraceRequest request, int tid, nint address = 0, nint data = 0)
        => Kernel.Call(Sysno.ptrace, (nint)request, tid, address, data);

    /// <summary>ptrace(2) with a structure behind its last argument.</summary>
    public static SysResult Ptrace<T>(PtraceRequest request, int tid, nint address, ref T data)
        where T : unmanaged
    {
        fixed (T* pointer = &data)
        {
            return Kernel.Call(Sysno.ptrace, (nint)request, tid, address, (nint)pointer);
        }
    }

    /// <summary>PTRACE_GETREGSET or PTRACE_SETREGSET; gives how many bytes the kernel read or wrote.</summary>
    public static SysResult PtraceRegisterSet(PtraceRequest request, int tid, RegisterSet set, Span<byte> data, out int length)
    {
        fixed (byte* pointer = data)
        {
            Iovec vector = new() { iov_base = (nint)pointer, iov_len = data.Length };
            SysResult result = Kernel.Call(Sysno.ptrace, (nint)request, tid, (nint)set, (nint)(&vector));
            length = (int)vector.iov_len;
            return result;
        }
    }

    /// <summary>PTRACE_PEEKSIGINFO: queued signals of a thread or of its group, 128 bytes each.</summary>
    public static SysResult PtracePeekSiginfo(int tid, in PeekSiginfoArgs arguments, Span<byte> siginfo)
    {
        fixed (PeekSiginfoArgs* first = &arguments)
        fixed (byte* second = siginfo)
        {
            return Kernel.Call(Sysno.ptrace, (nint)PtraceRequest.PTRACE_PEEKSIGINFO, tid, (nint)first, (nint)second);
        }
    }

    /// <summary>process_vm_readv(2) of one range. Never of pages that a fork still shares: the copy breaks the sharing.</summary>
    public static SysResult ProcessVmRead(int pid, ulong address, Span<byte> buffer)
    {
        fixed (byte* pointer = buffer)
        {
            Iovec local = new() { iov_base = (nint)pointer, iov_len = buffer.Length };
            Iovec remote = new() { iov_base = (nint)address, iov_len = buffer.Length };
            return Kernel.Call(Sysno.process_vm_readv, pid, (nint)(&local), 1, (nint)(&remote), 1, 0);
        }
    }

    /// <summary>process_vm_writev(2) of one range.</summary>
    public static SysResult ProcessVmWrite(int pid, ulong address, ReadOnlySpan<byte> buffer)
    {
        fixed (byte* pointer = buffer)
        {
            Iovec local = new() { iov_base = (nint)pointer, iov_len = buffer.Length };
            Iovec remote = new() { iov_base = (nint)address, iov_len = buffer.Length };
            return Kernel.Call(Sysno.process_vm_writev, pid, (nint)(&local), 1, (nint)(&remote), 1, 0);
        }
    }

    /// <summary>sched_getaffinity(2) of a task: the bytes of its mask.</summary>
    public static SysResult SchedGetAffinity(int tid, Span<byte> mask)
    {
        fixed (byte* pointer = mask)
        {
            return Kernel.Call(Sysno.sched_getaffinity, tid, mask.Length, (nint)pointer);
        }
    }

    /// <summary>sched_setaffinity(2) of a task.</summary>
    public static SysResult SchedSetAffinity(int tid, ReadOnlySpan<byte> mask)
    {
        fixed (byte* pointer = mask)
        {
            return Kernel.Call(Sysno.sched_setaffinity, tid, mask.Length, (nint)pointer);
        }
    }

    /// <summary>rt_sigprocmask(2) of the calling thread; gives the mask before.</summary>
    public static SysResult SignalMask(int how, ulong mask, out ulong before)
    {
        ulong old = 0;
        SysResult result = Kernel.Call(Sysno.rt_sigprocmask, how, (nint)(&mask), (nint)(&old), sizeof(ulong));
        before = old;
        return result;
    }

    /// <summary>rt_sigaction(2): reads what the calling process does at a signal.</summary>
    public static SysResult GetSignalAction(Signal signal, out KernelSigaction action)
    {
        fixed (KernelSigaction* pointer = &action)
        {
            *pointer = default;
            return Kernel.Call(Sysno.rt_sigaction, (nint)signal, 0, (nint)pointer, sizeof(ulong));
        }
    }

    /// <summary>rt_sigaction(2): sets what the calling process does at a signal.</summary>
    public static SysResult SetSignalAction(Signal signal, in KernelSigaction action)
    {
        fixed (KernelSigaction* pointer = &action)
        {
            return Kernel.Call(Sysno.rt_sigaction, (nint)signal, (nint)pointer, 0, sizeof(ulong));
        }
    }

    /// <summary>
    /// execve(2): executes another program in place of this one. Returns only if that fails; descriptors without close-on-exec stay open.
    /// </summary>
    /// <param name="arguments">Its path and its arguments.</param>
    /// <param name="environment">Its environment, as NAME=VALUE.</param>
    public static SysResult Execute(IReadOnlyList<string> arguments, IReadOnlyList<string> environment)
    {
        using var argv = new TextVector(arguments);
        using var envp = new TextVector(environment);
        return Kernel.Call(Sysno.execve, (nint)argv.First, (nint)argv.Pointer, (nint)envp.Pointer);
    }

    /// <summary>clock_gettime(2), in nanoseconds.</summary>
    public static long ClockNanoseconds(int clock)
    {
        long* time = stackalloc long[2];
        Kernel.Call(Sysno.clock_gettime, clock, (nint)time).OrThrow("clock_gettime");
        return (time[0] * 1_000_000_000) + time[1];
    }
}
