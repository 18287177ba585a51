// Time namespaces below the root's: a child whose clocks are far ahead, one whose clocks are behind the first, and a child of the first.
// contain: p
#include "target.h"
#include <sched.h>

static long long seconds(clockid_t clock)
{
    struct timespec t;
    MUST(clock_gettime(clock, &t));
    return t.tv_sec;
}

static void go_ahead(const char *offsets)
{
    MUST(unshare(CLONE_NEWTIME));
    int fd = MUST(open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC));
    MUST(write(fd, offsets, strlen(offsets)));
    close(fd);
    fd = MUST(open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC));
    MUST(setns(fd, CLONE_NEWTIME));
    close(fd);
}

static void child(int which, int gate, int report)
{
    char byte;
    if (which < 2)
        go_ahead(which ? "monotonic 2000000 0\nboottime 5000000 0\n" : "monotonic 1000000 0\nboottime 3000000 0\n");
    if (which == 0 && MUST(fork()) == 0)
        which = 2;
    long long monotonic = seconds(CLOCK_MONOTONIC), boot = seconds(CLOCK_BOOTTIME);
    MUST(write(report, monotonic > (which == 1 ? 2000000 : 1000000) && boot > (which == 1 ? 5000000 : 3000000) ? "r" : "b", 1));
    MUST(read(gate, &byte, 1));
    monotonic = seconds(CLOCK_MONOTONIC) - monotonic;
    boot = seconds(CLOCK_BOOTTIME) - boot;
    MUST(write(report, monotonic >= 0 && monotonic < 500 && boot >= 0 && boot < 500 ? "o" : "b", 1));
    _exit(0);
}

int main(int argc, char **argv)
{
    int gate[2], report[2];
    char byte;
    begin(argv);
    MUST(pipe(gate));
    MUST(pipe(report));
    for (int i = 0; i < 2; i++)
        if (MUST(fork()) == 0)
            child(i, gate[0], report[1]);
    for (int i = 0; i < 3; i++)
        if (MUST(read(report[0], &byte, 1)) != 1 || byte != 'r')
            return 1;
    long long monotonic = seconds(CLOCK_MONOTONIC);
    ready();
    monotonic = seconds(CLOCK_MONOTONIC) - monotonic;
    CHECK(monotonic >= 0 && monotonic < 500);
    for (int i = 0; i < 3; i++)
        MUST(write(gate[1], "x", 1));
    for (int i = 0; i < 3; i++) {
        MUST(read(report[0], &byte, 1));
        CHECK(byte == 'o');
    }
    return finish();
}
