// memfd: sealed, two descriptions with positions of their own, mapped; one whose descriptor is closed and that lives by its mapping.
#include "target.h"
#include <sys/mman.h>

int main(int argc, char **argv)
{
    char text[16];
    begin(argv);
    int fd = MUST(memfd_create("first", MFD_ALLOW_SEALING | MFD_CLOEXEC)), closed = MUST(memfd_create("closed", 0));
    char again[32];
    MUST(ftruncate(fd, 1 << 20));
    MUST(pwrite(fd, "memory", 6, 500000));
    MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW));
    MUST(lseek(fd, 77, SEEK_SET));
    snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
    int reader = MUST(open(again, O_RDONLY));
    MUST(lseek(reader, 500000, SEEK_SET));
    MUST(ftruncate(closed, 8192));
    char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, closed, 0);
    close(closed);
    strcpy(map + 4096, "alive");
    ready();
    CHECK(lseek(fd, 0, SEEK_CUR) == 77 && read(reader, text, 6) == 6 && !memcmp(text, "memory", 6) && lseek(fd, 0, SEEK_CUR) == 77);
    CHECK(fcntl(fd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW) && ftruncate(fd, 4096) == -1 && lseek(fd, 0, SEEK_END) == 1 << 20);
    CHECK(pwrite(fd, "x", 1, 0) == 1 && pread(reader, text, 1, 0) == 1 && text[0] == 'x' && write(reader, "x", 1) == -1 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK(!strcmp(map + 4096, "alive") && map[0] == 0);
    return finish();
}
