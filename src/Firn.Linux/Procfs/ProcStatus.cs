namespace Firn.Linux.Procfs;

/// <summary>/proc/PID/status and /proc/PID/task/TID/status. The properties have the names of the lines.</summary>
/// <remarks>
/// Kernel: fs/proc/array.c, proc_pid_status(); proc_pid_status(5). The line Name is left out: <see cref="ProcStat.Name"/> has it unescaped.
/// A zombie has no lines of memory, and those properties are 0.
/// </remarks>
public sealed class ProcStatus
{
    private const int LongestKey = 32;

    private ProcStatus()
    {
    }

    /// <summary>The state.</summary>
    public TaskState State { get; private set; }

    /// <summary>Signals queued for the real user id of the task (the first number of SigQ).</summary>
    public int QueuedSignals { get; private set; }

    /// <summary>The mask of file modes; 0 for a zombie.</summary>
    public uint Umask { get; private set; }

    /// <summary>The process.</summary>
    public int Tgid { get; private set; }

    /// <summary>The thread.</summary>
    public int Pid { get; private set; }

    /// <summary>The parent; 0 if the reader can't see it.</summary>
    public int PPid { get; private set; }

    /// <summary>Who traces it; 0 for no one.</summary>
    public int TracerPid { get; private set; }

    /// <summary>Real, effective, saved and file-system user id, as the reader's user namespace maps them.</summary>
    public uint[] Uid { get; private set; } = [];

    /// <summary>Real, effective, saved and file-system group id.</summary>
    public uint[] Gid { get; private set; } = [];

    /// <summary>Supplementary groups.</summary>
    public uint[] Groups { get; private set; } = [];

    /// <summary>The process id in each pid namespace, from the reader's to the innermost.</summary>
    public int[] NStgid { get; private set; } = [];

    /// <summary>The thread id in each pid namespace, from the reader's to the innermost.</summary>
    public int[] NSpid { get; private set; } = [];

    /// <summary>The process group in each pid namespace; 0 where it is outside.</summary>
    public int[] NSpgid { get; private set; } = [];

    /// <summary>The session in each pid namespace; 0 where it is outside.</summary>
    public int[] NSsid { get; private set; } = [];

    /// <summary>Largest size of the address space so far, in bytes.</summary>
    public ulong VmPeak { get; private set; }

    /// <summary>Size of the address space, in bytes.</summary>
    public ulong VmSize { get; private set; }

    /// <summary>Locked memory, in bytes.</summary>
    public ulong VmLck { get; private set; }

    /// <summary>Resident memory, in bytes.</summary>
    public ulong VmRSS { get; private set; }

    /// <summary>Resident anonymous memory, in bytes.</summary>
    public ulong RssAnon { get; private set; }

    /// <summary>Resident pages of files, in bytes.</summary>
    public ulong RssFile { get; private set; }

    /// <summary>Resident shared memory, in bytes.</summary>
    public ulong RssShmem { get; private set; }

    /// <summary>Swapped anonymous memory, in bytes.</summary>
    public ulong VmSwap { get; private set; }

    /// <summary>Whether it is dumping core.</summary>
    public bool CoreDumping { get; private set; }

    /// <summary>Threads of the process.</summary>
    public int Threads { get; private set; }

    /// <summary>Signals pending for the thread.</summary>
    public ulong SigPnd { get; private set; }

    /// <summary>Signals pending for the process.</summary>
    public ulong ShdPnd { get; private set; }

    /// <summary>Signals blocked: bit 0 is signal 1.</summary>
    public ulong SigBlk { get; private set; }

    /// <summary>Signals ignored.</summary>
    public ulong SigIgn { get; private set; }

    /// <summary>Signals caught.</summary>
    public ulong SigCgt { get; private set; }

    /// <summary>Inheritable capabilities.</summary>
    public ulong CapInh { get; private set; }

    /// <summary>Permitted capabilities.</summary>
    public ulong CapPrm { get; private set; }

    /// <summary>Effective capabilities.</summary>
    public ulong CapEff { get; private set; }

    /// <summary>The bounding set of capabilities.</summary>
    public ulong CapBnd { get; private set; }

    /// <summary>Ambient capabilities.</summary>
    public ulong CapAmb { get; private set; }

    /// <summary>Whether exec can't raise privileges.</summary>
    public bool NoNewPrivs { get; private set; }

    /// <summary>Seccomp: 0 off, 1 strict, 2 filters.</summary>
    public int Seccomp { get; private set; }

    /// <summary>The number of seccomp filters.</summary>
    public int SeccompFilters { get; private set; }

    /// <summary>Reads a process, that is its first thread.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT or ESRCH if the process is gone.</exception>
    public static ProcStatus Read(int pid) => Parse(ProcFile.Read($"/proc/{pid}/status"));

    /// <summary>Reads a thread.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT or ESRCH if the thread is gone.</exception>
    public static ProcStatus Read(int pid, int tid) => Parse(ProcFile.Read($"/proc/{pid}/task/{tid}/status"));

    /// <summary>Reads a process that may be gone: null then, with the error.</summary>
    public static SysResult TryRead(int pid, out ProcStatus? status)
    {
        SysResult result = ProcFile.TryRead($"/proc/{pid}/status", out ReadOnlySpan<byte> text);
        status = result.IsError ? null : Parse(text);
        return result;
    }

    /// <summary>Parses the text of status. Lines that it doesn't know are passed over.</summary>
    /// <exception cref="FormatException">A line that it knows holds no number.</exception>
    public static ProcStatus Parse(ReadOnlySpan<byte> text)
    {
        var status = new ProcStatus();
        var reader = new ByteReader(text);
        Span<char> key = stackalloc char[LongestKey];
        while (reader.TryLine(out ReadOnlySpan<byte> line))
        {
            if (ProcText.TryKey(line, key, out ReadOnlySpan<char> name))
            {
                status.Set(name, new ByteReader(line[(name.Length + 1)..]));
            }
        }

        return status;
    }

    private void Set(ReadOnlySpan<char> name, ByteReader value)
    {
        switch (name)
        {
            case "State":
                State = (TaskState)value.Word()[0];
                break;
            case "SigQ":
                QueuedSignals = value.Int32();
                break;
            case "Umask":
                Umask = (uint)value.Octal();
                break;
            case "Tgid":
                Tgid = value.Int32();
                break;
            case "Pid":
                Pid = value.Int32();
                break;
            case "PPid":
                PPid = value.Int32();
                break;
            case "TracerPid":
                TracerPid = value.Int32();
                break;
            case "Uid":
                Uid = value.UInt32s();
                break;
            case "Gid":
                Gid = value.UInt32s();
                break;
            case "Groups":
                Groups = value.UInt32s();
                break;
            case "NStgid":
                NStgid = value.Int32s();
                break;
            case "NSpid":
                NSpid = value.Int32s();
                break;
            case "NSpgid":
                NSpgid = value.Int32s();
                break;
            case "NSsid":
                NSsid = value.Int32s();
                break;
            case "VmPeak":
                VmPeak = value.Decimal() * 1024;
                break;
            case "VmSize":
                VmSize = value.Decimal() * 1024;
                break;
            case "VmLck":
                VmLck = value.Decimal() * 1024;
                break;
            case "VmRSS":
                VmRSS = value.Decimal() * 1024;
                break;
            case "RssAnon":
                RssAnon = value.Decimal() * 1024;
                break;
            case "RssFile":
                RssFile = value.Decimal() * 1024;
                break;
            case "RssShmem":
                RssShmem = value.Decimal() * 1024;
                break;
            case "VmSwap":
                VmSwap = value.Decimal() * 1024;
                break;
            case "CoreDumping":
                CoreDumping = value.Decimal() != 0;
                break;
            case "Threads":
                Threads = value.Int32();
                break;
            case "SigPnd":
                SigPnd = value.Hex();
                break;
            case "ShdPnd":
                ShdPnd = value.Hex();
                break;
            case "SigBlk":
                SigBlk = value.Hex();
                break;
            case "SigIgn":
                SigIgn = value.Hex();
                break;
            case "SigCgt":
                SigCgt = value.Hex();
                break;
            case "CapInh":
                CapInh = value.Hex();
                break;
            case "CapPrm":
                CapPrm = value.Hex();
                break;
            case "CapEff":
                CapEff = value.Hex();
                break;
            case "CapBnd":
                CapBnd = value.Hex();
                break;
            case "CapAmb":
                CapAmb = value.Hex();
                break;
            case "NoNewPrivs":
                NoNewPrivs = value.Decimal() != 0;
                break;
            case "Seccomp":
                Seccomp = value.Int32();
                break;
            case "Seccomp_filters":
                SeccompFilters = value.Int32();
                break;
        }
    }
}
