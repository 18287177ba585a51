// expect-refusal: io-uring-registered
// A ring of one thread, and not the first, with buffers provided to it as a group: refused by name, and the group is still there.
#include "uring_target.h"
#include <pthread.h>

static struct ring r;
static char *group;
static int is_there;
static pthread_barrier_t made, woken;

static int provide(int operation)
{
    struct { unsigned long long address; unsigned entries; unsigned short id, flags; unsigned long long rest[3]; } what
        = { (unsigned long)group, 8, 51966 };
    return syscall(SYS_io_uring_register, r.fd, operation, &what, 1);
}

static void *submitter(void *none)
{
    if (ring_open(&r, 4, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0) == 0)
        is_there = provide(22) == 0;
    pthread_barrier_wait(&made);
    pthread_barrier_wait(&woken);
    if (is_there) {
        CHECK(provide(22) < 0 && errno == EEXIST);
        CHECK(provide(23) == 0 && ring_works(&r));
    }
    return none;
}

int main(int argc, char **argv)
{
    begin(argv);
    pthread_t thread;
    group = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_barrier_init(&made, NULL, 2);
    pthread_barrier_init(&woken, NULL, 2);
    if (pthread_create(&thread, NULL, submitter, NULL))
        return 2;
    pthread_barrier_wait(&made);
    if (!is_there)
        return skip("there are no groups of buffers here");
    ready();
    pthread_barrier_wait(&woken);
    pthread_join(thread, NULL);
    return finish();
}
