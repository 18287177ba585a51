// timerfds of every clock: absolute and relative, cancelled when the clock is set, shared by two processes, in flight.
#include "flight.h"
#include <limits.h>
#include <stdint.h>
#include <sys/timerfd.h>

int main(int argc, char **argv)
{
    begin(argv);
    int clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM }, fds[5], absolute[5], got;
    struct itimerspec left;
    for (int i = 0; i < 5; i++) {
        struct timespec now;
        // Alarms need a capability, and a clock that wakes the machine.
        fds[i] = timerfd_create(clocks[i], TFD_NONBLOCK);
        absolute[i] = timerfd_create(clocks[i], TFD_NONBLOCK | TFD_CLOEXEC);
        if (fds[i] < 0 || absolute[i] < 0) {
            fds[i] = -1;
            continue;
        }
        MUST(clock_gettime(clocks[i] == CLOCK_REALTIME_ALARM ? CLOCK_REALTIME : clocks[i] == CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME : clocks[i], &now));
        MUST(timerfd_settime(fds[i], 0, &(struct itimerspec){ { 11, 0 }, { 3000, 0 } }, NULL));
        int flags = TFD_TIMER_ABSTIME | (clocks[i] == CLOCK_REALTIME ? TFD_TIMER_CANCEL_ON_SET : 0);
        MUST(timerfd_settime(absolute[i], flags, &(struct itimerspec){ { 0, 0 }, { now.tv_sec + 2000, 0 } }, NULL));
    }
    int expired = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)), s[2];
    MUST(timerfd_settime(expired, 0, &(struct itimerspec){ { 500, 0 }, { 0, 1 } }, NULL));
    while (!readable(expired, 1000))
        ;
    // systemd learns from one like this that the clock was set: at the end of all time.
    int never = MUST(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK));
    MUST(timerfd_settime(never, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &(struct itimerspec){ { 0, 0 }, { LONG_MAX, 0 } }, NULL));
    char data[9];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    send_fds(s[0], "timer", 5, &expired, 1);
    pid_t child = MUST(fork());
    if (child == 0) {
        uint64_t ticks = 0;
        wait_for_wake();
        _exit(read(expired, &ticks, 8) == 8 && ticks == 1 ? 0 : 1);
    }
    close(expired);
    ready();
    for (int i = 0; i < 5; i++) {
        if (fds[i] < 0)
            continue;
        CHECK(timerfd_gettime(fds[i], &left) == 0 && left.it_interval.tv_sec == 11 && left.it_value.tv_sec > 1000 && left.it_value.tv_sec <= 3000);
        CHECK(timerfd_gettime(absolute[i], &left) == 0 && left.it_value.tv_sec > 500 && left.it_value.tv_sec <= 2000);
        CHECK(fcntl(absolute[i], F_GETFD) == FD_CLOEXEC);
        char path[64], text[512];
        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", absolute[i]);
        int info = open(path, O_RDONLY);
        ssize_t n = read(info, text, sizeof(text) - 1);
        text[n > 0 ? n : 0] = 0;
        CHECK(strstr(text, clocks[i] == CLOCK_REALTIME ? "settime flags: 03" : "settime flags: 01"));
    }
    CHECK(timerfd_gettime(never, &left) == 0 && left.it_value.tv_sec > 5000000000 && !readable(never, 0));
    CHECK(receive_fds(s[1], data, 8, &got, NULL) == 1 && readable(got, 0));
    CHECK(timerfd_gettime(got, &left) == 0 && left.it_interval.tv_sec == 500 && left.it_value.tv_sec > 100);
    int status;
    kill(child, SIGUSR1);
    CHECK(waitpid(child, &status, 0) == child && status == 0 && !readable(got, 0));
    return finish();
}
