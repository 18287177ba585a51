// 200 threads that count, each by itself: all go on under their ids.
#include "target.h"
#include <pthread.h>
#include <sys/syscall.h>

enum { THREADS = 200 };
static volatile long counted[THREADS];
static volatile int tid[THREADS];

static void *count(void *number)
{
    long own = (long)number;
    tid[own] = syscall(SYS_gettid);
    for (;;) {
        if (tid[own] != syscall(SYS_gettid))
            tid[own] = -1;
        counted[own]++;
        usleep(5000);
    }
    return NULL;
}

static int all_count(void)
{
    long before[THREADS];
    int behind = THREADS;
    for (int i = 0; i < THREADS; i++)
        before[i] = counted[i];
    for (int time = 0; behind && time < 3000; time++) {
        usleep(10000);
        behind = 0;
        for (int i = 0; i < THREADS; i++)
            behind += counted[i] <= before[i];
    }
    return !behind;
}

int main(int argc, char **argv)
{
    int was[THREADS];
    begin(argv);
    for (long i = 0; i < THREADS; i++) {
        pthread_t thread;
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 65536);
        if (pthread_create(&thread, &attributes, count, (void *)i))
            return 2;
    }
    if (!all_count())
        return 2;
    for (int i = 0; i < THREADS; i++)
        was[i] = tid[i];
    ready();
    CHECK(all_count());
    for (int i = 0; i < THREADS; i++)
        CHECK(tid[i] == was[i]);
    return finish();
}
