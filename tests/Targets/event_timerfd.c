// timerfds: expired and not read, ticking, far away and absolute, never armed; flags.
#include "target.h"
#include <sys/timerfd.h>

static unsigned long long take(int fd)
{
    unsigned long long v = 0;
    return read(fd, &v, 8) == 8 ? v : 0;
}

int main(int argc, char **argv)
{
    begin(argv);
    int ticking = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)), once = MUST(timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC));
    int far = MUST(timerfd_create(CLOCK_REALTIME, 0)), idle = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    int slow = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    struct itimerspec its = { { 0, 20000000 }, { 0, 20000000 } }, got;
    MUST(timerfd_settime(ticking, 0, &its, NULL));
    its = (struct itimerspec){ { 0, 0 }, { 0, 1000 } };
    MUST(timerfd_settime(once, 0, &its, NULL));
    its = (struct itimerspec){ { 7, 5 }, { time(NULL) + 5000, 0 } };
    MUST(timerfd_settime(far, TFD_TIMER_ABSTIME, &its, NULL));
    its = (struct itimerspec){ { 1000, 0 }, { 0, 30000000 } };
    MUST(timerfd_settime(slow, 0, &its, NULL));
    int copy = MUST(dup(slow));
    usleep(110000);
    ready();
    unsigned long long ticks = take(ticking);
    if (ticks < 5)
        differ("the ticking timer lost ticks: %llu", ticks);
    usleep(50000);
    ticks = take(ticking);
    if (ticks < 1)
        differ("the ticking timer stands still: %llu", ticks);
    CHECK(timerfd_gettime(ticking, &got) == 0 && got.it_interval.tv_nsec == 20000000 && got.it_value.tv_nsec <= 20000000);
    CHECK(take(once) == 1);
    CHECK(take(once) == 0 && errno == EAGAIN);
    CHECK(timerfd_gettime(once, &got) == 0 && got.it_value.tv_sec == 0 && got.it_value.tv_nsec == 0);
    CHECK(fcntl(once, F_GETFD) == FD_CLOEXEC && fcntl(far, F_GETFD) == 0 && !(fcntl(far, F_GETFL) & O_NONBLOCK));
    CHECK(timerfd_gettime(far, &got) == 0 && got.it_interval.tv_sec == 7 && got.it_interval.tv_nsec == 5);
    CHECK(got.it_value.tv_sec > 4000 && got.it_value.tv_sec <= 5000);
    CHECK(timerfd_gettime(idle, &got) == 0 && got.it_value.tv_sec == 0 && got.it_value.tv_nsec == 0 && got.it_interval.tv_sec == 0);
    CHECK(take(idle) == 0 && errno == EAGAIN);
    CHECK(timerfd_gettime(slow, &got) == 0 && got.it_interval.tv_sec == 1000 && got.it_value.tv_sec > 900);
    CHECK(take(copy) == 1 && take(slow) == 0);
    its = (struct itimerspec){ { 0, 0 }, { 0, 1000000 } };
    CHECK(timerfd_settime(idle, 0, &its, NULL) == 0 && readable(idle, 3000) && take(idle) == 1);
    return finish();
}
