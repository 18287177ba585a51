// 200 processes forked after 1 MiB was filled: each keeps its own page and still shares all others with its parent.
#include "target.h"
#include <sys/mman.h>

enum { CHILDREN = 200, SIZE = 1 << 20, PAGE = 4096 };
static unsigned char *memory;
static volatile struct { int counted, verify, answer; } *slot;

static unsigned char expected(size_t at) { return (unsigned char)(at * 31 + at / PAGE * 7 + 1); }

static void child(int own)
{
    // A page of its own, among 256 that are shared.
    memory[own % (SIZE / PAGE) * PAGE] = (unsigned char)own;
    for (;;) {
        slot[own].counted++;
        if (slot[own].verify && !slot[own].answer) {
            int good = 1;
            for (size_t at = 0; at < SIZE; at++)
                if (at == (size_t)(own % (SIZE / PAGE)) * PAGE)
                    good &= memory[at] == (unsigned char)own;
                else
                    good &= memory[at] == expected(at);
            slot[own].answer = good ? 1 : 2;
        }
        usleep(20000);
    }
}

// The proportional share of this process in the filled memory, in KiB: a page shared by 200 counts as a 200th.
static long share(void)
{
    char line[256];
    long kib = -1;
    int inside = 0;
    FILE *file = fopen("/proc/self/smaps", "r");
    while (fgets(line, sizeof(line), file)) {
        unsigned long from, to;
        char dash;
        if (sscanf(line, "%lx%c%lx ", &from, &dash, &to) == 3 && dash == '-')
            inside = from <= (unsigned long)memory && (unsigned long)memory < to;
        else if (inside && sscanf(line, "Pss: %ld", &kib) == 1)
            break;
    }
    fclose(file);
    return kib;
}

int main(int argc, char **argv)
{
    int pid[CHILDREN];
    begin(argv);
    memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    slot = mmap(NULL, sizeof(*slot) * CHILDREN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (size_t at = 0; at < SIZE; at++)
        memory[at] = expected(at);
    for (int i = 0; i < CHILDREN; i++)
        if (!(pid[i] = MUST(fork())))
            child(i);
    for (int i = 0; i < CHILDREN; i++)
        while (slot[i].counted < 2)
            usleep(1000);
    ready();
    for (int i = 0; i < CHILDREN; i++)
        slot[i].verify = 1;
    for (int i = 0; i < CHILDREN; i++) {
        for (int time = 0; !slot[i].answer && time < 30000; time++)
            usleep(1000);
        CHECK(slot[i].answer == 1);
    }
    CHECK(share() >= 0 && share() < SIZE / 1024 / 10);
    for (int i = 0; i < CHILDREN; i++) {
        int status;
        CHECK(kill(pid[i], SIGKILL) == 0);
        CHECK(waitpid(pid[i], &status, 0) == pid[i] && WIFSIGNALED(status));
    }
    return finish();
}
