// POSIX timers on every clock: of a thread's own CPU time, made and told in that thread; wall time, TAI, boot time, those that wake the
// machine; one that signals the first thread, by its id; and the three interval timers of a child. All rest, or go on.
#include "target.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>

enum { REAL, MONO, BOOT, TAI, REAL_ALARM, BOOT_ALARM, PROCESS_CPU, OWN_CPU, FIRST, COUNT };
static const int clocks[COUNT] = {
    CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM, CLOCK_PROCESS_CPUTIME_ID,
    CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC
};
static int id[COUNT], made[COUNT];
static volatile int ready_thread, go, burnt, expired;

static void on_timer(int signal __attribute__((unused)), siginfo_t *info, void *context __attribute__((unused)))
{
    if (info->si_code == SI_TIMER && info->si_value.sival_int == OWN_CPU)
        expired++;
}

static void create(int n, int notify, int thread)
{
    struct sigevent event = { .sigev_notify = notify, .sigev_signo = SIGRTMIN + 2, .sigev_value.sival_int = n };
    event._sigev_un._tid = thread;
    made[n] = syscall(SYS_timer_create, clocks[n], &event, &id[n]) == 0;
}

static void *worker(void *unused)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 2);
    create(OWN_CPU, SIGEV_THREAD_ID, syscall(SYS_gettid));
    struct itimerspec soon = { { 0, 0 }, { 0, 60000000 } };
    MUST(syscall(SYS_timer_settime, id[OWN_CPU], 0, &soon, NULL));
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    ready_thread = 1;
    while (!go)
        usleep(10000);
    // Only this thread's work counts.
    for (struct timespec t = { 0 }; !expired && t.tv_sec < 20; clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t))
        for (volatile int i = 0; i < 100000; i++)
            ;
    return unused;
}

int main(int argc __attribute__((unused)), char **argv)
{
    pthread_t thread;
    int ends[2], status;
    char byte;
    sigset_t set;
    begin(argv);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigaction(SIGRTMIN + 2, &(struct sigaction){ .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART }, NULL);
    MUST(pipe(ends));
    int child = MUST(fork());
    if (!child) {
        static const int which[] = { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF };
        int wrong = 0;
        for (int i = 0; i < 3; i++)
            setitimer(which[i], &(struct itimerval){ { 700 + i, 11 }, { 900 + i, 0 } }, NULL);
        publish("child", "");
        MUST(read(ends[0], &byte, 1));
        for (int i = 0; i < 3; i++) {
            struct itimerval now;
            getitimer(which[i], &now);
            wrong |= now.it_interval.tv_sec != 700 + i || now.it_interval.tv_usec != 11 || now.it_value.tv_sec > 900 + i || now.it_value.tv_sec < 600;
        }
        _exit(wrong);
    }
    for (int i = 0; i < COUNT; i++)
        if (i != OWN_CPU)
            create(i, i == FIRST ? SIGEV_THREAD_ID : SIGEV_SIGNAL, getpid());
    pthread_create(&thread, NULL, worker, NULL);
    while (!ready_thread || access(in_work("child"), F_OK))
        usleep(1000);
    for (int i = 0; i < COUNT; i++) {
        struct itimerspec far = { { 50 + i, 3 }, { 800 + i, 0 } };
        if (i != OWN_CPU && made[i])
            MUST(syscall(SYS_timer_settime, id[i], 0, &far, NULL));
    }
    ready();
    for (int i = 0; i < COUNT; i++) {
        struct itimerspec now;
        if (!made[i] || i == OWN_CPU)
            continue;
        if (syscall(SYS_timer_gettime, id[i], &now))
            differ("timer %d: %m", i);
        else if (now.it_interval.tv_sec != 50 + i || now.it_interval.tv_nsec != 3 || now.it_value.tv_sec > 800 + i || now.it_value.tv_sec < 500)
            differ("timer %d: %ld.%09ld, then each %ld.%09ld", i, now.it_value.tv_sec, now.it_value.tv_nsec, now.it_interval.tv_sec,
                now.it_interval.tv_nsec);
    }
    struct timespec t;
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    while (t.tv_sec == 0 && t.tv_nsec < 150000000);
    CHECK(!expired);
    go = 1;
    pthread_join(thread, NULL);
    CHECK(expired == 1);
    MUST(write(ends[1], "x", 1));
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return finish();
}
