// Every register of several threads, while they spin: general, flags, fs and gs bases, x87, SSE, AVX and, where there, AVX-512.
// gcc: -mavx2
#include "target.h"
#include <asm/prctl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "regs_common.h"

enum { THREADS = 4 };
static struct frame frames[THREADS];

static void *run(void *argument)
{
    struct frame *f = argument;
    regs_fill(f);
    if (f == &frames[THREADS - 1]) f->wide = 0;             // one that leaves AVX-512 in its initial state
    regs_bases_set(f);
    if (f->wide) spin512(f); else spin256(f);
    regs_bases_check(f);
    return NULL;
}

int main(int argc __attribute__((unused)), char **argv)
{
    begin(argv);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        frames[i].seed = 0x1234567u * (i + 1);
        pthread_create(&threads[i], NULL, run, &frames[i]);
    }
    for (int i = 0; i < THREADS; i++)
        while (!__atomic_load_n(&frames[i].spinning, __ATOMIC_SEQ_CST)) usleep(1000);
    ready();
    for (int i = 0; i < THREADS; i++) __atomic_store_n(&frames[i].go, 1, __ATOMIC_SEQ_CST);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        regs_compare(i, &frames[i]);
    }
    return finish();
}
