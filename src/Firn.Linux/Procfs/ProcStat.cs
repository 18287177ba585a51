using System.Text;

namespace Firn.Linux.Procfs;

/// <summary>/proc/PID/stat and /proc/PID/task/TID/stat: a task in one line.</summary>
/// <remarks>
/// Kernel: fs/proc/array.c, do_task_stat(); proc_pid_stat(5). Addresses and the exit code are 0 to a reader who may not trace the task.
/// Of the two files, the one of the process sums times over its threads.
/// </remarks>
public sealed class ProcStat
{
    private const int FieldCount = 52;

    /// <summary>The task id that the reader sees.</summary>
    public int Pid { get; init; }

    /// <summary>The name of the thread, any bytes but 0, parentheses and newlines too (PR_SET_NAME). As text.</summary>
    public string Name { get; init; } = string.Empty;

    /// <summary>The state.</summary>
    public TaskState State { get; init; }

    /// <summary>The parent process; 0 if the reader can't see it.</summary>
    public int ParentPid { get; init; }

    /// <summary>The process group.</summary>
    public int ProcessGroup { get; init; }

    /// <summary>The session.</summary>
    public int Session { get; init; }

    /// <summary>
    /// The controlling terminal as an old-style device number (major in bits 15 to 8, minor in 31 to 20 and 7 to 0); 0 for none.
    /// </summary>
    public int TtyNumber { get; init; }

    /// <summary>The foreground process group of the controlling terminal; -1 for none.</summary>
    public int TerminalProcessGroup { get; init; }

    /// <summary>PF_* of include/linux/sched.h.</summary>
    public uint Flags { get; init; }

    /// <summary>Time in user mode, in ticks of 10 ms.</summary>
    public ulong UserTicks { get; init; }

    /// <summary>Time in the kernel, in ticks of 10 ms.</summary>
    public ulong SystemTicks { get; init; }

    /// <summary>The priority as the kernel shows it: 20 + nice, or -1 - the real-time priority.</summary>
    public int Priority { get; init; }

    /// <summary>-20 to 19.</summary>
    public int Nice { get; init; }

    /// <summary>Threads of the process.</summary>
    public int ThreadCount { get; init; }

    /// <summary>When it was started, in ticks of 10 ms since boot: with the pid, it tells two tasks apart.</summary>
    public ulong StartTime { get; init; }

    /// <summary>Size of the address space, in bytes.</summary>
    public ulong VirtualSize { get; init; }

    /// <summary>rss: the pages that are in memory, roughly: a count that the kernel brings up to date now and then.</summary>
    public ulong ResidentPages { get; init; }

    /// <summary>mm->start_code.</summary>
    public ulong StartCode { get; init; }

    /// <summary>mm->end_code.</summary>
    public ulong EndCode { get; init; }

    /// <summary>mm->start_stack.</summary>
    public ulong StartStack { get; init; }

    /// <summary>The signal that its parent gets at its end; -1 for a thread.</summary>
    public int ExitSignal { get; init; }

    /// <summary>The CPU that it ran on last.</summary>
    public int Processor { get; init; }

    /// <summary>1 to 99, or 0.</summary>
    public uint RealTimePriority { get; init; }

    /// <summary>SCHED_*.</summary>
    public uint Policy { get; init; }

    /// <summary>mm->start_data.</summary>
    public ulong StartData { get; init; }

    /// <summary>mm->end_data.</summary>
    public ulong EndData { get; init; }

    /// <summary>mm->start_brk.</summary>
    public ulong StartBrk { get; init; }

    /// <summary>mm->arg_start.</summary>
    public ulong ArgStart { get; init; }

    /// <summary>mm->arg_end.</summary>
    public ulong ArgEnd { get; init; }

    /// <summary>mm->env_start.</summary>
    public ulong EnvStart { get; init; }

    /// <summary>mm->env_end.</summary>
    public ulong EnvEnd { get; init; }

    /// <summary>The status that wait4(2) would give: of a zombie.</summary>
    public int ExitCode { get; init; }

    /// <summary>Reads a process.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT or ESRCH if the process is gone.</exception>
    public static ProcStat Read(int pid) => Parse(ProcFile.Read($"/proc/{pid}/stat"));

    /// <summary>Reads a thread.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT or ESRCH if the thread is gone.</exception>
    public static ProcStat Read(int pid, int tid) => Parse(ProcFile.Read($"/proc/{pid}/task/{tid}/stat"));

    /// <summary>Reads a process that may be gone: null then, with the error.</summary>
    public static SysResult TryRead(int pid, out ProcStat? stat)
    {
        SysResult result = ProcFile.TryRead($"/proc/{pid}/stat", out ReadOnlySpan<byte> text);
        stat = result.IsError ? null : Parse(text);
        return result;
    }

    /// <summary>Parses the text of stat. Fields that an older kernel doesn't write are 0.</summary>
    /// <exception cref="FormatException">It is not such a text.</exception>
    public static ProcStat Parse(ReadOnlySpan<byte> text)
    {
        // The name is not escaped here, so only its end can be told: no ')' comes after it.
        int open = text.IndexOf((byte)'(');
        int close = text.LastIndexOf((byte)')');
        if (open < 0 || close < open || text.Length < close + 4)
        {
            throw new FormatException("stat: no name in parentheses");
        }

        int pid = new ByteReader(text[..open]).Int32();
        var reader = new ByteReader(text[(close + 4)..].TrimEnd((byte)'\n'));
        Span<ulong> fields = stackalloc ulong[FieldCount + 1];
        fields.Clear();
        for (int i = 4; i <= FieldCount && !reader.AtEnd; i++)
        {
            fields[i] = (ulong)reader.Signed();
        }

        return new ProcStat
        {
            Pid = pid,
            Name = Encoding.UTF8.GetString(text[(open + 1)..close]),
            State = (TaskState)text[close + 2],
            ParentPid = (int)fields[4],
            ProcessGroup = (int)fields[5],
            Session = (int)fields[6],
            TtyNumber = (int)fields[7],
            TerminalProcessGroup = (int)fields[8],
            Flags = (uint)fields[9],
            UserTicks = fields[14],
            SystemTicks = fields[15],
            Priority = (int)fields[18],
            Nice = (int)fields[19],
            ThreadCount = (int)fields[20],
            StartTime = fields[22],
            VirtualSize = fields[23],
            ResidentPages = fields[24],
            StartCode = fields[26],
            EndCode = fields[27],
            StartStack = fields[28],
            ExitSignal = (int)fields[38],
            Processor = (int)fields[39],
            RealTimePriority = (uint)fields[40],
            Policy = (uint)fields[41],
            StartData = fields[45],
            EndData = fields[46],
            StartBrk = fields[47],
            ArgStart = fields[48],
            ArgEnd = fields[49],
            EnvStart = fields[50],
            EnvEnd = fields[51],
            ExitCode = (int)fields[52],
        };
    }
}
