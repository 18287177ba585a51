// What the kernel does for a thread by itself, at its end and on each move: robust lists, the tid address, rseq.
#include "target.h"
#include <pthread.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

static pthread_mutex_t robust;
static volatile int held, go;

// To register the same area again is EBUSY where it is registered, and a success or EINVAL where none or another is.
static void check_rseq(void)
{
    if (__rseq_size) {
        errno = 0;
        CHECK(syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, 32, 0, RSEQ_SIG) == -1 && errno == EBUSY);
    }
}

static void *holder(void *unused)
{
    pthread_mutex_lock(&robust);
    held = 1;
    while (!go)
        usleep(10000);
    check_rseq();
    return unused;                                          // with the lock held
}

int main(int argc __attribute__((unused)), char **argv)
{
    pthread_mutexattr_t attributes;
    pthread_t thread;
    begin(argv);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &attributes);
    pthread_create(&thread, NULL, holder, NULL);
    while (!held)
        usleep(1000);
    ready();
    check_rseq();
    CHECK(pthread_mutex_trylock(&robust) == EBUSY);
    go = 1;
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 30;
    CHECK(pthread_mutex_timedlock(&robust, &end) == EOWNERDEAD);   // by the robust list
    CHECK(pthread_timedjoin_np(thread, NULL, &end) == 0);          // by the word at the tid address, cleared and woken
    return finish();
}
