// Pages that were swapped out, of its own and shared with a child, and pages that came back: the test has made room for them.
#include "mem_target.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
enum { SIZE = 4 << 20 };

int main(int argc, char **argv)
{
    begin(argv);
    volatile unsigned char *flags = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned char *own = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *object = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fill(own, SIZE, 1);
    fill(object, SIZE, 2);
    pid_t child = MUST(fork());
    if (child == 0) {
        fill(own, 16 * PAGE, 3);
        flags[1] = 1;
        while (!flags[0])
            usleep(1000);
        _exit(!(filled(own, 16 * PAGE, 3) && own[SIZE - 1] == (unsigned char)((SIZE - 1) * 31 + (SIZE - 1) / PAGE * 7 + 1)
            && filled(object, SIZE, 2)));
    }
    while (!flags[1])
        usleep(1000);
    // A page that two have mapped is not put out for the one: the child lets go of nothing, so a few of its own come first.
    unsigned char *alone = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(alone, SIZE, 4);
    MUST(madvise(alone, SIZE, MADV_PAGEOUT));
    MUST(madvise(own, SIZE, MADV_PAGEOUT));
    MUST(madvise(object, SIZE, MADV_PAGEOUT));
    for (int time = 0; kib(alone, "Swap:") < SIZE / 2048 && time < 1000; time++) {
        madvise(alone, SIZE, MADV_PAGEOUT);
        usleep(1000);
    }
    if (kib(alone, "Swap:") < SIZE / 2048)
        return skip("the kernel does not swap pages out when it is told to");
    CHECK(alone[PAGE + 1] == (unsigned char)((PAGE + 1) * 31 + 7 + 4));
    ready();
    CHECK(filled(alone, SIZE, 4) && filled(own, SIZE, 1) && filled(object, SIZE, 2));
    int status = -1;
    flags[0] = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    return finish();
}
