// The same registers while each thread is within a system call that the dump interrupts: futex, read, poll and a nap of some length.
// gcc: -mavx2
#include "target.h"
#include <asm/prctl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "regs_common.h"

enum { THREADS = 4 };
static struct frame frames[THREADS];
static int word, pipes[2][2];
static char byte;
static struct pollfd polled;
static struct timespec nap = { 3600, 0 };

static void *run(void *argument)
{
    struct frame *f = argument;
    regs_fill(f);
    regs_bases_set(f);
    if (f->wide) call512(f); else call256(f);
    regs_bases_check(f);
    return NULL;
}

static void call(struct frame *f, long number, long a0, long a1, long a2, long a3)
{
    long call[] = { number, a0, a1, a2, a3 };
    memcpy(f->call, call, sizeof call);
}

static void nothing(int signal)
{
    (void)signal;
}

int main(int argc __attribute__((unused)), char **argv)
{
    begin(argv);
    MUST(pipe(pipes[0]));
    MUST(pipe(pipes[1]));
    polled = (struct pollfd){ pipes[1][0], POLLIN, 0 };
    call(&frames[0], SYS_futex, (long)&word, FUTEX_WAIT, 0, 0);
    call(&frames[1], SYS_read, pipes[0][0], (long)&byte, 1, 0);
    call(&frames[2], SYS_poll, (long)&polled, 1, -1, 0);           // restarted by its rest: EINTR after a restore
    call(&frames[3], SYS_nanosleep, (long)&nap, 0, 0, 0);          // likewise
    pthread_t threads[THREADS];
    sigset_t all, old;
    sigfillset(&all);
    sigdelset(&all, SIGUSR2);
    sigaction(SIGUSR2, &(struct sigaction){ .sa_handler = nothing }, NULL);
    pthread_sigmask(SIG_SETMASK, &all, &old);                      // the question goes to the first thread
    for (int i = 0; i < THREADS; i++) {
        frames[i].seed = 0x2345671u * (i + 1);
        pthread_create(&threads[i], NULL, run, &frames[i]);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    for (int i = 0; i < THREADS; i++)
        while (!__atomic_load_n(&frames[i].spinning, __ATOMIC_SEQ_CST)) usleep(1000);
    usleep(50000);
    ready();
    word = 1;
    syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
    MUST(write(pipes[0][1], "x", 1));
    MUST(write(pipes[1][1], "y", 1));
    while (pthread_tryjoin_np(threads[3], NULL)) {                 // where it is still asleep, nothing was restored
        pthread_kill(threads[3], SIGUSR2);
        usleep(1000);
    }
    long wanted[][2] = { { 0, -EAGAIN }, { 1, 1 }, { 1, -EINTR }, { -EINTR, -EINTR } };
    for (int i = 0; i < THREADS; i++) {
        if (i != 3) pthread_join(threads[i], NULL);
        long result = frames[i].call[0];
        if (result != wanted[i][0] && result != wanted[i][1]) differ("thread %d: its call gave %ld", i, result);
        frames[i].found[0] = frames[i].wanted[0];                   // rax holds the result, rcx and r11 what syscall leaves
        frames[i].found[1] = frames[i].wanted[1];
        frames[i].found[10] = frames[i].wanted[10];
        regs_compare(i, &frames[i]);
    }
    if (byte != 'x') differ("read gave %d", byte);
    return finish();
}
