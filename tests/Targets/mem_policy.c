// Memory policies: of threads, of mappings private and shared, with flags; a child has inherited them, and has changed one.
#include "mem_target.h"
#include <pthread.h>
#include <sys/syscall.h>

enum { DEFAULT, PREFERRED, BIND, INTERLEAVE, LOCAL, PREFERRED_MANY, STATIC = 1 << 15, RELATIVE = 1 << 14 };
static unsigned char *bound, *interleaved, *shared, *local, *plain;
static volatile unsigned char *flags;
static int have;

static int policy(const void *at, unsigned long *nodes)
{
    int mode = -1;
    unsigned long mask[16] = { 0 };
    if (syscall(SYS_get_mempolicy, &mode, mask, 1024UL, at, at ? 2UL : 0UL) < 0)
        return -1;
    *nodes = mask[0];
    return mode;
}

static int is(const void *at, int mode, unsigned long nodes)
{
    unsigned long found;
    return !have || (policy(at, &found) == mode && found == nodes);
}

static int bind_to(void *at, size_t size, int mode, unsigned long nodes)
{
    return !have || syscall(SYS_mbind, at, size, mode, nodes ? &nodes : NULL, 64UL, 0UL) == 0;
}

static int choose(int mode, unsigned long nodes)
{
    return !have || syscall(SYS_set_mempolicy, mode, nodes ? &nodes : NULL, 64UL) == 0;
}

static void *thread(void *unused)
{
    (void)unused;
    CHECK(choose(BIND | STATIC, 1));
    flags[1] = 1;
    while (!flags[0])
        usleep(1000);
    CHECK(is(NULL, BIND | STATIC, 1));
    return NULL;
}

int main(int argc, char **argv)
{
    begin(argv);
    unsigned long nodes;
    have = policy(NULL, &nodes) >= 0;
    if (!have)
        return skip("the kernel has no memory policies");
    flags = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned char *all = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    shared = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, MUST(memfd_create("shared", 0)), 0);
    MUST(ftruncate(3, 16 * PAGE));
    bound = all;
    interleaved = all + 16 * PAGE;
    local = all + 32 * PAGE;
    plain = all + 48 * PAGE;
    CHECK(bind_to(bound, 16 * PAGE, BIND, 1) && bind_to(interleaved, 16 * PAGE, INTERLEAVE | RELATIVE, 1) && bind_to(local, 16 * PAGE, LOCAL, 0));
    CHECK(bind_to(shared, 8 * PAGE, PREFERRED | STATIC, 1));
    CHECK(choose(PREFERRED, 1));
    fill(all, 64 * PAGE, 1);
    fill(shared, 16 * PAGE, 2);
    pthread_t other;
    pthread_create(&other, NULL, thread, NULL);
    pid_t child = MUST(fork());
    if (child == 0) {
        CHECK(bind_to(bound, 16 * PAGE, DEFAULT, 0) && choose(INTERLEAVE, 1));
        flags[2] = 1;
        while (!flags[0])
            usleep(1000);
        _exit(!(is(bound, DEFAULT, 0) && is(interleaved, INTERLEAVE | RELATIVE, 1) && is(local, LOCAL, 0) && is(NULL, INTERLEAVE, 1)
            && filled(all, 64 * PAGE, 1)));
    }
    while (!flags[1] || !flags[2])
        usleep(1000);
    ready();
    CHECK(is(bound, BIND, 1) && is(bound + 15 * PAGE, BIND, 1) && is(interleaved, INTERLEAVE | RELATIVE, 1) && is(local, LOCAL, 0));
    CHECK(is(plain, DEFAULT, 0) && is(shared, PREFERRED | STATIC, 1) && is(shared + 8 * PAGE, DEFAULT, 0) && is(NULL, PREFERRED, 1));
    CHECK(filled(all, 64 * PAGE, 1) && filled(shared, 16 * PAGE, 2));
    int status = -1;
    flags[0] = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    pthread_join(other, NULL);
    return finish();
}
