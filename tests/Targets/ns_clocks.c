// A container without a time namespace: after a restore its monotonic time has gone on from where it stood, and not jumped.
// contain: p
#include "target.h"

int main(int argc, char **argv)
{
    struct timespec before, after;
    begin(argv);
    MUST(clock_gettime(CLOCK_MONOTONIC, &before));
    publish("ready", "");
    for (int i = 0; i < 10000; i++) {
        sigset_t wake;
        struct timespec tick = { 0, 50000000 };
        sigemptyset(&wake);
        sigaddset(&wake, SIGUSR1);
        int got = sigtimedwait(&wake, NULL, &tick);
        MUST(clock_gettime(CLOCK_MONOTONIC, &after));
        double passed = after.tv_sec - before.tv_sec + (after.tv_nsec - before.tv_nsec) / 1e9;
        CHECK(passed >= 0 && passed < 60);
        before = after;
        if (got == SIGUSR1)
            break;
    }
    return finish();
}
