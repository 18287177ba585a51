using Firn.Linux.Procfs;
using Xunit;

namespace Firn.Linux.Tests.Procfs;

/// <summary>/proc/timer_list, recorded on Linux 6.18.</summary>
public class TimerListTests
{
    [Fact]
    public void Wakeups_of_the_monotonic_clock_are_found_and_nothing_else()
    {
        const string Text = """
            Timer List Version: v0.10
            HRTIMER_MAX_CLOCK_BASES: 8
            now at 3025342963569 nsecs

            cpu: 0
             clock 0:
              .base:       00000000b090b918
              .index:      0
            active timers:
             #0: <0000000040a675a6>, tick_nohz_handler, S:01
             # expires at 3025344000000-3025344000000 nsecs [in 1036431 to 1036431 nsecs]
             #1: <0000000010fb9aa2>, hrtimer_wakeup, S:01
             # expires at 3025370947711-3025370997711 nsecs [in 27984142 to 28034142 nsecs]
             clock 1:
              .index:      1
            active timers:
             #0: <0000000010fb9aa2>, hrtimer_wakeup, S:01
             # expires at 1795762800000000000-1795762800000050000 nsecs [in 1 to 2 nsecs]
            cpu: 1
             clock 0:
            active timers:
             #0: <0000000010fb9ab3>, hrtimer_wakeup, S:01
             # expires at 18446744073709551615-18446744073709551615 nsecs [in 1 to 2 nsecs]
             #1: <0000000010fb9ab3>, hrtimer_wakeup, S:01
             # expires at nonsense
            """;
        Assert.Equal([3025370947711UL, ulong.MaxValue], TimerList.ParseWakeups(Text).Order());
    }
}
