// The three interval timers: what is left and the interval; the real one goes on to fire.
#include "target.h"
#include <sys/time.h>

static volatile int fired;

static void on_alarm(int signal)
{
    (void)signal;
    fired++;
}

static long microseconds(struct timeval t)
{
    return t.tv_sec * 1000000 + t.tv_usec;
}

int main(int argc __attribute__((unused)), char **argv)
{
    static const struct itimerval set[] = {
        { { 0, 300000 }, { 0, 200000 } }, { { 77, 123456 }, { 1000, 654321 } }, { { 0, 0 }, { 2000, 5 } },
    };
    begin(argv);
    signal(SIGALRM, on_alarm);
    for (int i = 0; i < 3; i++)
        MUST(setitimer(i, &set[i], NULL));
    ready();
    for (int i = 0; i < 3; i++) {
        struct itimerval now;
        MUST(getitimer(i, &now));
        if (microseconds(now.it_interval) / 20000 != microseconds(set[i].it_interval) / 20000)
            differ("timer %d: interval %ld", i, microseconds(now.it_interval));
        long left = microseconds(now.it_value);
        if (i && (left > microseconds(set[i].it_value) + 20000 || left < microseconds(set[i].it_value) - 60000000))
            differ("timer %d: %ld left", i, left);
    }
    int before = fired;
    for (int i = 0; i < 200 && fired == before; i++)
        usleep(10000);
    CHECK(fired > before);
    return finish();
}
