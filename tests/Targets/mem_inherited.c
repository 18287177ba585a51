// What a forked child has of its parent's memory with advice: nothing of MADV_DONTFORK, zeroes of MADV_WIPEONFORK; guard pages, sealed
// memory, locks that are not inherited, dumpable or not, huge pages wanted or not; content behind PROT_NONE.
#include "mem_target.h"
#include <sys/syscall.h>

enum { SIZE = 4 << 20, GUARD = 102 };
static unsigned char *dont, *wipe, *guarded, *sealed, *locked, *undumped, *huge, *none;
static int can_guard, can_seal;
static volatile unsigned char *flags;

static int right(int child)
{
    int good = child ? strcmp(mapping(dont), "none") == 0 : filled(dont, 4 * PAGE, 1) && has_flag(dont, "dc");
    good &= (child ? zero(wipe, 4 * PAGE) : filled(wipe, 4 * PAGE, 2)) && has_flag(wipe, "wf");
    good &= filled(guarded, 4 * PAGE, 3) && filled(guarded + 8 * PAGE, 4 * PAGE, 4);
    // A guard page can't be read, not even by the kernel.
    int way[2];
    MUST(pipe(way));
    good &= write(way[1], guarded + 3 * PAGE, 1) == 1 && write(way[1], guarded + 8 * PAGE, 1) == 1;
    good &= !can_guard || (write(way[1], guarded + 4 * PAGE, 1) == -1 && errno == EFAULT && write(way[1], guarded + 7 * PAGE, 1) == -1);
    good &= filled(sealed, 4 * PAGE, 5) && (!can_seal || (munmap(sealed, 4 * PAGE) == -1 && errno == EPERM));
    good &= filled(locked, 4 * PAGE, 6) && (child ? !has_flag(locked, "lo") : 1);
    good &= filled(undumped, 4 * PAGE, 7) && has_flag(undumped, "dd") && filled(huge, SIZE, 8) && (has_flag(huge, "hg") || !has_flag(huge, "nh"));
    good &= strstr(mapping(none), "---p") && mprotect(none, 4 * PAGE, PROT_READ) == 0 && filled(none, 4 * PAGE, child ? 19 : 9);
    return good;
}

static unsigned char *map(size_t size)
{
    // A page between any two.
    unsigned char *at = mmap(NULL, size + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(mprotect(at, size, PROT_READ | PROT_WRITE));
    return at;
}

int main(int argc, char **argv)
{
    begin(argv);
    flags = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned char **each[] = { &dont, &wipe, &guarded, &sealed, &locked, &undumped, &none };
    for (unsigned i = 0; i < sizeof(each) / sizeof(each[0]); i++)
        *each[i] = map(16 * PAGE);
    huge = map(SIZE);
    fill(dont, 4 * PAGE, 1);
    fill(wipe, 4 * PAGE, 2);
    fill(guarded, 4 * PAGE, 3);
    fill(guarded + 8 * PAGE, 4 * PAGE, 4);
    fill(sealed, 4 * PAGE, 5);
    fill(locked, 4 * PAGE, 6);
    fill(undumped, 4 * PAGE, 7);
    MUST(madvise(dont, 16 * PAGE, MADV_DONTFORK));
    MUST(madvise(wipe, 16 * PAGE, MADV_WIPEONFORK));
    MUST(madvise(undumped, 16 * PAGE, MADV_DONTDUMP));
    madvise(huge, SIZE, MADV_HUGEPAGE);
    fill(huge, SIZE, 8);
    fill(none, 4 * PAGE, 9);
    can_guard = madvise(guarded + 4 * PAGE, 4 * PAGE, GUARD) == 0;
    can_seal = syscall(462 /* mseal */, sealed, 16UL * PAGE, 0UL) == 0;
    mlock(locked, 16 * PAGE);
    MUST(mprotect(none, 16 * PAGE, PROT_NONE));
    pid_t child = MUST(fork());
    if (child == 0) {
        MUST(mprotect(none, 16 * PAGE, PROT_READ | PROT_WRITE));
        fill(none, 4 * PAGE, 19);
        MUST(mprotect(none, 16 * PAGE, PROT_NONE));
        flags[1] = 1;
        while (!flags[0])
            usleep(1000);
        _exit(!right(1));
    }
    while (!flags[1])
        usleep(1000);
    ready();
    CHECK(right(0));
    flags[0] = 1;
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return finish();
}
