// 65,000 mappings, as many as the kernel lets a process have (vm.max_map_count): each apart, some with content.
#include "mem_target.h"

enum { MOST = 65000 };

int main(int argc, char **argv)
{
    begin(argv);
    unsigned char *at = mmap(NULL, (size_t)MOST * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int made = 1;
    for (int i = 0; i < MOST; i += 8)
        at[(size_t)i * PAGE] = (unsigned char)(i / 8 | 1);
    for (int i = 1; i < MOST && mprotect(at + (size_t)i * PAGE, PAGE, PROT_READ) == 0; i += 2)
        made = i + 2;
    ready();
    int wrong = 0;
    for (int i = 0; i < MOST; i++)
        wrong += at[(size_t)i * PAGE] != (i % 8 ? 0 : (unsigned char)(i / 8 | 1));
    CHECK(made > 60000 && wrong == 0);
    CHECK(strstr(mapping(at + PAGE), "r--p") && strstr(mapping(at + (size_t)(made - 1) * PAGE), "rw-p"));
    return finish();
}
