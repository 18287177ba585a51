// A file that is mapped privately, and one that is open for reading: what becomes of them between dump and restore is up to the test.
#include "mem_target.h"

int main(int argc, char **argv)
{
    begin(argv);
    int mapped = MUST(open(argv[2], O_RDONLY)), opened = MUST(open(argv[3], O_RDONLY));
    unsigned char *at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, mapped, 0);
    char byte;
    close(mapped);
    ready();
    CHECK(at[0] >= 'a' && pread(opened, &byte, 1, 0) == 1);
    return finish();
}
