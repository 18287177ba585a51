// Threads that have registered the descriptors of their rings: at several places, of a ring with buffers, one under two places. After a
// restore they reach each ring where they did, and none elsewhere.
#include "uring_target.h"
#include <pthread.h>
#include <sys/uio.h>

#define REGISTERED (1U << 4)

static struct ring plain, deferred, buffered, others;
static pthread_barrier_t made, woken;

static int registers(struct ring *r, unsigned place)
{
    struct io_uring_rsrc_update update = { .offset = place, .data = r->fd };
    return syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_RING_FDS, &update, 1);
}

static int reaches(struct ring *r, unsigned place)
{
    ring_put(r, IORING_OP_NOP, -1, NULL, 0, 31);
    return syscall(SYS_io_uring_enter, place, 1, 1, IORING_ENTER_GETEVENTS | REGISTERED, NULL, 0) == 1 && ring_take(r, 31) == 0;
}

static int is_free(unsigned place)
{
    return syscall(SYS_io_uring_enter, place, 0, 0, REGISTERED, NULL, 0) < 0 && errno == EBADF;
}

static void *thread(void *none)
{
    MUST(ring_open(&others, 8, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0));
    ring_use(&others, 40);
    MUST(registers(&others, 3) == 1 ? 0 : -1);
    MUST(registers(&plain, 0) == 1 ? 0 : -1);
    pthread_barrier_wait(&made);
    pthread_barrier_wait(&woken);
    CHECK(reaches(&others, 3) && reaches(&plain, 0) && is_free(1) && is_free(2) && is_free(15));
    return none;
}

int main(int argc, char **argv)
{
    begin(argv);
    pthread_t other;
    char memory[4096];
    struct iovec buffer = { memory, sizeof(memory) };
    if (ring_open(&plain, 8, 0, 0) < 0 || ring_open(&deferred, 8, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, 0) < 0
        || ring_open(&buffered, 8, 0, 0) < 0 || registers(&plain, 15) != 1)
        return skip("this kernel does not have all of these rings");
    MUST(syscall(SYS_io_uring_register, buffered.fd, IORING_REGISTER_BUFFERS, &buffer, 1));
    MUST(registers(&buffered, 4));
    MUST(registers(&deferred, 0));
    MUST(registers(&deferred, 7));
    pthread_barrier_init(&made, NULL, 2);
    pthread_barrier_init(&woken, NULL, 2);
    if (pthread_create(&other, NULL, thread, NULL))
        return 2;
    pthread_barrier_wait(&made);
    ready();
    CHECK(reaches(&plain, 15) && reaches(&buffered, 4) && reaches(&deferred, 0) && reaches(&deferred, 7));
    CHECK(is_free(1) && is_free(3) && is_free(14));
    CHECK(syscall(SYS_io_uring_register, plain.fd, IORING_UNREGISTER_BUFFERS, NULL, 0) < 0 && errno == ENXIO);
    CHECK(syscall(SYS_io_uring_register, buffered.fd, IORING_UNREGISTER_BUFFERS, NULL, 0) == 0);
    CHECK(ring_works(&plain) && ring_works(&deferred) && ring_works(&buffered));
    pthread_barrier_wait(&woken);
    pthread_join(other, NULL);
    return finish();
}
