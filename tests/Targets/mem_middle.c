// Copy-on-write between processes whose parent in the middle has ended: a grandchild still shares pages with its grandparent, who has it
// now; and one that was adopted by the root shares pages with the root's other child, from whom it comes, that the root never had.
#include "mem_target.h"
#include <sys/prctl.h>

enum { PAGES = 256 };
static unsigned char *root, *middle;
static volatile struct { volatile int up, verify, answer, pid; volatile long root, middle; } *slot;

static void live(int who, int has_middle)
{
    // A few of its own.
    for (int page = 0; page < 8; page++)
        fill(root + (who * 8 + page) * PAGE, PAGE, 100 + who);
    slot[who].pid = getpid();
    slot[who].up = 1;
    while (!slot[who].verify)
        usleep(1000);
    int good = 1;
    for (int page = 0; page < PAGES; page++) {
        good &= filled(root + page * PAGE, PAGE, page >= who * 8 && page < who * 8 + 8 ? 100 + who : 1);
        if (has_middle)
            good &= filled(middle + page * PAGE, PAGE, 2);
    }
    slot[who].root = kib(root, "Pss:");
    slot[who].middle = has_middle ? kib(middle, "Pss:") : 0;
    slot[who].answer = good ? 1 : 2;
    for (;;)
        pause();
}

int main(int argc, char **argv)
{
    begin(argv);
    MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
    slot = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    root = mmap(NULL, (2 * PAGES + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    middle = root + (PAGES + 1) * PAGE;
    MUST(munmap(root + PAGES * PAGE, PAGE));
    for (int page = 0; page < PAGES; page++)
        fill(root + page * PAGE, PAGE, 1);
    // 1: the grandchild of a child that ends.
    if (MUST(fork()) == 0) {
        if (MUST(fork()) == 0)
            live(1, 0);
        _exit(0);
    }
    while (!slot[1].up)
        usleep(1000);
    // 2: a child that fills memory of its own; 3: its grandchild, whose parent ends.
    if (MUST(fork()) == 0) {
        for (int page = 0; page < PAGES; page++)
            fill(middle + page * PAGE, PAGE, 2);
        if (MUST(fork()) == 0) {
            if (MUST(fork()) == 0)
                live(3, 1);
            _exit(0);
        }
        while (wait(NULL) > 0)
            ;
        live(2, 1);
    }
    while (!slot[2].up || !slot[3].up)
        usleep(1000);
    // The first in the middle; that of the second was waited for.
    while (slot[1].pid == 0 || waitpid(-1, NULL, WNOHANG) > 0)
        ;
    ready();
    CHECK(filled(root, PAGE, 1) && zero(middle, PAGES * PAGE));
    for (int who = 1; who <= 3; who++)
        slot[who].verify = 1;
    for (int who = 1; who <= 3; who++) {
        while (!slot[who].answer)
            usleep(1000);
        CHECK(slot[who].answer == 1);
        CHECK(slot[who].root < PAGES * 4 / 2);
        // Two processes share it.
        CHECK(who == 1 || slot[who].middle < PAGES * 4 * 3 / 4);
    }
    for (int who = 1; who <= 3; who++)
        kill(slot[who].pid, SIGKILL);
    while (wait(NULL) > 0)
        ;
    return finish();
}
