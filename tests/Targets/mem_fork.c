// Three generations share pages: each has some of its own, some dropped, other protections, and more stack than its parent.
#include "mem_target.h"

enum { PAGES = 256 };
static unsigned char *memory, *reading, *dropped;
static volatile struct { int up, verify, answer; long pss; } *slot;

// So that the place where it waits is not the lowest of the stack.
static __attribute__((noinline)) void touch_below(void)
{
    volatile unsigned char stack[16 * PAGE];
    fill(stack, sizeof(stack), 1);
}

static void deep(int generation, int depth)
{
    volatile unsigned char stack[8 * PAGE];
    fill(stack, sizeof(stack), depth);
    if (depth < generation * 12) {
        deep(generation, depth + 1);
        if (!filled(stack, sizeof(stack), depth))
            slot[generation].answer = 2;
        return;
    }
    touch_below();
    slot[generation].up = 1;
    while (!slot[generation].verify)
        usleep(1000);
}

static int right(int generation)
{
    int good = 1;
    for (int page = 0; page < PAGES; page++)
        good &= filled(memory + page * PAGE, PAGE, page < generation * 8 ? 100 + page / 8 : 1);
    good &= filled(reading, 16 * PAGE, generation == 2 ? 9 : 2);
    good &= (generation ? zero(dropped, 8 * PAGE) : filled(dropped, 8 * PAGE, 3)) && filled(dropped + 8 * PAGE, 8 * PAGE, 4);
    return good && strstr(mapping(reading), "r--p") != NULL;
}

static void live(int generation)
{
    if (generation > 0)
        for (int page = 8 * (generation - 1); page < 8 * generation; page++)
            fill(memory + page * PAGE, PAGE, 100 + page / 8);
    if (generation == 1) {
        MUST(madvise(dropped, 8 * PAGE, MADV_DONTNEED));
    } else if (generation == 2) {
        MUST(mprotect(reading, 16 * PAGE, PROT_READ | PROT_WRITE));
        fill(reading, 16 * PAGE, 9);
        MUST(mprotect(reading, 16 * PAGE, PROT_READ));
    }
    if (generation < 2 && MUST(fork()) == 0) {
        live(generation + 1);
        _exit(0);
    }
    if (generation == 1)
        MUST(mprotect(reading, 16 * PAGE, PROT_NONE));
    if (generation > 0) {
        deep(generation, 0);
        if (generation == 1)
            MUST(mprotect(reading, 16 * PAGE, PROT_READ));
        slot[generation].pss = kib(memory, "Pss:");
        slot[generation].answer = slot[generation].answer ? 2 : right(generation) ? 1 : 3;
        while (slot[generation].verify == 1)
            usleep(1000);
    }
}

int main(int argc, char **argv)
{
    begin(argv);
    slot = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    reading = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    dropped = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int page = 0; page < PAGES; page++)
        fill(memory + page * PAGE, PAGE, 1);
    fill(reading, 16 * PAGE, 2);
    fill(dropped, 8 * PAGE, 3);
    fill(dropped + 8 * PAGE, 8 * PAGE, 4);
    MUST(mprotect(reading, 16 * PAGE, PROT_READ));
    live(0);
    while (!slot[1].up || !slot[2].up)
        usleep(1000);
    ready();
    CHECK(right(0));
    slot[1].verify = slot[2].verify = 1;
    for (int generation = 1; generation <= 2; generation++) {
        for (int time = 0; !slot[generation].answer && time < 20000; time++)
            usleep(1000);
        CHECK(slot[generation].answer == 1);
        CHECK(slot[generation].pss > 0 && slot[generation].pss < PAGES * 4 / 2);
    }
    CHECK(kib(memory, "Pss:") < PAGES * 4 / 2);
    slot[1].verify = slot[2].verify = 2;
    while (wait(NULL) > 0)
        ;
    return finish();
}
