using System.Globalization;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>Whether a process is alive, stopped by a signal, or a zombie; and what the kernel knows of it as a whole.</summary>
/// <remarks>
/// The states are made again by the conductor: a zombie by letting it exit (<see cref="RestoredTask.IsZombie"/>), a stop by the signal
/// <see cref="StopSignal"/> gives. Kernel: fs/proc/array.c, do_task_stat(); kernel/signal.c, do_signal_stop().
/// </remarks>
internal sealed class TaskStates : TaskKind
{
    /// <summary>TaskCoreEntry.task_state of a process that runs.</summary>
    public const uint Alive = 1;

    /// <summary>TaskCoreEntry.task_state of a zombie.</summary>
    public const uint Dead = 2;

    /// <summary>TaskCoreEntry.task_state of a process that a signal has stopped.</summary>
    public const uint Stopped = 3;

    /// <inheritdoc/>
    public override void DumpTask(DumpContext context, DumpedTask task, RemoteBatch batch)
    {
        TaskCoreEntry core = task.TaskCore();
        task.Core.Mtype = CoreEntry.Types.March.X8664;

        // The exit code in stat tells it too, but only until the parent has waited for the stop.
        Signal signal = task.Leader.Tracee!.StoppedBy;
        core.TaskState = signal == Signal.None ? Alive : Stopped;
        if (signal != Signal.None)
        {
            core.StopSigno = (uint)signal;
        }

        core.ExitCode = 0;
        core.Flags = task.Stat.Flags;
        DumpExitSignal(task, core);
        core.Personality = uint.Parse(
            ProcValue.ReadText($"/proc/{task.Pid}/personality") ?? "0", NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
        if (task.DeadLeader is { } dead)
        {
            DumpDeadLeader(task, dead, core);
        }
    }

    private static void DumpExitSignal(DumpedTask task, TaskCoreEntry core)
    {
        int signal = (task.DeadLeaderStat ?? task.Stat).ExitSignal;
        if (task.Parent is not null && signal != (int)Signal.SIGCHLD)
        {
            core.ExitSignal = (uint)signal;
        }
    }

    // What is still seen of a thread that has exited: its name, who it was, its status. The mask of a thread that does nothing is 0.
    private static void DumpDeadLeader(DumpedTask task, DumpedThread dead, TaskCoreEntry core)
    {
        core.LeaderExitCode = (uint)task.DeadLeaderStat!.ExitCode;
        core.Comm = task.DeadLeaderStat.Name;
        core.BlkSigset = 0;
        ThreadCoreEntry thread = dead.ThreadCore();
        thread.FutexRla = 0;
        thread.FutexRlaLen = 0;
        thread.Comm = core.Comm;
        thread.CgSet = task.Leader.ThreadCore().CgSet;
        thread.Creds = Credentials.ToMessage(ProcStatus.Read(task.Pid, dead.Tid));
    }

    /// <summary>Fills the core of a zombie: its name and how it ended.</summary>
    public static void DumpZombie(DumpedTask task)
    {
        task.Core.Mtype = CoreEntry.Types.March.X8664;
        task.Core.Tc = new TaskCoreEntry
        {
            TaskState = Dead,
            ExitCode = (uint)task.Stat.ExitCode,
            Personality = 0,
            Flags = 0,
            BlkSigset = 0,
            Comm = task.Stat.Name,
        };
        DumpExitSignal(task, task.Core.Tc);
    }

    /// <summary>The signal that stopped a process which is to be restored stopped, or none.</summary>
    public static Signal StopSignal(TaskCoreEntry core)
        => core.TaskState != Stopped ? Signal.None : core.HasStopSigno ? (Signal)core.StopSigno : Signal.SIGSTOP;
}
