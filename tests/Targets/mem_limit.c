// A limit on file sizes and no descriptor to spare: the pages are saved all the same, and no SIGXFSZ comes.
#include "mem_target.h"
#include <sys/resource.h>

int main(int argc, char **argv)
{
    begin(argv);
    unsigned char *at = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fill(at, 4 << 20, 1);
    struct rlimit size = { 1 << 20, 1 << 20 };
    MUST(setrlimit(RLIMIT_FSIZE, &size));
    ready();
    CHECK(filled(at, 4 << 20, 1) && getrlimit(RLIMIT_FSIZE, &size) == 0 && size.rlim_cur == 1 << 20);
    return finish();
}
