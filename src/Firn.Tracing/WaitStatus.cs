using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>What wait4(2) says of a tracee.</summary>
/// <param name="Raw">The status word as the kernel gives it.</param>
public readonly record struct WaitStatus(int Raw)
{
    /// <summary>The tracee is stopped.</summary>
    public bool IsStopped => (Raw & 0xff) == 0x7f;

    /// <summary>The tracee is gone: it has exited, or a signal has killed it.</summary>
    public bool IsGone => !IsStopped;

    /// <summary>The signal of the stop, without the flag of a system call stop.</summary>
    public Signal StopSignal => (Signal)((Raw >> 8) & 0x7f);

    /// <summary>The ptrace event of the stop.</summary>
    public PtraceEvent Event => IsStopped ? (PtraceEvent)((Raw >> 16) & 0xff) : PtraceEvent.None;

    /// <summary>A stop at the entry or exit of a system call (PTRACE_O_TRACESYSGOOD).</summary>
    public bool IsSystemCallStop => IsStopped && ((Raw >> 8) & 0xffff) == ((int)Signal.SIGTRAP | 0x80);

    /// <summary>A stop that PTRACE_INTERRUPT or a group-stop made.</summary>
    public bool IsEventStop => Event == PtraceEvent.PTRACE_EVENT_STOP;

    /// <summary>A group-stop: the task was stopped by a signal before the tracer came.</summary>
    public bool IsGroupStop => IsEventStop && StopSignal != Signal.SIGTRAP;

    /// <summary>A stop at the delivery of a signal.</summary>
    public bool IsSignalStop => IsStopped && Event == PtraceEvent.None && !IsSystemCallStop;

    /// <inheritdoc/>
    public override string ToString() => this switch
    {
        { IsStopped: true } => $"stopped by {StopSignal}, event {Event}",
        _ when (Raw & 0x7f) == 0 => $"exited with status {(Raw >> 8) & 0xff}",
        _ => $"killed by {(Signal)(Raw & 0x7f)}",
    };
}
