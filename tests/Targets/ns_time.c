// Monotonic and boot time go on from where they stood: 1,000,000 and 2,000,000 seconds ahead of the host's.
// contain: pt
#include "target.h"

static long long clock_of(clockid_t clock)
{
    struct timespec t;
    MUST(clock_gettime(clock, &t));
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
    begin(argv);
    long long monotonic = clock_of(CLOCK_MONOTONIC), boot = clock_of(CLOCK_BOOTTIME);
    CHECK(monotonic > 1000000 * 1000000000LL && boot > 2000000 * 1000000000LL);
    ready();
    long long passed = clock_of(CLOCK_MONOTONIC) - monotonic;
    CHECK(passed >= 0 && passed < 200 * 1000000000LL);
    passed = clock_of(CLOCK_BOOTTIME) - boot;
    CHECK(passed >= 0 && passed < 200 * 1000000000LL);
    return finish();
}
