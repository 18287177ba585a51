// All flags with which a file can be open, alone, duplicated and shared with a child; names and directories that were renamed meanwhile.
#include "target.h"
#include <dirent.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef F_GET_RW_HINT
#define F_GET_RW_HINT 1035
#define F_SET_RW_HINT 1036
#endif

static const struct { const char *name; int flags; } KINDS[] = {
    { "append", O_RDWR | O_APPEND }, { "sync", O_WRONLY | O_SYNC }, { "dsync", O_RDWR | O_DSYNC }, { "noatime", O_RDONLY | O_NOATIME },
    { "nonblock", O_RDWR | O_NONBLOCK }, { "nofollow", O_RDONLY | O_NOFOLLOW }, { "direct", O_RDWR | O_DIRECT }, { "wronly", O_WRONLY },
};
#define COUNT (int)(sizeof(KINDS) / sizeof(KINDS[0]))

int main(int argc, char **argv)
{
    char text[64];
    struct stat a, b;
    int fds[COUNT], copies[COUNT], flags[COUNT];
    begin(argv);
    for (int i = 0; i < COUNT; i++) {
        int made = MUST(open(in_work(KINDS[i].name), O_CREAT | O_RDWR | O_EXCL, 0640));
        MUST(write(made, "0123456789abcdef", 16));
        close(made);
        fds[i] = open(in_work(KINDS[i].name), KINDS[i].flags);
        if (fds[i] < 0 && (KINDS[i].flags & O_DIRECT))
            fds[i] = open(in_work(KINDS[i].name), KINDS[i].flags & ~O_DIRECT);
        MUST(fds[i]);
        copies[i] = MUST(fcntl(fds[i], F_DUPFD_CLOEXEC, 100));
        flags[i] = MUST(fcntl(fds[i], F_GETFL));
        MUST(lseek(fds[i], i + 1, SEEK_SET));
    }
    int named = MUST(open(work, O_TMPFILE | O_RDWR, 0604)), unnamed = MUST(open(work, O_TMPFILE | O_EXCL | O_RDWR | O_APPEND, 0600));
    MUST(write(named, "named", 5) + write(unnamed, "unnamed", 7));
    int path = MUST(open(in_work("append"), O_PATH)), directory = MUST(open(work, O_PATH | O_DIRECTORY)), gone = MUST(open(in_work("gone"), O_CREAT | O_RDWR, 0600));
    close(gone);
    gone = MUST(open(in_work("gone"), O_PATH | O_CLOEXEC));
    MUST(unlink(in_work("gone")));
    MUST(mkdir(in_work("before"), 0700));
    MUST(mkdir(in_work("before/inner"), 0700));
    int moved = MUST(open(in_work("before/inner/file"), O_CREAT | O_RDWR, 0600)), inner = MUST(open(in_work("before/inner"), O_RDONLY | O_DIRECTORY));
    MUST(rename(in_work("before/inner/file"), in_work("before/inner/other")));
    MUST(rename(in_work("before"), in_work("after")));
    uint64_t hint = 3, had = 0;
    int hinted = fcntl(named, F_SET_RW_HINT, &hint) == 0;
    int *said = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), pid = MUST(fork());
    if (!pid) {
        while (((volatile int *)said)[0] != 1)
            usleep(10000);
        for (int i = 0; i < COUNT; i++)
            lseek(fds[i], 8, SEEK_CUR);
        _exit(0);
    }
    ready();
    for (int i = 0; i < COUNT; i++) {
        CHECK(fcntl(fds[i], F_GETFL) == flags[i]);
        CHECK(lseek(copies[i], 0, SEEK_CUR) == i + 1 && fcntl(copies[i], F_GETFD) == FD_CLOEXEC && fcntl(fds[i], F_GETFD) == 0);
    }
    said[0] = 1;
    CHECK(waitpid(pid, NULL, 0) == pid);
    for (int i = 0; i < COUNT; i++)
        CHECK(lseek(copies[i], 0, SEEK_CUR) == i + 9);
    CHECK(pread(named, text, 16, 0) == 5 && !memcmp(text, "named", 5) && lseek(named, 0, SEEK_CUR) == 5 && fstat(named, &a) == 0 && (a.st_mode & 07777) == 0604);
    CHECK(!hinted || (fcntl(named, F_GET_RW_HINT, &had) == 0 && had == hint));
    char proc[64];
    CHECK(write(unnamed, "!", 1) == 1 && pread(unnamed, text, 16, 0) == 8 && !memcmp(text, "unnamed!", 8));
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", named);
    CHECK(linkat(AT_FDCWD, proc, AT_FDCWD, in_work("y"), AT_SYMLINK_FOLLOW) == 0);
    CHECK(fcntl(path, F_GETFL) & O_PATH && read(path, text, 1) == -1 && fstat(path, &a) == 0 && fstat(fds[0], &b) == 0 && a.st_ino == b.st_ino);
    CHECK(faccessat(directory, "append", F_OK, 0) == 0 && fcntl(gone, F_GETFD) == FD_CLOEXEC && (fcntl(gone, F_GETFL) & O_PATH) && fstat(gone, &a) == 0 && a.st_nlink == 0);
    CHECK(fstat(moved, &a) == 0 && stat(in_work("after/inner/other"), &b) == 0 && a.st_ino == b.st_ino && faccessat(inner, "other", F_OK, 0) == 0);
    return finish();
}
