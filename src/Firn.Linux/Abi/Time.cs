using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Clocks (include/uapi/linux/time.h).</summary>
public enum ClockId
{
    CLOCK_REALTIME = 0,
    CLOCK_MONOTONIC = 1,
    CLOCK_PROCESS_CPUTIME_ID = 2,
    CLOCK_THREAD_CPUTIME_ID = 3,
    CLOCK_MONOTONIC_RAW = 4,
    CLOCK_REALTIME_COARSE = 5,
    CLOCK_MONOTONIC_COARSE = 6,
    CLOCK_BOOTTIME = 7,
    CLOCK_REALTIME_ALARM = 8,
    CLOCK_BOOTTIME_ALARM = 9,
    CLOCK_TAI = 11,
}

/// <summary>struct timespec of 64 bits (__kernel_timespec, include/uapi/linux/time_types.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Timespec
{
    public const long UTIME_NOW = 0x3fffffff;
    public const long UTIME_OMIT = 0x3ffffffe;

    public long tv_sec;
    public long tv_nsec;

    /// <summary>The time in nanoseconds.</summary>
    public readonly long Nanoseconds => (tv_sec * 1_000_000_000) + tv_nsec;

    /// <summary>Makes one of nanoseconds.</summary>
    public static Timespec FromNanoseconds(long nanoseconds) => new()
    {
        tv_sec = Math.DivRem(nanoseconds, 1_000_000_000, out long rest),
        tv_nsec = rest,
    };
}

/// <summary>struct itimerspec of 64 bits (__kernel_itimerspec, include/uapi/linux/time_types.h).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Itimerspec
{
    public Timespec it_interval;
    public Timespec it_value;
}

/// <summary>struct itimerval of 64 bits: setitimer(2).</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Itimerval
{
    public long it_interval_sec;
    public long it_interval_usec;
    public long it_value_sec;
    public long it_value_usec;
}
