// POSIX timers: ids with gaps, clocks, whom and how they tell, what they carry; one for a thread; all go on.
#include "target.h"
#include <pthread.h>
#include <sys/syscall.h>

enum { COUNT = 6 };
static int id[COUNT];
static volatile int tid, got_tid;
static volatile long got[COUNT];

static void on_timer(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    int n = info->si_value.sival_int - 1000;
    if (info->si_code == SI_TIMER && n >= 0 && n < COUNT)
        got[n]++;
    if (n == 2)
        got_tid = syscall(SYS_gettid);
}

static void *target(void *unused)
{
    tid = syscall(SYS_gettid);
    for (;;)
        usleep(50000);
    return unused;
}

static int create(int clock, int notify, int signal, int number, int thread)
{
    struct sigevent event = { .sigev_notify = notify, .sigev_signo = signal, .sigev_value.sival_int = 1000 + number };
    event._sigev_un._tid = thread;
    int made;
    MUST(syscall(SYS_timer_create, clock, &event, &made));
    return made;
}

int main(int argc __attribute__((unused)), char **argv)
{
    pthread_t thread;
    begin(argv);
    struct sigaction action = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART };
    sigaction(SIGRTMIN + 4, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    pthread_create(&thread, NULL, target, NULL);
    while (!tid)
        usleep(1000);
    int gap[3];
    for (int i = 0; i < 3; i++)
        gap[i] = create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, 0);
    id[0] = create(CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN + 4, 0, 0);
    id[1] = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGALRM, 1, 0);
    id[2] = create(CLOCK_MONOTONIC, SIGEV_THREAD_ID, SIGRTMIN + 4, 2, tid);
    id[3] = create(CLOCK_BOOTTIME, SIGEV_NONE, 0, 3, 0);
    id[4] = create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN + 4, 4, 0);
    id[5] = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 4, 5, 0);
    for (int i = 0; i < 3; i += 2)
        syscall(SYS_timer_delete, gap[i]);
    static const struct itimerspec set[COUNT] = {
        { { 0, 200000000 }, { 0, 100000000 } }, { { 0, 250000000 }, { 0, 100000000 } }, { { 0, 220000000 }, { 0, 50000000 } },
        { { 5, 7 }, { 900, 0 } }, { { 3, 0 }, { 500, 0 } }, { { 0, 0 }, { 0, 0 } },
    };
    for (int i = 0; i < COUNT; i++)
        MUST(syscall(SYS_timer_settime, id[i], 0, &set[i], NULL));
    ready();
    for (int i = 0; i < COUNT; i++) {
        struct itimerspec now;
        if (syscall(SYS_timer_gettime, id[i], &now)) {
            differ("timer %d: %m", i);
            continue;
        }
        if (memcmp(&now.it_interval, &set[i].it_interval, sizeof now.it_interval))
            differ("timer %d: interval %ld.%09ld", i, now.it_interval.tv_sec, now.it_interval.tv_nsec);
        if (i == 3 || i == 4)
            CHECK(now.it_value.tv_sec <= set[i].it_value.tv_sec && now.it_value.tv_sec > set[i].it_value.tv_sec - 300);
        if (i == 5)
            CHECK(now.it_value.tv_sec == 0 && now.it_value.tv_nsec == 0);
    }
    CHECK(syscall(SYS_timer_delete, gap[1]) == 0);
    CHECK(syscall(SYS_timer_delete, gap[0]) != 0);
    long before[COUNT];
    memcpy(before, (void *)got, sizeof before);
    for (int time = 0; time < 500 && !(got[0] > before[0] && got[1] > before[1] && got[2] > before[2]); time++)
        usleep(10000);
    for (int i = 0; i < 3; i++)
        if (got[i] <= before[i])
            differ("timer %d fires no more", i);
    CHECK(got_tid == tid);
    return finish();
}
