// Rings that one thread alone may submit to, with completions that come when it asks: of the first thread, and of two others; and one
// that all may use. After a restore each belongs to whom it did.
#include "uring_target.h"
#include <pthread.h>

#define THREADS 3
static struct ring own[THREADS], shared;
static pthread_barrier_t made, woken, checked;

static void set_up(int number)
{
    unsigned flags = IORING_SETUP_SINGLE_ISSUER | (number != 1 ? IORING_SETUP_DEFER_TASKRUN : 0)
        | (number == 2 ? IORING_SETUP_NO_SQARRAY : 0);
    if (ring_open(&own[number], 16, flags, 0) < 0)
        return;
    ring_use(&own[number], 777 * (number + 1));
    ring_put(&own[number], IORING_OP_NOP, -1, NULL, 0, 60 + number);
    if (ring_enter(&own[number], 1, 0) != 1)
        MUST(-1);
    ring_put(&own[number], IORING_OP_NOP, -1, NULL, 0, 61 + number);
}

static void check(int number)
{
    struct ring *r = &own[number];
    struct ring *other = &own[(number + 1) % THREADS];
    CHECK(syscall(SYS_io_uring_register, other->fd, IORING_REGISTER_EVENTFD, NULL, 1) < 0 && errno == EEXIST);
    CHECK(ring_take(r, 60 + number) == 0 && ring_enter(r, 1, 1) == 1 && ring_take(r, 61 + number) == 0);
    CHECK(ring_works(r));
}

static void *other_thread(void *number)
{
    set_up((long)number);
    pthread_barrier_wait(&made);
    pthread_barrier_wait(&woken);
    for (int turn = 0; turn < THREADS; turn++) {
        if (turn == (long)number)
            check(turn);
        pthread_barrier_wait(&checked);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    begin(argv);
    pthread_t threads[THREADS];
    pthread_barrier_init(&made, NULL, THREADS);
    pthread_barrier_init(&woken, NULL, THREADS);
    pthread_barrier_init(&checked, NULL, THREADS);
    set_up(0);
    for (long i = 1; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, other_thread, (void *)i))
            return 2;
    pthread_barrier_wait(&made);
    if (own[0].fd < 0 || own[1].fd < 0 || own[2].fd < 0 || ring_open(&shared, 4, 0, 0) < 0)
        return skip("this kernel does not have all of these rings");
    ready();
    pthread_barrier_wait(&woken);
    for (int turn = 0; turn < THREADS; turn++) {
        if (turn == 0)
            check(0);
        pthread_barrier_wait(&checked);
    }
    CHECK(ring_works(&shared));
    for (int i = 1; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return finish();
}
