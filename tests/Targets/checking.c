// gcc: -O2
// A program that checks all that it has, all the time: general, AVX and AVX-512 registers, the signal mask, memory, descriptors. Two
// processes, several threads: two compute, one sleeps, one waits for a futex. It counts in a file that others map too.
// Arguments: the file, before it "restored" for one that is to be dumped and restored, or "alone" for one process only, which is that too.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cpuid.h>

enum { COMPUTER, SECOND, SLEEPER, WAITER, CHILD, CHILD_SLEEPER, PARTS, MEMORY = 64 << 10 };
struct counters { uint32_t pid[2]; uint32_t ready; uint32_t parts; _Atomic uint64_t count[8]; _Atomic uint32_t bad; char what[240]; };

static struct counters *shared;
static uint64_t *memory;
static uint32_t word;
static int files[4];
static ino_t inodes[4];
static int has_avx, has_avx512;

static void fail(int part, const char *what, uint64_t value)
{
    uint32_t none = 0;
    if (atomic_compare_exchange_strong(&shared->bad, &none, 1))
        snprintf(shared->what, sizeof(shared->what), "part %d: %s (%llx)", part, what, (unsigned long long)value);
    _exit(3);
}

static void check_mask(int part)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    for (int signal = 1; signal < 32; signal++)
        if (sigismember(&mask, signal) != (signal == SIGUSR2 || (part % 2 == 1 && signal == SIGTERM)))
            fail(part, "signal mask", signal);
}

// All general registers that a compiler lets one use hold what they held, for as long as a loop of pauses takes.
static void check_general(int part, uint64_t i)
{
    uint64_t out[10];
    __asm__ volatile(
        "mov %1, %%r8\n lea 1(%%r8), %%r9\n lea 2(%%r8), %%r10\n lea 3(%%r8), %%r11\n lea 4(%%r8), %%r12\n lea 5(%%r8), %%r13\n"
        "lea 6(%%r8), %%r14\n lea 7(%%r8), %%r15\n lea 8(%%r8), %%rdx\n lea 9(%%r8), %%rsi\n mov $300, %%ecx\n"
        "1: pause\n dec %%ecx\n jnz 1b\n"
        "mov %%r8, (%0)\n mov %%r9, 8(%0)\n mov %%r10, 16(%0)\n mov %%r11, 24(%0)\n mov %%r12, 32(%0)\n mov %%r13, 40(%0)\n"
        "mov %%r14, 48(%0)\n mov %%r15, 56(%0)\n mov %%rdx, 64(%0)\n mov %%rsi, 72(%0)\n"
        : : "b"(out), "a"(i) : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    for (int k = 0; k < 10; k++)
        if (out[k] != i + k)
            fail(part, "general register", k);
}

static void check_avx(int part, uint64_t i)
{
    uint64_t in[16] __attribute__((aligned(64))), out[16] __attribute__((aligned(64)));
    for (int k = 0; k < 16; k++)
        in[k] = i * 0x9e3779b97f4a7c15ull + k;
    if (has_avx512) {
        uint64_t mask = 0;
        __asm__ volatile(
            "vmovdqa64 (%1), %%zmm9\n vmovdqa64 64(%1), %%zmm29\n kmovw %k3, %%k5\n mov $300, %%ecx\n1: pause\n dec %%ecx\n jnz 1b\n"
            "vmovdqa64 %%zmm9, (%2)\n vmovdqa64 %%zmm29, 64(%2)\n kmovw %%k5, %k0\n"
            : "=&r"(mask) : "r"(in), "r"(out), "r"((uint32_t)(i & 0xffff)) : "rcx", "xmm9", "memory", "cc");
        if ((mask & 0xffff) != (i & 0xffff))
            fail(part, "mask register", mask);
    } else if (has_avx) {
        __asm__ volatile(
            "vmovdqa (%0), %%ymm9\n vmovdqa 32(%0), %%ymm14\n vmovdqa 64(%0), %%ymm3\n vmovdqa 96(%0), %%ymm7\n mov $300, %%ecx\n"
            "1: pause\n dec %%ecx\n jnz 1b\n"
            "vmovdqa %%ymm9, (%1)\n vmovdqa %%ymm14, 32(%1)\n vmovdqa %%ymm3, 64(%1)\n vmovdqa %%ymm7, 96(%1)\n"
            : : "r"(in), "r"(out) : "rcx", "xmm3", "xmm7", "xmm9", "xmm14", "memory", "cc");
    } else
        return;
    if (memcmp(in, out, sizeof(in)))
        fail(part, "vector register", i);
}

static void check_files(int part)
{
    struct stat status;
    for (int k = 0; k < 4; k++)
        if (fstat(files[k], &status) || status.st_ino != inodes[k])
            fail(part, "descriptor", files[k]);
}

static void compute(int part)
{
    for (uint64_t i = 1;; i++) {
        check_general(part, i);
        check_avx(part, i);
        check_mask(part);
        if (part == COMPUTER || part == CHILD) {
            // A walk over memory: each word is what the last round left, and becomes what this one leaves.
            uint64_t at = i % (MEMORY / 8), round = i / (MEMORY / 8);
            uint64_t *cell = &memory[part == CHILD ? MEMORY / 8 + at : at];
            if (*cell != (at ^ (round << 20)))
                fail(part, "memory", at);
            *cell = at ^ ((round + 1) << 20);
            if (i % 64 == 0)
                check_files(part);
        }
        if (i % 16 == 0)
            usleep(100);
        if (part == COMPUTER && i % 8 == 0) {
            __atomic_add_fetch(&word, 1, __ATOMIC_SEQ_CST);
            syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        }
        shared->count[part]++;
    }
}

static void *second(void *arg)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    compute(SECOND);
    return arg;
}

static void sleep_on(int part)
{
    for (;;) {
        struct timespec left = { 0, 3000000 };
        // A sleep may be cut short, as by a stop and a continue; it says what is left then, with its slack.
        while (nanosleep(&left, &left))
            if (errno != EINTR || left.tv_sec || left.tv_nsec > 900000000)
                fail(part, "nanosleep", errno);
        check_mask(part);
        shared->count[part]++;
    }
}

static void *sleeper(void *arg)
{
    sleep_on(SLEEPER);
    return arg;
}

static void *child_sleeper(void *arg)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    sleep_on(CHILD_SLEEPER);
    return arg;
}

static void *waiter(void *arg)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
    for (;;) {
        uint32_t seen = __atomic_load_n(&word, __ATOMIC_SEQ_CST);
        // Without a signal handler that ran, a wait does not end with EINTR (futex(2)).
        if (syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0) && errno != EAGAIN)
            fail(WAITER, "futex", errno);
        check_mask(WAITER);
        shared->count[WAITER]++;
    }
    return arg;
}

static void thread(void *(*body)(void *))
{
    pthread_t started;
    if (pthread_create(&started, NULL, body, NULL))
        _exit(2);
}

int main(int count, char **arguments)
{
    unsigned a, b = 0, c, d;
    int ends[2], fd = open(arguments[count - 1], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, 4096) || (shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
        return 2;
    has_avx = __builtin_cpu_supports("avx");
    has_avx512 = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 16 & 1) && __builtin_cpu_supports("avx512f");
    memory = mmap(NULL, 2 * MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (uint64_t at = 0; at < MEMORY / 8; at++)
        memory[at] = memory[MEMORY / 8 + at] = at;
    // The first step of a walk is at 1.
    memory[0] = memory[MEMORY / 8] = 1 << 20;
    if (pipe(ends) || write(ends[1], "content", 7) != 7)
        return 2;
    files[0] = fd;
    files[1] = ends[0];
    files[2] = ends[1];
    files[3] = eventfd(7, EFD_NONBLOCK);
    for (int k = 0; k < 4; k++) {
        struct stat status;
        if (fstat(files[k], &status))
            return 2;
        inodes[k] = status.st_ino;
    }
    // A pipe and an eventfd have new numbers after a restore: those checks are for one who is not restored.
    if (count > 2)
        files[1] = files[2] = files[3] = fd, inodes[1] = inodes[2] = inodes[3] = inodes[0];
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    int alone = !strcmp(arguments[1], "alone");
    shared->parts = alone ? CHILD : PARTS;
    shared->pid[0] = getpid();
    int pid = alone ? -1 : fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, "checking-child");
        thread(child_sleeper);
        compute(CHILD);
    }
    shared->pid[1] = pid;
    thread(second);
    thread(sleeper);
    thread(waiter);
    shared->ready = 1;
    compute(COMPUTER);
}
