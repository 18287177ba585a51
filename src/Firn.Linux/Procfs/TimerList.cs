using System.Globalization;

namespace Firn.Linux.Procfs;

/// <summary>/proc/timer_list: when sleeping threads are to be woken. Only for root, and only in the first namespaces.</summary>
/// <remarks>Kernel: kernel/time/timer_list.c. It does not say who sleeps.</remarks>
public static class TimerList
{
    private const string Path = "/proc/timer_list";

    /// <summary>
    /// The times at which sleepers on the monotonic clock are woken at the earliest, in nanoseconds; null where the file can't be read.
    /// </summary>
    public static HashSet<ulong>? ReadWakeups()
    {
        byte[] buffer = new byte[64 << 10];
        SysResult read = Sys.ReadFile(Path, ref buffer);
        return read.IsError ? null : ParseWakeups(System.Text.Encoding.ASCII.GetString(buffer, 0, read.Int32));
    }

    /// <summary>The same of a text.</summary>
    public static HashSet<ulong> ParseWakeups(ReadOnlySpan<char> text)
    {
        const string Expires = " # expires at ";
        var wakeups = new HashSet<ulong>();
        bool isMonotonic = false;
        bool isWakeup = false;
        foreach (ReadOnlySpan<char> line in text.EnumerateLines())
        {
            if (line.StartsWith(" clock ", StringComparison.Ordinal))
            {
                // CLOCK_MONOTONIC comes first of the hard and of the soft bases (include/linux/hrtimer_defs.h).
                isMonotonic = line is " clock 0:" or " clock 4:";
            }
            else if (line.StartsWith(" #", StringComparison.Ordinal) && !line.StartsWith(Expires, StringComparison.Ordinal))
            {
                isWakeup = line.Contains(", hrtimer_wakeup,", StringComparison.Ordinal);
            }
            else if (isMonotonic && isWakeup && line.StartsWith(Expires, StringComparison.Ordinal))
            {
                ReadOnlySpan<char> rest = line[Expires.Length..];
                int end = rest.IndexOf('-');
                if (end > 0 && ulong.TryParse(rest[..end], NumberStyles.None, CultureInfo.InvariantCulture, out ulong time))
                {
                    wakeups.Add(time);
                }
            }
        }

        return wakeups;
    }
}
