namespace Firn.Linux.Procfs;

/// <summary>The state letter of a task (fs/proc/array.c, task_state_array).</summary>
public enum TaskState
{
    /// <summary>None read.</summary>
    Unknown = 0,

    /// <summary>R: runs or could.</summary>
    Running = 'R',

    /// <summary>S: waits, and a signal wakes it.</summary>
    Sleeping = 'S',

    /// <summary>D: waits, and no signal wakes it.</summary>
    DiskSleep = 'D',

    /// <summary>T: stopped by a signal.</summary>
    Stopped = 'T',

    /// <summary>t: in a ptrace stop.</summary>
    TracingStop = 't',

    /// <summary>X: dead, about to vanish.</summary>
    Dead = 'X',

    /// <summary>Z: dead, its parent hasn't waited for it yet.</summary>
    Zombie = 'Z',

    /// <summary>P: a parked kernel thread.</summary>
    Parked = 'P',

    /// <summary>I: an idle kernel thread.</summary>
    Idle = 'I',
}
