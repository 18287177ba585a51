// Regular files, directories and devices: positions shared and not, flags, an own descriptor order, O_PATH, O_ASYNC with an owner.
#include "target.h"
#include <sys/uio.h>

static long at(int fd) { return lseek(fd, 0, SEEK_CUR); }

int main(int argc, char **argv)
{
    char text[64];
    struct stat a, b;
    begin(argv);
    int data = MUST(open(in_work("data"), O_CREAT | O_RDWR, 0640));
    MUST(write(data, "0123456789abcdef", 16));
    MUST(lseek(data, 5, SEEK_SET));
    int same = MUST(fcntl(data, F_DUPFD_CLOEXEC, 40)), other = MUST(open(in_work("data"), O_RDONLY | O_NOATIME));
    MUST(lseek(other, 9, SEEK_SET));
    int log = MUST(open(in_work("log"), O_CREAT | O_WRONLY | O_APPEND | O_SYNC, 0600));
    MUST(write(log, "line\n", 5));
    int name = MUST(open(in_work("data"), O_PATH)), directory = MUST(open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    MUST(symlink("data", in_work("link")));
    int link = MUST(open(in_work("link"), O_PATH | O_NOFOLLOW));
    int zero = MUST(open("/dev/zero", O_RDONLY | O_NONBLOCK)), random = MUST(open("/dev/urandom", O_RDONLY)), full = MUST(open("/dev/full", O_WRONLY));
    int self = MUST(open("/proc/self/stat", O_RDONLY)), odd = MUST(open(in_work("odd (deleted)"), O_CREAT | O_RDWR, 0600));
    int pipes[2];
    MUST(pipe(pipes));
    struct f_owner_ex owner = { F_OWNER_PID, getpid() }, now = { 0 };
    MUST(fcntl(pipes[0], F_SETOWN_EX, &owner));
    MUST(fcntl(pipes[0], F_SETSIG, SIGUSR2));
    MUST(fcntl(pipes[0], F_SETFL, O_ASYNC | O_NONBLOCK));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    MUST(dup2(zero, 300));
    ready();
    CHECK(at(data) == 5 && at(same) == 5 && at(other) == 9 && read(data, text, 3) == 3 && !memcmp(text, "567", 3) && at(same) == 8 && at(other) == 9);
    CHECK(fcntl(same, F_GETFD) == FD_CLOEXEC && fcntl(data, F_GETFD) == 0 && (fcntl(other, F_GETFL) & O_NOATIME));
    CHECK((fcntl(log, F_GETFL) & (O_ACCMODE | O_APPEND | O_SYNC)) == (O_WRONLY | O_APPEND | O_SYNC) && write(log, "more\n", 5) == 5);
    CHECK(stat(in_work("log"), &a) == 0 && a.st_size == 10);
    CHECK((fcntl(name, F_GETFL) & O_PATH) && read(name, text, 1) == -1 && errno == EBADF && fstat(name, &a) == 0 && fstat(data, &b) == 0 && a.st_ino == b.st_ino);
    CHECK(readlinkat(link, "", text, sizeof(text)) == 4 && fcntl(directory, F_GETFD) == FD_CLOEXEC && faccessat(directory, "data", R_OK, 0) == 0);
    CHECK(read(zero, text, 1) == 1 && text[0] == 0 && (fcntl(300, F_GETFL) & O_NONBLOCK) && read(random, text, 8) == 8 && write(full, "x", 1) == -1 && errno == ENOSPC);
    CHECK(read(self, text, 63) > 0 && atoi(text) == getpid() && write(odd, "x", 1) == 1 && fstat(odd, &a) == 0 && a.st_nlink == 1);
    CHECK(fcntl(pipes[0], F_GETSIG) == SIGUSR2 && fcntl(pipes[0], F_GETOWN_EX, &now) == 0 && now.type == F_OWNER_PID && now.pid == getpid());
    CHECK((fcntl(pipes[0], F_GETFL) & (O_ASYNC | O_NONBLOCK)) == (O_ASYNC | O_NONBLOCK));
    siginfo_t info = { 0 };
    CHECK(write(pipes[1], "!", 1) == 1 && sigtimedwait(&set, &info, &(struct timespec){ 2, 0 }) == SIGUSR2 && info.si_fd == pipes[0]);
    CHECK(fcntl(301, F_GETFD) == -1 && fcntl(39, F_GETFD) == -1 && fcntl(1000, F_GETFD) == -1);
    return finish();
}
