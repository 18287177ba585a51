// Memory that MADV_COLLAPSE has made huge pages of, shared with a child by fork: whole, also where one of them has changed or dropped a
// page of it, and where the child has made huge pages of it again.
#include "mem_target.h"

enum { HUGE = 2 << 20, PAGES = HUGE / PAGE, COUNT = 3 * PAGES, OWN = PAGES + 5, DROPPED = 2 * PAGES + 9 };
static volatile int *child_is_up;

static int right(const unsigned char *at, int is_child)
{
    int good = 1;
    for (int page = 0; page < COUNT; page++)
        good &= is_child && page == DROPPED ? zero(at + page * PAGE, PAGE)
            : filled(at + page * PAGE, PAGE, page == OWN ? 100 + is_child : page);
    return good;
}

int main(int argc __attribute__((unused)), char **argv)
{
    begin(argv);
    child_is_up = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned char *room = mmap(NULL, 4 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *at = (unsigned char *)(((uintptr_t)room + HUGE - 1) & -(uintptr_t)HUGE);
    for (int page = 0; page < COUNT; page++)
        fill(at + page * PAGE, PAGE, page);
    if (madvise(at, COUNT * PAGE, 25 /* MADV_COLLAPSE */) || kib(at, "AnonHugePages:") <= 0)
        return skip("the kernel makes no huge pages by MADV_COLLAPSE here");
    int pid = MUST(fork()), status = -1;
    fill(at + OWN * PAGE, PAGE, 100 + !pid);
    if (!pid) {
        MUST(madvise(at + DROPPED * PAGE, PAGE, MADV_DONTNEED));
        madvise(at + HUGE, HUGE, 25);
        *child_is_up = 1;
        wait_for_wake();
        _exit(right(at, 1) ? 0 : 1);
    }
    while (!*child_is_up)
        usleep(1000);
    ready();
    CHECK(right(at, 0));
    kill(pid, SIGUSR1);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(madvise(at, COUNT * PAGE, 25) == 0 || errno == ENOMEM || errno == EAGAIN || errno == EBUSY);
    CHECK(right(at, 0));
    return finish();
}
