// Memory files with each seal, opened again in other modes through /proc, with their own positions, shared with a child; mapped for reading only.
#include "target.h"
#include <sys/mman.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#define MFD_EXEC 0x10U
#endif

static const int SEALS[] = { 0, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL };
#define COUNT (int)(sizeof(SEALS) / sizeof(SEALS[0]))

int main(int argc, char **argv)
{
    char text[64], path[64];
    int fds[COUNT], readers[COUNT], writer, names;
    struct stat s;
    begin(argv);
    for (int i = 0; i < COUNT; i++) {
        snprintf(path, sizeof(path), "memory %d", i);
        fds[i] = MUST(memfd_create(path, MFD_ALLOW_SEALING | (i & 1 ? MFD_CLOEXEC : 0)));
        MUST(write(fds[i], "0123456789", 10));
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i]);
        readers[i] = MUST(open(path, O_RDONLY));
        MUST(lseek(readers[i], i, SEEK_SET));
        MUST(fcntl(fds[i], F_ADD_SEALS, SEALS[i]));
    }
    int unsealable = MUST(memfd_create("fixed", 0)), noexec = memfd_create("noexec", MFD_NOEXEC_SEAL);
    MUST(fchmod(unsealable, 0640));
    MUST(fchown(unsealable, 7, 8));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", unsealable);
    writer = MUST(open(path, O_WRONLY | O_APPEND | O_CLOEXEC));
    names = MUST(open(path, O_PATH));
    char *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, readers[0], 0);
    int pid = MUST(fork());
    if (!pid) {
        wait_for_wake();
        _exit(write(fds[0], "child", 5) == 5 ? 0 : 1);
    }
    ready();
    int status = -1;
    kill(pid, SIGUSR1);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0 && lseek(fds[0], 0, SEEK_CUR) == 15 && pread(readers[0], text, 15, 0) == 15 && !memcmp(memory, "0123456789child", 15));
    for (int i = 0; i < COUNT; i++) {
        CHECK(fcntl(fds[i], F_GET_SEALS) == SEALS[i] && lseek(readers[i], 0, SEEK_CUR) == i && (fcntl(readers[i], F_GETFL) & O_ACCMODE) == O_RDONLY);
        CHECK(fcntl(fds[i], F_GETFD) == (i & 1 ? FD_CLOEXEC : 0) && pread(readers[i], text, 10, 0) == 10 && !memcmp(text, "0123456789", 10));
        CHECK((pwrite(fds[i], "0", 1, 0) == 1) == !(SEALS[i] & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) && (ftruncate(fds[i], 20) == 0) == !(SEALS[i] & F_SEAL_GROW));
        CHECK((ftruncate(fds[i], 5) == 0) == !(SEALS[i] & F_SEAL_SHRINK) && (fcntl(fds[i], F_ADD_SEALS, 0) == 0) == !(SEALS[i] & F_SEAL_SEAL));
    }
    CHECK(fcntl(unsealable, F_GET_SEALS) == F_SEAL_SEAL && write(writer, "more", 4) == 4 && fcntl(writer, F_GETFL) & O_APPEND && fcntl(writer, F_GETFD) == FD_CLOEXEC);
    CHECK(pread(unsealable, text, 9, 0) == 4 && fstat(names, &s) == 0 && (s.st_mode & 07777) == 0640 && s.st_uid == 7 && s.st_gid == 8 && fcntl(names, F_GETFL) & O_PATH);
    CHECK(noexec < 0 || ((fcntl(noexec, F_GET_SEALS) & F_SEAL_EXEC) && fchmod(noexec, 0777) == -1));
    return finish();
}
