// dump-options: --ghost-limit 64M
// Large unlinked files that were asked for: a dense one, and one of 8 GiB with islands, whose holes are kept.
#include "target.h"

int main(int argc, char **argv)
{
    static char page[1 << 16];
    struct stat s;
    begin(argv);
    int dense = MUST(open(in_work("dense"), O_CREAT | O_RDWR, 0600)), sparse = MUST(open(in_work("sparse"), O_CREAT | O_RDWR, 0600)), same = MUST(dup(dense));
    for (int i = 0; i < 640; i++) {
        memset(page, i, sizeof(page));
        MUST(write(dense, page, sizeof(page)));
    }
    for (long i = 0; i < 8; i++)
        MUST(pwrite(sparse, "island", 6, i << 30));
    MUST(ftruncate(sparse, 8l << 30));
    MUST(unlink(in_work("dense")) | unlink(in_work("sparse")));
    ready();
    for (int i = 0; i < 640; i++)
        CHECK(pread(dense, page, sizeof(page), (long)i << 16) == sizeof(page) && page[0] == (char)i && page[65535] == (char)i);
    for (long i = 0; i < 8; i++)
        CHECK(pread(sparse, page, 6, i << 30) == 6 && !memcmp(page, "island", 6) && pread(sparse, page, 1, (i << 30) + (1 << 29)) == 1 && page[0] == 0);
    CHECK(fstat(sparse, &s) == 0 && s.st_size == 8l << 30 && s.st_blocks < 512 && s.st_nlink == 0 && lseek(same, 0, SEEK_CUR) == 640 << 16);
    return finish();
}
