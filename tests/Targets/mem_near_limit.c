// 48 MiB of memory, each page different: what a program has that lives close to the limit of its memory cgroup.
#include "target.h"
#include <stdint.h>
#include <sys/mman.h>

enum { SIZE = 48 << 20 };

int main(int argc, char **argv)
{
    (void)argc;
    begin(argv);
    uint64_t *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(memory == MAP_FAILED ? -1 : 0);
    for (uint64_t i = 0; i < SIZE / 8; i += 64)
        memory[i] = i * 0x9e3779b97f4a7c15ull + 1;
    ready();
    for (uint64_t i = 0; i < SIZE / 8; i += 64)
        if (memory[i] != i * 0x9e3779b97f4a7c15ull + 1) {
            differ("word %lu", (unsigned long)i);
            break;
        }
    return finish();
}
