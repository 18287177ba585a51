// Threads whose polls end all the time: a dump comes to its end, and they go on.
#include "target.h"
#include <poll.h>
#include <pthread.h>

enum { THREADS = 16 };
static volatile long rounds[THREADS];

static void *run(void *number)
{
    for (;;) {
        poll(NULL, 0, 1);
        rounds[(long)number]++;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    begin(argv);
    pthread_t thread;
    for (long i = 0; i < THREADS; i++)
        if (pthread_create(&thread, NULL, run, (void *)i))
            return 1;
    ready();
    for (int i = 0; i < THREADS; i++) {
        long before = rounds[i];
        for (int wait = 0; rounds[i] == before && wait < 3000; wait++)
            usleep(1000);
        CHECK(before > 0 && rounds[i] > before);
    }
    return finish();
}
