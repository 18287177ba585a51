// Real-time signals queued as deep as the limit allows, for the process and for a thread, each with its number; in order.
#include "target.h"
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum { DEEP = 700 };
static volatile int tid, go, wrong;

static void *other(void *unused)
{
    sigset_t set;
    siginfo_t info;
    tid = syscall(SYS_gettid);
    while (!go)
        usleep(10000);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 7);
    for (int i = 0; i < DEEP; i++)
        wrong |= sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) != SIGRTMIN + 7 || info.si_value.sival_int != -i;
    return unused;
}

int main(int argc __attribute__((unused)), char **argv)
{
    pthread_t thread;
    sigset_t set;
    siginfo_t info;
    begin(argv);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 6);
    sigaddset(&set, SIGRTMIN + 7);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pthread_create(&thread, NULL, other, NULL);
    while (!tid)
        usleep(1000);
    for (int i = 0; i < DEEP; i++) {
        siginfo_t own = { .si_signo = SIGRTMIN + 7, .si_code = SI_QUEUE };
        own.si_pid = getpid();
        own.si_value.sival_int = -i;
        MUST(sigqueue(getpid(), SIGRTMIN + 6, (union sigval){ .sival_int = i }));
        MUST(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGRTMIN + 7, &own));
    }
    setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){ 2 * DEEP + 4, 4 * DEEP });
    ready();
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 6);
    for (int i = 0; i < DEEP; i++)
        if (sigtimedwait(&set, &info, &(struct timespec){ 0, 0 }) != SIGRTMIN + 6 || info.si_value.sival_int != i || info.si_code != SI_QUEUE) {
            differ("signal %d: value %d, code %d", i, info.si_value.sival_int, info.si_code);
            break;
        }
    go = 1;
    pthread_join(thread, NULL);
    CHECK(!wrong);
    return finish();
}
