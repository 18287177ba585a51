// Signals that wait: for the process and for a thread, real-time ones several deep, with who sent them and what they carry, in order.
#include "target.h"
#include <pthread.h>
#include <sys/syscall.h>

enum { DEEP = 5 };
static volatile int go, tid;
static siginfo_t thread_got[DEEP + 1];

static void take(const sigset_t *set, siginfo_t *info, int wanted)
{
    struct timespec soon = { 2, 0 };
    memset(info, 0, sizeof *info);
    if (sigtimedwait(set, info, &soon) != wanted)
        differ("sigtimedwait gave signal %d, wanted %d", info->si_signo, wanted);
}

static void *with_private(void *unused)
{
    sigset_t set;
    tid = syscall(SYS_gettid);
    while (!go)
        usleep(10000);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    take(&set, &thread_got[0], SIGUSR2);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 5);
    for (int i = 0; i < DEEP; i++)
        take(&set, &thread_got[i + 1], SIGRTMIN + 5);
    return unused;
}

int main(int argc __attribute__((unused)), char **argv)
{
    sigset_t set;
    pthread_t thread;
    siginfo_t info;
    begin(argv);
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    pthread_create(&thread, NULL, with_private, NULL);
    while (!tid)
        usleep(1000);
    int pid = getpid(), uid = getuid();
    for (int i = 0; i < DEEP; i++) {
        MUST(sigqueue(pid, SIGRTMIN + 3, (union sigval){ .sival_int = 100 + i }));
        siginfo_t own = { .si_signo = SIGRTMIN + 5, .si_code = -60 - i };
        own.si_pid = 4000 + i;
        own.si_value.sival_int = 200 + i;
        MUST(syscall(SYS_rt_tgsigqueueinfo, pid, tid, SIGRTMIN + 5, &own));
    }
    MUST(kill(pid, SIGTERM));
    MUST(kill(pid, SIGURG));
    MUST(kill(pid, SIGCHLD));
    MUST(syscall(SYS_tgkill, pid, tid, SIGUSR2));
    siginfo_t kernel = { .si_signo = SIGSEGV, .si_code = SEGV_MAPERR };
    kernel.si_addr = (void *)0x1234567890;
    MUST(syscall(SYS_rt_sigqueueinfo, pid, SIGSEGV, &kernel));
    ready();
    for (int i = 0; i < DEEP; i++) {
        sigemptyset(&set);
        sigaddset(&set, SIGRTMIN + 3);
        take(&set, &info, SIGRTMIN + 3);
        CHECK(info.si_code == SI_QUEUE && info.si_pid == pid && (int)info.si_uid == uid && info.si_value.sival_int == 100 + i);
    }
    int plain[] = { SIGTERM, SIGURG, SIGCHLD };
    for (int i = 0; i < 3; i++) {
        sigemptyset(&set);
        sigaddset(&set, plain[i]);
        take(&set, &info, plain[i]);
        CHECK(info.si_code == SI_USER && info.si_pid == pid);
    }
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    take(&set, &info, SIGSEGV);
    CHECK(info.si_code == SEGV_MAPERR && info.si_addr == (void *)0x1234567890);
    sigset_t left;
    sigpending(&left);
    for (int i = 1; i < 65; i++)
        if (sigismember(&left, i) == 1)
            differ("signal %d is pending too", i);
    go = 1;
    pthread_join(thread, NULL);
    CHECK((thread_got[0].si_code == SI_TKILL || thread_got[0].si_code == SI_USER) && thread_got[0].si_pid == pid);
    for (int i = 0; i < DEEP; i++)
        CHECK(thread_got[i + 1].si_code == -60 - i && thread_got[i + 1].si_pid == 4000 + i && thread_got[i + 1].si_value.sival_int == 200 + i);
    return finish();
}
