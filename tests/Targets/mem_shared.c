// Shared memory: anonymous with a child, memfds sparse, sealed, private, with and without descriptor, an odd size.
#include "mem_target.h"

int main(int argc, char **argv)
{
    begin(argv);
    const size_t huge = 20UL << 30;
    unsigned char *anonymous = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned char *sealed_view, *private, *sparse_view, *alone;
    volatile unsigned char *flags = anonymous;
    int sparse = MUST(memfd_create("sparse", 0)), sealed = MUST(memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC));
    int lonely = MUST(memfd_create("lonely", 0)), odd = MUST(memfd_create("odd", 0)), future = MUST(memfd_create("future", MFD_ALLOW_SEALING));
    MUST(ftruncate(sparse, (long)huge));
    MUST(ftruncate(sealed, 4 * PAGE));
    MUST(ftruncate(lonely, 16 * PAGE));
    MUST(ftruncate(future, PAGE));
    MUST(write(odd, "odd size", 8));
    MUST(lseek(odd, 3, SEEK_SET));
    sparse_view = mmap(NULL, huge, PROT_READ | PROT_WRITE, MAP_SHARED, sparse, 0);
    fill(sparse_view + (11UL << 30), 3 * PAGE, 1);
    MUST(pwrite(sealed, "sealed", 6, PAGE));
    MUST(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW));
    sealed_view = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, sealed, 0);
    private = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, lonely, 0);
    alone = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, lonely, 0);
    unsigned char *forward = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, future, 0);
    MUST(fcntl(future, F_ADD_SEALS, 0x10 /* F_SEAL_FUTURE_WRITE */ | F_SEAL_SEAL));
    fill(alone, 16 * PAGE, 2);
    fill(private + PAGE, PAGE, 3);
    close(lonely);
    fill(anonymous + 8 * PAGE, 8 * PAGE, 4);
    pid_t child = MUST(fork());
    if (child == 0) {
        MUST(munmap(sparse_view, huge));
        flags[1] = 1;
        while (!flags[0])
            usleep(1000);
        flags[2] = filled(anonymous + 8 * PAGE, 8 * PAGE, 4) && filled(alone, PAGE, 9) ? 1 : 2;
        _exit(0);
    }
    while (!flags[1])
        usleep(1000);
    ready();
    struct stat st;
    char text[16] = "";
    CHECK(filled(sparse_view + (11UL << 30), 3 * PAGE, 1) && sparse_view[huge - 1] == 0 && sparse_view[5] == 0);
    CHECK(fstat(sparse, &st) == 0 && st.st_size == (long)huge && st.st_blocks < 1024);
    CHECK(!memcmp(sealed_view + PAGE, "sealed", 6) && fcntl(sealed, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW));
    CHECK(pwrite(sealed, "x", 1, 0) == -1 && errno == EPERM && fcntl(sealed, F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(sparse, F_GET_SEALS) == F_SEAL_SEAL && fcntl(future, F_GET_SEALS) == (0x10 | F_SEAL_SEAL) && (forward[0] = 1) == 1);
    CHECK(pwrite(future, "x", 1, 0) == -1 && fstat(odd, &st) == 0 && st.st_size == 8 && read(odd, text, 16) == 5 && !strcmp(text, " size"));
    CHECK(filled(private + PAGE, PAGE, 3) && filled(alone, 16 * PAGE, 2) && private[3 * PAGE + 1] == alone[3 * PAGE + 1]);
    CHECK(strstr(mapping(anonymous), "/dev/zero (deleted)") && strstr(mapping(alone), "/memfd:lonely (deleted)") && strstr(mapping(sparse_view), "rw-s"));
    fill(alone, PAGE, 9);
    flags[0] = 1;
    CHECK(waitpid(child, NULL, 0) == child && flags[2] == 1);
    return finish();
}
