// System calls with a time-out, of which a part is over at the dump: they sleep for the rest, no more and no less; and none ends with EINTR.
// Some were continued once before (SIGSTOP, SIGCONT).
#include "target.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/select.h>
#include <sys/syscall.h>

enum { NAP, NAP_IN_PLACE, CLOCK_NAP, SELECT, INTERRUPTED, POLL = INTERRUPTED, FUTEX, FUTEX_ABSOLUTE, NAP_ABSOLUTE, SHORT_NAP, LONG_POLL, LONG_FUTEX, LONG_NAP, COUNT };
enum { LONG = 3600, WAIT = 4000 };
static volatile int tid[COUNT], ended[COUNT];
static int result[COUNT], error[COUNT], word;
static double begun[COUNT], left[COUNT], until[COUNT];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static struct timespec in(double seconds)
{
    double t = now() + seconds;
    return (struct timespec){ (long)t, (long)((t - (long)t) * 1e9) };
}

static int futex(int operation, struct timespec *time)
{
    long r;
    register void *r10 asm("r10") = time;
    register long r8 asm("r8") = 0, r9 asm("r9") = FUTEX_BITSET_MATCH_ANY;
    asm volatile("mov $202, %%eax\n\tsyscall" : "=a"(r) : "D"(&word), "S"(operation), "d"(0), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    errno = r < 0 ? -r : 0;
    return r < 0 ? -1 : r;
}

static void *run(void *argument)
{
    int me = (int)(long)argument;
    struct timespec time = { LONG, 0 }, rest = { 0, 0 };
    struct timeval value = { LONG, 0 };
    struct pollfd nothing = { -1, 0, 0 };
    begun[me] = now();
    until[me] = begun[me] + WAIT / 1000.0;
    tid[me] = syscall(SYS_gettid);
    errno = 0;
    switch (me) {
    case NAP:
        result[me] = nanosleep(&time, &rest);
        break;
    case NAP_IN_PLACE:
        result[me] = nanosleep(&time, &time);
        rest = time;
        break;
    case CLOCK_NAP:
        errno = clock_nanosleep(CLOCK_BOOTTIME, 0, &time, &rest);
        break;
    case SELECT:
        result[me] = select(0, NULL, NULL, NULL, &value);
        rest = (struct timespec){ value.tv_sec, value.tv_usec * 1000 };
        break;
    case POLL:
        result[me] = poll(&nothing, 1, WAIT);
        break;
    case FUTEX:
        result[me] = futex(FUTEX_WAIT_PRIVATE, &(struct timespec){ WAIT / 1000, 0 });
        break;
    case FUTEX_ABSOLUTE:
        time = in(WAIT / 1000.0);
        result[me] = futex(FUTEX_WAIT_BITSET_PRIVATE, &time);
        break;
    case NAP_ABSOLUTE:
        time = in(WAIT / 1000.0);
        errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
        break;
    case LONG_POLL:
        poll(&nothing, 1, (LONG + 1000) * 1000);
        break;
    case LONG_FUTEX:
        futex(FUTEX_WAIT_PRIVATE, &(struct timespec){ LONG + 2000, 0 });
        break;
    case LONG_NAP:
        nanosleep(&(struct timespec){ LONG + 3000, 0 }, NULL);
        break;
    case SHORT_NAP:
        result[me] = nanosleep(&(struct timespec){ WAIT / 1000, 0 }, NULL);
        break;
    }
    error[me] = errno;
    left[me] = rest.tv_sec + rest.tv_nsec / 1e9;
    ended[me] = 1;
    return NULL;
}

// Whether some sleeper is to be woken in a time between two; also where no one may know.
static int wakes_between(double least, double most)
{
    char line[512];
    int found = 0;
    // The kernel leaves timers out of the list where others end while it is made.
    for (int look = 0; !found && look < 50; look++) {
        FILE *file = fopen("/proc/timer_list", "r");
        found = !file;
        while (!found && fgets(line, sizeof line, file)) {
            char *at = strstr(line, "expires at ");
            double left = at ? atof(at + 11) / 1e9 - now() : -1;
            found = left >= least && left <= most;
        }
        if (file)
            fclose(file);
        usleep(2000);
    }
    return found;
}

static void nothing(int signal)
{
    (void)signal;
}

int main(int argc __attribute__((unused)), char **argv)
{
    pthread_t threads[COUNT];
    double slept[COUNT];
    begin(argv);
    sigaction(SIGUSR2, &(struct sigaction){ .sa_handler = nothing }, NULL);
    for (int i = 0; i < COUNT; i++) {
        if (i == COUNT / 2) {
            // What sleeps by now is continued by the kernel.
            int parent = getpid(), child = MUST(fork());
            if (!child) {
                usleep(300000);
                kill(parent, SIGSTOP);
                usleep(100000);
                kill(parent, SIGCONT);
                _exit(0);
            }
            MUST(waitpid(child, NULL, 0));
        }
        pthread_create(&threads[i], NULL, run, (void *)(long)i);
        while (!tid[i])
            usleep(1000);
    }
    usleep(700000);
    for (int i = 0; i < COUNT; i++)
        slept[i] = now() - begun[i] - 0.3;
    ready();
    for (int i = 0; i < INTERRUPTED; i++) {
        while (!ended[i]) {
            pthread_kill(threads[i], SIGUSR2);
            usleep(1000);
        }
        pthread_join(threads[i], NULL);
        if (error[i] != EINTR)
            differ("call %d: %d (%s)", i, result[i], strerror(error[i]));
        if (left[i] > LONG - slept[i] || left[i] < LONG - (now() - begun[i]) - 0.1)
            differ("call %d: %f of %d s are left, after %f of which %f were slept before", i, left[i], LONG, now() - begun[i], slept[i]);
    }
    for (int i = LONG_POLL; i < COUNT; i++) {
        double whole = LONG + 1000 * (i - LONG_POLL + 1), since = now() - begun[i];
        if (!wakes_between(whole - since - 1, whole - slept[i]))
            differ("call %d: it does not end after %f s, but those that were over, and not those between dump and restore", i, whole);
        CHECK(!ended[i]);
    }
    for (int i = INTERRUPTED; i < LONG_POLL; i++) {
        pthread_join(threads[i], NULL);
        int wanted = i == FUTEX || i == FUTEX_ABSOLUTE ? ETIMEDOUT : 0;
        if (error[i] != wanted)
            differ("call %d: %d (%s)", i, result[i], strerror(error[i]));
        if (now() < until[i] - 0.1)
            differ("call %d: %f s too short", i, until[i] - now());
    }
    return finish();
}
